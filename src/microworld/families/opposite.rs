//! `Say the opposite: the big cow is sad.` → `The small cow is happy.`

use super::{Family, Marks, other_than, some_of};
use crate::microworld::draws::one_of;
use crate::microworld::issues::Issue;
use crate::microworld::pattern::{fill, scan};
use crate::microworld::words::{Category, ITEMS, Item, item};
use crate::recipe::seeds::Stream;

pub(in crate::microworld) const ANSWER: &str = "the {adjective} {noun} is {state} .";

pub(in crate::microworld) const OPPOSITES: [[&str; 2]; 9] = [
    ["big", "small"],
    ["old", "new"],
    ["clean", "dirty"],
    ["fast", "slow"],
    ["loud", "quiet"],
    ["hot", "cold"],
    ["dark", "bright"],
    ["happy", "sad"],
    ["strong", "weak"],
];

/// The pairs that one can say of such a thing without raising an eyebrow.
fn pairs_for(category: Category) -> &'static [usize] {
    match category {
        Category::Fruit | Category::Vegetable => &[0, 2, 5, 6],
        Category::Animal => &[0, 2, 3, 4, 7, 8],
        Category::Tool => &[0, 1, 2, 5],
        Category::Garment => &[0, 1, 2, 6],
        Category::Vehicle => &[0, 1, 2, 3, 4],
        Category::Instrument => &[0, 1, 2, 4],
    }
}

/// An adjective: which pair, and which side of it.
type Side = (usize, usize);

fn word((pair, side): Side) -> &'static str {
    OPPOSITES[pair][side]
}

fn flipped((pair, side): Side) -> Side {
    (pair, 1 - side)
}

fn find(word: &str) -> Option<Side> {
    OPPOSITES.iter().enumerate().find_map(|(pair, sides)| Some((pair, sides.iter().position(|side| *side == word)?)))
}

/// A statement of two adjectives from different pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opposite {
    adjective: Side,
    noun: &'static Item,
    state: Side,
}

impl Family for Opposite {
    const WORDINGS: &'static [&'static str] = &[
        "say the opposite : the {adjective} {noun} is {state} .",
        "rewrite with the opposite meaning : the {adjective} {noun} is {state} .",
    ];

    fn invent(stream: &mut Stream) -> Self {
        let noun = one_of(stream, &ITEMS);
        let pairs = pairs_for(noun.category);
        let adjective = *one_of(stream, pairs);
        let state = other_than(pairs, adjective, stream);
        Self { adjective: (adjective, stream.below(2)), noun, state: (state, stream.below(2)) }
    }

    fn slots(&self) -> Vec<String> {
        [word(self.adjective), self.noun.name, word(self.state)].map(str::to_owned).to_vec()
    }

    fn read(slots: &[&str]) -> Option<Self> {
        let &[adjective, noun, state] = slots else { return None };
        let (adjective, noun, state) = (find(adjective)?, item(noun)?, find(state)?);
        let pairs = pairs_for(noun.category);
        let sayable = pairs.contains(&adjective.0) && pairs.contains(&state.0);
        (sayable && adjective.0 != state.0).then_some(Self { adjective, noun, state })
    }

    fn flawless(&self, _: &mut Stream) -> String {
        write(flipped(self.adjective), self.noun.name, flipped(self.state))
    }

    fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        let (mut adjective, mut noun, mut state) = (flipped(self.adjective), self.noun, flipped(self.state));
        // Forgetting to flip is the common slip; another noun or a word of another pair are the rare ones.
        let pairs = pairs_for(noun.category);
        let rare = stream.below(3) == 0;
        match some_of(2, slips, stream)[..] {
            [one] if rare && one == 0 => {
                let kin: Vec<&'static Item> = ITEMS.iter().filter(|item| item.category == noun.category).collect();
                noun = other_than(&kin, noun, stream);
            }
            [_] if rare => {
                let strange: Vec<usize> = pairs.iter().copied().filter(|pair| *pair != self.adjective.0).collect();
                state = (other_than(&strange, self.state.0, stream), stream.below(2));
            }
            [0] => adjective = self.adjective,
            [_] => state = self.state,
            _ => (adjective, state) = (self.adjective, self.state),
        }
        write(adjective, noun.name, state)
    }

    fn mark(&self, tokens: &[&str]) -> Marks {
        let (adjective, state) = (flipped(self.adjective), flipped(self.state));
        let noun_at = tokens.iter().position(|token| *token == self.noun.name);
        let place = |side: Side| tokens.iter().position(|token| *token == word(side));
        // With the noun there, the first adjective stands before it and the second after it.
        let before = place(adjective).is_some_and(|at| noun_at.is_none_or(|noun| at < noun));
        let after = place(state).is_some_and(|at| noun_at.is_none_or(|noun| at > noun));
        let strangers = tokens.iter().filter_map(|token| find(token)).any(|side| side != adjective && side != state);
        let other_noun = tokens.iter().filter_map(|token| item(token)).find(|item| *item != self.noun);
        let mut issues = Vec::new();
        for (right, given) in [(before, self.adjective), (after, self.state)] {
            if !right {
                issues.push(Issue::Opposite { word: word(given), opposite: word(flipped(given)) });
            }
        }
        if noun_at.is_none() {
            issues.push(Issue::Missing { word: self.noun.name });
        }
        if let Some(other) = other_noun {
            issues.push(Issue::NotInTask { word: other.name });
        }
        if strangers && issues.is_empty() {
            issues.push(Issue::NeedlessWords);
        }
        let nothing_flipped = place(adjective).is_none() && place(state).is_none() && noun_at.is_none();
        Marks {
            relevant: !nothing_flipped,
            elements: vec![before, noun_at.is_some(), after],
            wrong: strangers || other_noun.is_some(),
            repeated: false,
            well_formed: is_answer(&tokens.join(" ")),
            issues,
        }
    }
}

fn write(adjective: Side, noun: &str, state: Side) -> String {
    fill(ANSWER, &[word(adjective), noun, word(state)])
}

fn is_answer(text: &str) -> bool {
    scan(ANSWER, text)
        .is_some_and(|slots| find(slots[0]).is_some() && item(slots[1]).is_some() && find(slots[2]).is_some())
}
