//! `Sort from small to big: whale, crab, fox.` → `Crab, fox, whale.`

use super::{Family, Marks};
use crate::microworld::draws::{one_of, weighted};
use crate::microworld::issues::Issue;
use crate::microworld::pattern::with_commas;
use crate::microworld::words::{Item, animals, distinct, item, items_in};
use crate::recipe::seeds::Stream;

/// Two or three animals of different sizes, in the order of the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    given: Vec<&'static Item>,
}

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    Order,
    Missing,
    Stranger,
}

impl Family for Sort {
    const WORDINGS: &'static [&'static str] =
        &["sort from small to big : {animals} .", "order by size , small first : {animals} ."];

    fn invent(stream: &mut Stream) -> Self {
        let mut all: Vec<&'static Item> = animals().to_vec();
        stream.shuffle(&mut all);
        let count = 2 + stream.below(2);
        let mut given: Vec<&'static Item> = Vec::new();
        for animal in all {
            if given.len() < count && given.iter().all(|other| other.size != animal.size) {
                given.push(animal);
            }
        }
        Self { given }
    }

    fn slots(&self) -> Vec<String> {
        vec![names(&self.given)]
    }

    fn read(slots: &[&str]) -> Option<Self> {
        let &[list] = slots else { return None };
        let given: Vec<&'static Item> = list.split(" , ").map(item).collect::<Option<_>>()?;
        let mut sizes: Vec<u8> = given.iter().map(|animal| animal.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let comparable = sizes.len() == given.len() && sizes.first().is_some_and(|size| *size > 0);
        (comparable && (2..=3).contains(&given.len())).then_some(Self { given })
    }

    fn flawless(&self, _: &mut Stream) -> String {
        write(&self.sorted())
    }

    fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        let mut answer = self.sorted();
        let first = weighted(stream, &[(Slip::Order, 0.6), (Slip::Missing, 0.2), (Slip::Stranger, 0.2)]);
        if first == Slip::Order || slips > 1 {
            let at = stream.below(answer.len() - 1);
            answer.swap(at, at + 1);
            if slips > 1 && first == Slip::Order && answer.len() > 2 {
                answer = self.sorted();
                answer.reverse();
            }
        }
        let at = stream.below(answer.len());
        match first {
            Slip::Missing => {
                answer.remove(at);
            }
            Slip::Stranger => {
                let strangers: Vec<&'static Item> =
                    animals().iter().copied().filter(|animal| !self.given.contains(animal)).collect();
                answer[at] = *one_of(stream, &strangers);
            }
            Slip::Order => {}
        }
        write(&answer)
    }

    fn mark(&self, tokens: &[&str]) -> Marks {
        let all = items_in(tokens);
        let named = distinct(&all);
        let sorted = self.sorted();
        let place = |animal: &Item| named.iter().position(|item| item.name == animal.name);
        let mut elements = vec![sorted.iter().all(|animal| place(animal).is_some())];
        let mut missing: Vec<Issue> = Vec::new();
        let mut disorder: Vec<Issue> = Vec::new();
        for (rank, smaller) in sorted.iter().enumerate() {
            if place(smaller).is_none() {
                missing.push(Issue::Missing { word: smaller.name });
            }
            for bigger in &sorted[rank + 1..] {
                let in_order = matches!((place(smaller), place(bigger)), (Some(a), Some(b)) if a < b);
                elements.push(in_order);
                if !in_order && place(smaller).is_some() && place(bigger).is_some() {
                    disorder.push(Issue::Bigger { bigger: bigger.name, smaller: smaller.name });
                }
            }
        }
        let strangers: Vec<Issue> = named
            .iter()
            .filter(|item| !sorted.contains(item))
            .map(|item| Issue::NotInTask { word: item.name })
            .collect();
        Marks {
            relevant: missing.len() < sorted.len(),
            elements,
            wrong: !strangers.is_empty() || !disorder.is_empty(),
            repeated: named.len() < all.len(),
            well_formed: is_answer(tokens),
            issues: disorder.into_iter().chain(strangers).chain(missing).collect(),
        }
    }
}

impl Sort {
    fn sorted(&self) -> Vec<&'static Item> {
        let mut sorted = self.given.clone();
        sorted.sort_by_key(|animal| animal.size);
        sorted
    }
}

fn names(items: &[&Item]) -> String {
    let names: Vec<&str> = items.iter().map(|item| item.name).collect();
    with_commas(&names)
}

fn write(items: &[&Item]) -> String {
    format!("{} .", names(items))
}

fn is_answer(tokens: &[&str]) -> bool {
    let [body @ .., "."] = tokens else { return false };
    !body.is_empty() && body.join(" ").split(" , ").all(|name| item(name).is_some_and(|animal| animal.size > 0))
}
