//! A measured number that may be NaN or infinite. JSON has no such numbers; the journal writes them as strings, so that none is lost.
//!
//! Used by events that carry what an optimiser reports.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An `f64` that survives the journal bit for bit, NaN and infinities included.
#[derive(Clone, Copy, Default, PartialOrd)]
pub struct Num(pub f64);

impl PartialEq for Num {
    /// NaN equals NaN here: two facts are equal when they say the same.
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || (self.0.is_nan() && other.0.is_nan())
    }
}

impl fmt::Debug for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<f64> for Num {
    fn from(value: f64) -> Self {
        Num(value)
    }
}

impl Serialize for Num {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            value if value.is_finite() => to.serialize_f64(value),
            value if value.is_nan() => to.serialize_str("NaN"),
            value if value > 0.0 => to.serialize_str("Infinity"),
            _ => to.serialize_str("-Infinity"),
        }
    }
}

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Num;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
            }
            fn visit_f64<E>(self, value: f64) -> Result<Num, E> {
                Ok(Num(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Num, E> {
                Ok(Num(value as f64))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Num, E> {
                Ok(Num(value as f64))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Num, E> {
                match text {
                    "NaN" => Ok(Num(f64::NAN)),
                    "Infinity" => Ok(Num(f64::INFINITY)),
                    "-Infinity" => Ok(Num(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Num {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Num".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["number", "string"] })
    }
}

/// A score in the journal: the number, or the name of the reason why there is none.
pub mod scored {
    use std::fmt;

    use serde::{Deserialize, Deserializer, Serializer, de::IntoDeserializer};

    use crate::run::reasons::{Scored, Unscored};

    pub fn serialize<S: Serializer>(score: &Scored, to: S) -> Result<S::Ok, S::Error> {
        match score {
            Ok(value) => to.serialize_f64(*value),
            Err(why) => to.serialize_str(why.name()),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Scored, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Scored;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a score, or the reason why there is none")
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scored, E> {
                Ok(Ok(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scored, E> {
                Ok(Ok(value as f64))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scored, E> {
                Ok(Ok(value as f64))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Scored, E> {
                Unscored::deserialize(text.into_deserializer()).map(Err)
            }
        }
        from.deserialize_any(Visitor)
    }
}
