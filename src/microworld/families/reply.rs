//! `Write a kind reply to Anna, who lost her keys.` → `Dear Anna, I am sorry that you lost your keys. I hope you find them soon.`

use super::{Family, Marks, other_than, some_of};
use crate::microworld::issues::Issue;
use crate::microworld::pattern::{contains_phrase, fill, scan};
use crate::microworld::spoken::NAMES;
use crate::recipe::seeds::Stream;

pub(in crate::microworld) const ANSWER: &str = "dear {name} , i am {tone} that you {event} . {wish} .";

pub(in crate::microworld) const TONES: [&str; 2] = ["sorry", "glad"];

/// What happened, with a slot for whose; and the wish that belongs to it. The first four are sad, the others happy.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::microworld) struct Event {
    pub what: &'static str,
    pub wish: &'static str,
}

pub(in crate::microworld) const EVENTS: [Event; 8] = [
    Event { what: "lost {whose} keys", wish: "i hope you find them soon" },
    Event { what: "missed {whose} train", wish: "i hope the next one is on time" },
    Event { what: "failed {whose} test", wish: "you will do better next time" },
    Event { what: "broke {whose} arm", wish: "i hope it heals soon" },
    Event { what: "won {whose} race", wish: "you worked hard for it" },
    Event { what: "got {whose} dream job", wish: "they are lucky to have you" },
    Event { what: "found {whose} dog", wish: "give it a big hug" },
    Event { what: "baked {whose} first cake", wish: "please save me a piece" },
];

const SAD: usize = 4;

/// Indices into `NAMES` and `EVENTS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    name: usize,
    event: usize,
}

impl Family for Reply {
    const WORDINGS: &'static [&'static str] =
        &["write a kind reply to {name} , who {event} .", "send a kind note to {name} , who {event} ."];

    fn invent(stream: &mut Stream) -> Self {
        Self { name: stream.below(NAMES.len()), event: stream.below(EVENTS.len()) }
    }

    fn slots(&self) -> Vec<String> {
        let whose = if self.name < 5 { "her" } else { "his" };
        vec![NAMES[self.name].to_owned(), fill(EVENTS[self.event].what, &[whose])]
    }

    fn read(slots: &[&str]) -> Option<Self> {
        let &[name, event] = slots else { return None };
        let name = NAMES.iter().position(|known| *known == name)?;
        // Whose keys they are follows from the name; the parser's own comparison refuses the other word.
        let event = EVENTS.iter().position(|known| scan(known.what, event).is_some())?;
        Some(Self { name, event })
    }

    fn flawless(&self, _: &mut Stream) -> String {
        write(NAMES[self.name], tone_of(self.event), self.event, self.event)
    }

    fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        let events: Vec<usize> = (0..EVENTS.len()).collect();
        let (mut name, mut tone) = (NAMES[self.name], tone_of(self.event));
        let (mut event, mut wish) = (self.event, self.event);
        for slip in some_of(4, slips, stream) {
            match slip {
                0 => name = other_than(&NAMES, name, stream),
                1 => tone = other_than(&TONES, tone, stream),
                2 => event = other_than(&events, self.event, stream),
                _ => wish = other_than(&events, self.event, stream),
            }
        }
        write(name, tone, event, wish)
    }

    fn mark(&self, tokens: &[&str]) -> Marks {
        let (name, tone) = (NAMES[self.name], tone_of(self.event));
        let says = |index: usize| contains_phrase(tokens, &to_you(index));
        let wishes = |index: usize| contains_phrase(tokens, EVENTS[index].wish);
        let others = || (0..EVENTS.len()).filter(|index| *index != self.event);
        let (right_name, right_tone) = (tokens.contains(&name), tokens.contains(&tone));
        let (right_event, right_wish) = (says(self.event), wishes(self.event));
        let other_name = NAMES.iter().any(|other| *other != name && tokens.contains(other));
        let other_tone = TONES.iter().any(|other| *other != tone && tokens.contains(other));
        let (other_event, other_wish) = (others().any(says), others().any(wishes));
        let mut issues = Vec::new();
        if !right_name || other_name {
            issues.push(Issue::WrongName { name });
        }
        if !right_tone || other_tone {
            issues.push(Issue::WrongTone { tone });
        }
        if !right_event {
            issues.push(Issue::NoEvent);
        }
        if other_wish {
            issues.push(Issue::UnfitWish);
        } else if !right_wish {
            issues.push(Issue::NoWish);
        }
        if other_event && issues.is_empty() {
            issues.push(Issue::NeedlessWords);
        }
        Marks {
            relevant: right_name || right_tone || right_event || right_wish,
            elements: vec![right_name, right_tone, right_event, right_wish],
            wrong: other_name || other_tone || other_event || other_wish,
            repeated: false,
            well_formed: is_answer(&tokens.join(" ")),
            issues,
        }
    }
}

fn tone_of(event: usize) -> &'static str {
    TONES[usize::from(event >= SAD)]
}

fn to_you(event: usize) -> String {
    fill(EVENTS[event].what, &["your"])
}

fn write(name: &str, tone: &str, event: usize, wish: usize) -> String {
    fill(ANSWER, &[name, tone, &to_you(event), EVENTS[wish].wish])
}

fn is_answer(text: &str) -> bool {
    scan(ANSWER, text).is_some_and(|slots| {
        NAMES.contains(&slots[0])
            && TONES.contains(&slots[1])
            && (0..EVENTS.len()).any(|event| to_you(event) == slots[2])
            && EVENTS.iter().any(|event| event.wish == slots[3])
    })
}
