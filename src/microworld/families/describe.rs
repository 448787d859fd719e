//! `What is a lemon?` → `A lemon is a yellow fruit that tastes sour.`

use super::{Family, Marks, other_than, some_of};
use crate::microworld::draws::one_of;
use crate::microworld::issues::Issue;
use crate::microworld::pattern::{contains_phrase, fill, scan, with_article, without_article};
use crate::microworld::words::{CLAUSES, COLOURS, Category, ITEMS, Item, item};
use crate::recipe::seeds::Stream;

pub(in crate::microworld) const ANSWER: &str = "{item} is {kind} that {clause} .";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Describe {
    item: &'static Item,
}

impl Family for Describe {
    const WORDINGS: &'static [&'static str] =
        &["describe {item} in one sentence .", "what is {item} ?", "tell me what {item} is ."];

    fn invent(stream: &mut Stream) -> Self {
        Self { item: one_of(stream, &ITEMS) }
    }

    fn slots(&self) -> Vec<String> {
        vec![with_article(self.item.name)]
    }

    fn read(slots: &[&str]) -> Option<Self> {
        let &[phrase] = slots else { return None };
        Some(Self { item: item(without_article(phrase)?)? })
    }

    fn flawless(&self, _: &mut Stream) -> String {
        write(self.item, self.item.category, self.item.colour, self.item.clause())
    }

    fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        let (mut category, mut colour, mut clause) = (self.item.category, self.item.colour, self.item.clause());
        let parts = if colour.is_empty() { 2 } else { 3 };
        for slip in some_of(parts, slips.min(parts), stream) {
            match slip {
                0 => category = other_than(&Category::ALL, category, stream),
                1 => {
                    let clauses: Vec<&'static str> = CLAUSES.iter().map(|(_, clause)| *clause).collect();
                    // Half of the wrong clauses are near misses: the other nature of the same kind of thing.
                    let near = near_clauses(self.item);
                    let choices = if stream.below(2) == 0 { &near } else { &clauses };
                    clause = other_than(choices, clause, stream);
                }
                _ => colour = other_than(&COLOURS, colour, stream),
            }
        }
        write(self.item, category, colour, clause)
    }

    fn mark(&self, tokens: &[&str]) -> Marks {
        let Item { name, category, colour, .. } = *self.item;
        let named = tokens.contains(&name);
        let right_category = tokens.contains(&category.word());
        let right_colour = tokens.contains(&colour);
        let right_clause = contains_phrase(tokens, self.item.clause());
        let other_item = tokens.iter().filter_map(|token| item(token)).find(|item| item.name != name);
        let other_category = tokens.iter().filter_map(|token| Category::from_word(token)).any(|said| said != category);
        let other_colour = COLOURS.iter().any(|other| *other != colour && tokens.contains(other));
        let other_clause =
            CLAUSES.iter().any(|(_, clause)| *clause != self.item.clause() && contains_phrase(tokens, clause));
        let fact = |fact: String| Issue::Fact { item: name, fact };
        let mut issues = Vec::new();
        if !named {
            issues.push(Issue::Missing { word: name });
        }
        if !right_category || other_category {
            issues.push(fact(format!("is {}", with_article(category.word()))));
        }
        if !colour.is_empty() && (!right_colour || other_colour) {
            issues.push(fact(format!("is {colour}")));
        }
        if !right_clause || other_clause {
            issues.push(fact(self.item.clause().to_owned()));
        }
        if let Some(other) = other_item {
            issues.push(Issue::NotInTask { word: other.name });
        }
        // A colour for a thing that has none of its own is needless rather than false.
        if issues.is_empty() && other_colour {
            issues.push(Issue::NeedlessWords);
        }
        let mut elements = vec![named, right_category, right_clause];
        if !colour.is_empty() {
            elements.push(right_colour);
        }
        Marks {
            relevant: named || right_clause,
            elements,
            wrong: other_item.is_some() || other_category || other_colour || other_clause,
            repeated: false,
            well_formed: is_answer(&tokens.join(" ")),
            issues,
        }
    }
}

fn near_clauses(item: &Item) -> Vec<&'static str> {
    let mut clauses: Vec<&'static str> =
        ITEMS.iter().filter(|other| other.category == item.category).map(Item::clause).collect();
    clauses.sort_unstable();
    clauses.dedup();
    clauses
}

fn write(item: &Item, category: Category, colour: &str, clause: &str) -> String {
    let kind = format!("{colour} {}", category.word());
    fill(ANSWER, &[&with_article(item.name), &with_article(kind.trim_start()), clause])
}

fn is_answer(text: &str) -> bool {
    scan(ANSWER, text).is_some_and(|slots| {
        let kind = without_article(slots[1]).unwrap_or_default();
        let (colour, category) = kind.split_once(' ').unwrap_or((COLOURS[0], kind));
        without_article(slots[0]).and_then(item).is_some()
            && COLOURS.contains(&colour)
            && Category::from_word(category).is_some()
            && CLAUSES.iter().any(|(_, clause)| *clause == slots[2])
    })
}
