//! What exists in the world: sixty-four things, what they are, and which groups they form.
//!
//! Every statement that the world calls true comes from this table. Sizes are classes, not measures: two animals of one
//! class (a horse and a cow) are never compared, so that no careful reader can dispute an order.

use std::sync::LazyLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    Fruit,
    Vegetable,
    Animal,
    Tool,
    Garment,
    Vehicle,
    Instrument,
}

impl Category {
    pub const ALL: [Self; 7] =
        [Self::Fruit, Self::Vegetable, Self::Animal, Self::Tool, Self::Garment, Self::Vehicle, Self::Instrument];

    pub fn word(self) -> &'static str {
        match self {
            Self::Fruit => "fruit",
            Self::Vegetable => "vegetable",
            Self::Animal => "animal",
            Self::Tool => "tool",
            Self::Garment => "garment",
            Self::Vehicle => "vehicle",
            Self::Instrument => "instrument",
        }
    }

    pub fn plural(self) -> &'static str {
        match self {
            Self::Fruit => "fruits",
            Self::Vegetable => "vegetables",
            Self::Animal => "animals",
            Self::Tool => "tools",
            Self::Garment => "garments",
            Self::Vehicle => "vehicles",
            Self::Instrument => "instruments",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.word() == word)
    }
}

/// One thing. `colour` is empty where things of its kind come in any colour; `size` is 0 for everything but animals.
#[derive(Debug, PartialEq, Eq)]
pub struct Item {
    pub name: &'static str,
    pub category: Category,
    pub colour: &'static str,
    pub nature: &'static str,
    pub size: u8,
}

impl Item {
    /// What one says about it after `that`: a lemon is a fruit that `tastes sour`.
    pub fn clause(&self) -> &'static str {
        clause_of(self.nature)
    }
}

/// The clause that states a nature.
pub fn clause_of(nature: &str) -> &'static str {
    CLAUSES.iter().find(|(known, _)| *known == nature).map_or("", |(_, clause)| clause)
}

pub const COLOURS: [&str; 3] = ["red", "yellow", "green"];

/// Each nature with its clause. Natures of one category stand together.
pub const CLAUSES: [(&str, &str); 15] = [
    ("sweet", "tastes sweet"),
    ("sour", "tastes sour"),
    ("above", "grows above the ground"),
    ("under", "grows under the ground"),
    ("farm", "lives on a farm"),
    ("sea", "lives in the sea"),
    ("forest", "lives in the forest"),
    ("garden", "is used in the garden"),
    ("kitchen", "is used in the kitchen"),
    ("winter", "is worn in winter"),
    ("summer", "is worn in summer"),
    ("land", "moves on land"),
    ("water", "moves on water"),
    ("string", "has strings"),
    ("wind", "is played with air"),
];

const fn thing(name: &'static str, category: Category, nature: &'static str) -> Item {
    Item { name, category, colour: "", nature, size: 0 }
}

const fn plant(name: &'static str, category: Category, colour: &'static str, nature: &'static str) -> Item {
    Item { name, category, colour, nature, size: 0 }
}

const fn animal(name: &'static str, nature: &'static str, size: u8) -> Item {
    Item { name, category: Category::Animal, colour: "", nature, size }
}

pub static ITEMS: [Item; 64] = [
    plant("apple", Category::Fruit, "red", "sweet"),
    plant("cherry", Category::Fruit, "red", "sweet"),
    plant("strawberry", Category::Fruit, "red", "sweet"),
    plant("cranberry", Category::Fruit, "red", "sour"),
    plant("banana", Category::Fruit, "yellow", "sweet"),
    plant("mango", Category::Fruit, "yellow", "sweet"),
    plant("lemon", Category::Fruit, "yellow", "sour"),
    plant("grapefruit", Category::Fruit, "yellow", "sour"),
    plant("lime", Category::Fruit, "green", "sour"),
    plant("pear", Category::Fruit, "green", "sweet"),
    plant("tomato", Category::Vegetable, "red", "above"),
    plant("pepper", Category::Vegetable, "red", "above"),
    plant("radish", Category::Vegetable, "red", "under"),
    plant("beet", Category::Vegetable, "red", "under"),
    plant("pea", Category::Vegetable, "green", "above"),
    plant("cucumber", Category::Vegetable, "green", "above"),
    plant("lettuce", Category::Vegetable, "green", "above"),
    plant("cabbage", Category::Vegetable, "green", "above"),
    plant("leek", Category::Vegetable, "green", "above"),
    plant("onion", Category::Vegetable, "yellow", "under"),
    animal("horse", "farm", 7),
    animal("cow", "farm", 7),
    animal("pig", "farm", 5),
    animal("hen", "farm", 2),
    animal("whale", "sea", 9),
    animal("shark", "sea", 8),
    animal("seal", "sea", 5),
    animal("crab", "sea", 1),
    animal("bear", "forest", 6),
    animal("wolf", "forest", 4),
    animal("fox", "forest", 3),
    animal("owl", "forest", 2),
    thing("shovel", Category::Tool, "garden"),
    thing("rake", Category::Tool, "garden"),
    thing("hoe", Category::Tool, "garden"),
    thing("spade", Category::Tool, "garden"),
    thing("spoon", Category::Tool, "kitchen"),
    thing("knife", Category::Tool, "kitchen"),
    thing("fork", Category::Tool, "kitchen"),
    thing("pan", Category::Tool, "kitchen"),
    thing("coat", Category::Garment, "winter"),
    thing("scarf", Category::Garment, "winter"),
    thing("glove", Category::Garment, "winter"),
    thing("boot", Category::Garment, "winter"),
    thing("sandal", Category::Garment, "summer"),
    thing("swimsuit", Category::Garment, "summer"),
    thing("cap", Category::Garment, "summer"),
    thing("dress", Category::Garment, "summer"),
    thing("car", Category::Vehicle, "land"),
    thing("bus", Category::Vehicle, "land"),
    thing("train", Category::Vehicle, "land"),
    thing("truck", Category::Vehicle, "land"),
    thing("boat", Category::Vehicle, "water"),
    thing("ship", Category::Vehicle, "water"),
    thing("ferry", Category::Vehicle, "water"),
    thing("canoe", Category::Vehicle, "water"),
    thing("guitar", Category::Instrument, "string"),
    thing("violin", Category::Instrument, "string"),
    thing("harp", Category::Instrument, "string"),
    thing("banjo", Category::Instrument, "string"),
    thing("flute", Category::Instrument, "wind"),
    thing("trumpet", Category::Instrument, "wind"),
    thing("horn", Category::Instrument, "wind"),
    thing("oboe", Category::Instrument, "wind"),
];

/// The thing of this name.
pub fn item(name: &str) -> Option<&'static Item> {
    ITEMS.iter().find(|item| item.name == name)
}

/// The things that a text names, in order, with repetitions.
pub fn items_in(tokens: &[&str]) -> Vec<&'static Item> {
    tokens.iter().filter_map(|token| item(token)).collect()
}

/// The same without repetitions.
pub fn distinct(items: &[&'static Item]) -> Vec<&'static Item> {
    let mut seen: Vec<&'static Item> = Vec::new();
    for &item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

pub fn animals() -> &'static [&'static Item] {
    static ANIMALS: LazyLock<Vec<&'static Item>> =
        LazyLock::new(|| ITEMS.iter().filter(|item| item.category == Category::Animal).collect());
    &ANIMALS
}

/// Things that one can ask for together: a whole category, or those of it with one attribute.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    /// Empty for a whole category.
    pub attribute: &'static str,
    pub category: Category,
}

impl Group {
    pub fn holds(&self, item: &Item) -> bool {
        item.category == self.category
            && (self.attribute.is_empty() || item.colour == self.attribute || item.nature == self.attribute)
    }

    pub fn members(&self) -> Vec<&'static Item> {
        ITEMS.iter().filter(|item| self.holds(item)).collect()
    }

    /// `red fruit`
    pub fn singular(&self) -> String {
        self.named(self.category.word())
    }

    /// `red fruits`
    pub fn plural(&self) -> String {
        self.named(self.category.plural())
    }

    fn named(&self, category: &str) -> String {
        if self.attribute.is_empty() { category.to_owned() } else { format!("{} {category}", self.attribute) }
    }
}

/// All groups with at least four members, whole categories first. `above` and `under` are no adjectives, so they name none.
pub fn groups() -> &'static [Group] {
    static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
        let attributes = COLOURS.into_iter().chain(CLAUSES.into_iter().map(|(nature, _)| nature));
        let attributes: Vec<&'static str> = attributes.filter(|name| !matches!(*name, "above" | "under")).collect();
        let whole = Category::ALL.into_iter().map(|category| Group { attribute: "", category });
        let part = Category::ALL
            .into_iter()
            .flat_map(|category| attributes.iter().map(move |&attribute| Group { attribute, category }));
        whole.chain(part).filter(|group| group.members().len() >= 4).collect()
    });
    &GROUPS
}

/// The number words that tasks and reviews use.
pub const NUMBERS: [&str; 4] = ["none", "one", "two", "three"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        assert_eq!(groups().len(), 24);
        for item in &ITEMS {
            assert!(!item.clause().is_empty(), "{} has no clause", item.name);
            assert_eq!(super::item(item.name), Some(item), "two things are called {}", item.name);
            assert_eq!(item.size > 0, item.category == Category::Animal);
        }
        // Natures belong to one category each, so that a clause never fits two kinds of thing.
        for (nature, _) in CLAUSES {
            let mut kinds: Vec<Category> =
                ITEMS.iter().filter(|item| item.nature == nature).map(|item| item.category).collect();
            kinds.dedup();
            assert_eq!(kinds.len(), 1, "{nature}");
        }
    }
}
