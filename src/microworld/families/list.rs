//! `Name three red fruits.` → `Apple, cherry and cranberry.`

use super::{Family, Marks, some_of};
use crate::microworld::draws::{one_of, weighted};
use crate::microworld::issues::Issue;
use crate::microworld::pattern::with_and;
use crate::microworld::words::{Group, ITEMS, Item, NUMBERS, distinct, groups, item, items_in};
use crate::recipe::seeds::Stream;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Two or three.
    count: usize,
    group: &'static Group,
}

#[derive(Clone, Copy, PartialEq)]
enum Slip {
    NearMiss,
    TooFew,
    TooMany,
}

impl Family for List {
    const WORDINGS: &'static [&'static str] =
        &["list {number} {group} .", "name {number} {group} .", "please give me {number} {group} ."];

    fn invent(stream: &mut Stream) -> Self {
        Self { group: one_of(stream, groups()), count: 2 + stream.below(2) }
    }

    fn slots(&self) -> Vec<String> {
        vec![NUMBERS[self.count].to_owned(), self.group.plural()]
    }

    fn read(slots: &[&str]) -> Option<Self> {
        let &[number, group] = slots else { return None };
        let count = (2..=3).find(|&count| NUMBERS[count] == number)?;
        Some(Self { count, group: groups().iter().find(|known| known.plural() == group)? })
    }

    fn flawless(&self, stream: &mut Stream) -> String {
        let mut members = self.group.members();
        stream.shuffle(&mut members);
        write(&members[..self.count])
    }

    fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        let mut members = self.group.members();
        stream.shuffle(&mut members);
        let spare = members.split_off(self.count);
        let slip = weighted(stream, &[(Slip::NearMiss, 0.6), (Slip::TooFew, 0.25), (Slip::TooMany, 0.15)]);
        match slip {
            Slip::TooFew => members.truncate(self.count - 1),
            Slip::TooMany => members.push(*one_of(stream, &spare)),
            Slip::NearMiss => {}
        }
        let misses = if slip == Slip::NearMiss { slips } else { slips - 1 };
        let near: Vec<&'static Item> = self.near_misses();
        let wrong = some_of(near.len(), misses, stream);
        for (place, wrong) in some_of(members.len(), misses, stream).into_iter().zip(wrong) {
            members[place] = near[wrong];
        }
        write(&members)
    }

    fn mark(&self, tokens: &[&str]) -> Marks {
        let named = items_in(tokens);
        let different = distinct(&named);
        let right = different.iter().filter(|item| self.group.holds(item)).count();
        let wanted = NUMBERS[self.count];
        let mut issues: Vec<Issue> = Vec::new();
        if let Some(stranger) = different.iter().find(|item| !self.group.holds(item)) {
            issues.push(Issue::NotA { item: stranger.name, kind: self.group.singular() });
        }
        if right < self.count {
            issues.push(Issue::ListsOnly { found: NUMBERS[right], wanted });
        }
        if different.len() > self.count {
            issues.push(Issue::ListsMore { wanted });
        }
        Marks {
            relevant: different.iter().any(|item| item.category == self.group.category),
            elements: (0..self.count).map(|slot| slot < right).collect(),
            wrong: different.len() > self.count || right < different.len(),
            repeated: different.len() < named.len(),
            well_formed: is_list(tokens),
            issues,
        }
    }
}

impl List {
    /// What one could take for a member: the rest of the category, or everything else when the category is the group.
    fn near_misses(&self) -> Vec<&'static Item> {
        let whole = self.group.attribute.is_empty();
        ITEMS.iter().filter(|item| !self.group.holds(item) && (whole || item.category == self.group.category)).collect()
    }
}

fn write(items: &[&Item]) -> String {
    let names: Vec<&str> = items.iter().map(|item| item.name).collect();
    format!("{} .", with_and(&names))
}

/// `item (, item)* and item .` or `item .`
fn is_list(tokens: &[&str]) -> bool {
    let [body @ .., "."] = tokens else { return false };
    let names: Vec<&str> = body.iter().copied().filter(|token| item(token).is_some()).collect();
    !names.is_empty() && with_and(&names) == body.join(" ")
}
