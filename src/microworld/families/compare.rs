//! `Which is bigger, a seal or a shark?` → `A shark is bigger than a seal.`

use super::{Family, Marks, other_than, some_of};
use crate::microworld::draws::one_of;
use crate::microworld::issues::Issue;
use crate::microworld::pattern::{fill, scan, with_article, without_article};
use crate::microworld::words::{Item, animals, distinct, item, items_in};
use crate::recipe::seeds::Stream;

pub(in crate::microworld) const ANSWER: &str = "{bigger} is bigger than {smaller} .";

/// Two animals of different size, in the order of the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    first: &'static Item,
    second: &'static Item,
}

impl Family for Compare {
    const WORDINGS: &'static [&'static str] =
        &["which is bigger , {first} or {second} ?", "is {first} bigger than {second} ?"];

    fn invent(stream: &mut Stream) -> Self {
        let first = *one_of(stream, animals());
        let others: Vec<&'static Item> = animals().iter().copied().filter(|other| other.size != first.size).collect();
        Self { first, second: *one_of(stream, &others) }
    }

    fn slots(&self) -> Vec<String> {
        vec![with_article(self.first.name), with_article(self.second.name)]
    }

    fn read(slots: &[&str]) -> Option<Self> {
        let &[first, second] = slots else { return None };
        let (first, second) = (item(without_article(first)?)?, item(without_article(second)?)?);
        (first.size > 0 && second.size > 0 && first.size != second.size).then_some(Self { first, second })
    }

    fn flawless(&self, _: &mut Stream) -> String {
        let (bigger, smaller) = self.ordered();
        write(bigger, smaller)
    }

    fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        let (mut bigger, mut smaller) = self.ordered();
        // The common slip is the wrong order; the rarer one is another animal. Two slips are both.
        let swap = slips > 1 || stream.below(4) > 0;
        if slips > 1 || !swap {
            let strangers: Vec<&'static Item> =
                animals().iter().copied().filter(|animal| *animal != bigger && *animal != smaller).collect();
            let stranger = other_than(&strangers, bigger, stream);
            match some_of(2, 1, stream)[..] {
                [0] => bigger = stranger,
                _ => smaller = stranger,
            }
        }
        if swap {
            std::mem::swap(&mut bigger, &mut smaller);
        }
        write(bigger, smaller)
    }

    fn mark(&self, tokens: &[&str]) -> Marks {
        let named = distinct(&items_in(tokens));
        let (bigger, smaller) = self.ordered();
        let exact = named == [bigger, smaller];
        let mut issues = Vec::new();
        if !exact {
            if named == [smaller, bigger] {
                issues.push(Issue::Bigger { bigger: bigger.name, smaller: smaller.name });
            }
            issues.extend(
                named
                    .iter()
                    .filter(|item| **item != bigger && **item != smaller)
                    .map(|item| Issue::NotInTask { word: item.name }),
            );
            issues.extend(
                [bigger, smaller]
                    .into_iter()
                    .filter(|animal| !named.contains(animal))
                    .map(|animal| Issue::Missing { word: animal.name }),
            );
            if issues.is_empty() {
                issues.push(Issue::Bigger { bigger: bigger.name, smaller: smaller.name });
            }
        } else if !tokens.contains(&"bigger") {
            issues.push(Issue::Missing { word: "bigger" });
        }
        Marks {
            relevant: named.contains(&bigger) || named.contains(&smaller),
            elements: vec![
                named.contains(&bigger) && named.contains(&smaller),
                named.first() == Some(&bigger),
                exact && tokens.contains(&"bigger"),
            ],
            wrong: named.iter().any(|item| *item != bigger && *item != smaller),
            repeated: false,
            well_formed: is_answer(&tokens.join(" ")),
            issues,
        }
    }
}

impl Compare {
    /// The bigger, then the smaller.
    fn ordered(&self) -> (&'static Item, &'static Item) {
        if self.first.size > self.second.size { (self.first, self.second) } else { (self.second, self.first) }
    }
}

fn write(bigger: &Item, smaller: &Item) -> String {
    fill(ANSWER, &[&with_article(bigger.name), &with_article(smaller.name)])
}

fn is_answer(text: &str) -> bool {
    scan(ANSWER, text).is_some_and(|slots| {
        slots.iter().all(|slot| without_article(slot).and_then(item).is_some_and(|animal| animal.size > 0))
    })
}
