//! `Which word is the vegetable: beet, apple, cap?` → `Beet is a vegetable.`

use super::{Family, Marks, other_than, some_of};
use crate::microworld::draws::one_of;
use crate::microworld::issues::Issue;
use crate::microworld::pattern::{fill, scan, with_article, with_commas, without_article};
use crate::microworld::words::{Category, ITEMS, Item, distinct, item, items_in};
use crate::recipe::seeds::Stream;

pub(in crate::microworld) const ANSWER: &str = "{word} is {category} .";

/// Three words; exactly one is of the category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    category: Category,
    words: [&'static Item; 3],
}

impl Family for Pick {
    const WORDINGS: &'static [&'static str] =
        &["which word is the {category} : {words} ?", "find the {category} : {words} ."];

    fn invent(stream: &mut Stream) -> Self {
        let category = *one_of(stream, &Category::ALL);
        let fitting: Vec<&'static Item> = ITEMS.iter().filter(|item| item.category == category).collect();
        let mut others: Vec<&'static Item> = ITEMS.iter().filter(|item| item.category != category).collect();
        stream.shuffle(&mut others);
        let mut words = [*one_of(stream, &fitting), others[0], others[1]];
        stream.shuffle(&mut words);
        Self { category, words }
    }

    fn slots(&self) -> Vec<String> {
        vec![self.category.word().to_owned(), with_commas(&self.words.map(|word| word.name))]
    }

    fn read(slots: &[&str]) -> Option<Self> {
        let &[category, words] = slots else { return None };
        let category = Category::from_word(category)?;
        let words: Vec<&'static Item> = words.split(" , ").map(item).collect::<Option<_>>()?;
        let words: [&'static Item; 3] = words.try_into().ok()?;
        let one_fits = words.iter().filter(|word| word.category == category).count() == 1;
        (one_fits && distinct(&words).len() == 3).then_some(Self { category, words })
    }

    fn flawless(&self, _: &mut Stream) -> String {
        write(self.right().name, self.category)
    }

    fn slipped(&self, slips: usize, stream: &mut Stream) -> String {
        let (mut word, mut category) = (self.right(), self.category);
        for slip in some_of(2, slips, stream) {
            match slip {
                0 => word = other_than(&self.words, word, stream),
                _ => category = other_than(&Category::ALL, category, stream),
            }
        }
        write(word.name, category)
    }

    fn mark(&self, tokens: &[&str]) -> Marks {
        let named = distinct(&items_in(tokens));
        let categories: Vec<Category> = tokens.iter().filter_map(|token| Category::from_word(token)).collect();
        let right = self.right();
        let names_right = named.contains(&right);
        let says_category = categories.contains(&self.category);
        let alone = named.len() == 1;
        let mut issues = Vec::new();
        for word in &named {
            if !self.words.contains(word) {
                issues.push(Issue::NotInTask { word: word.name });
            } else if *word != right {
                issues.push(Issue::NotA { item: word.name, kind: self.category.word().to_owned() });
            }
        }
        if !says_category || categories.iter().any(|said| *said != self.category) || !names_right {
            issues.push(Issue::IsA { item: right.name, kind: self.category.word() });
        }
        Marks {
            relevant: named.iter().any(|word| self.words.contains(word)),
            elements: vec![
                named.iter().any(|word| self.words.contains(word)),
                names_right,
                names_right && says_category,
            ],
            wrong: !alone || categories.iter().any(|said| *said != self.category),
            repeated: false,
            well_formed: is_answer(&tokens.join(" ")),
            issues,
        }
    }
}

impl Pick {
    fn right(&self) -> &'static Item {
        let [first, second, third] = self.words;
        if first.category == self.category {
            first
        } else if second.category == self.category {
            second
        } else {
            third
        }
    }
}

fn write(word: &str, category: Category) -> String {
    fill(ANSWER, &[word, &with_article(category.word())])
}

fn is_answer(text: &str) -> bool {
    scan(ANSWER, text).is_some_and(|slots| {
        item(slots[0]).is_some() && without_article(slots[1]).and_then(Category::from_word).is_some()
    })
}
