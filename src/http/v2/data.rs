//! A tensor's elements as JSON: a list of numbers or of strings, flat or nested as its shape is, row by row either way.
//!
//! What it is a tensor of is said elsewhere, perhaps only after it, so numbers are kept as the smallest type that holds every one
//! that can be right: a body of the largest size becomes twice as many bytes at most, where a tree of JSON values would be
//! twenty times as many.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// More strings than places there can ever be for images.
const MOST_TEXTS: usize = 100_000;

/// The elements, in order.
#[derive(Debug, Default, PartialEq)]
pub struct Data<'a> {
    /// Those that are numbers.
    pub numbers: Vec<f32>,
    /// The first number that is no whole one in 0 to 255, and where it is.
    pub no_byte: Option<(usize, f64)>,
    /// Those that are strings.
    pub texts: Vec<Cow<'a, str>>,
}

struct Elements<'d, 'a>(&'d mut Data<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Data<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data = Self::default();
        deserializer.deserialize_seq(Elements(&mut data))?;
        Ok(data)
    }
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Elements<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Elements<'_, 'a> {
    fn number(self, value: f64) {
        if self.0.no_byte.is_none() && !((0.0..=255.0).contains(&value) && value.fract() == 0.0) {
            self.0.no_byte = Some((self.0.numbers.len(), value));
        }
        self.0.numbers.push(value as f32);
    }

    fn text<E: Error>(self, text: Cow<'a, str>) -> Result<(), E> {
        if self.0.texts.len() == MOST_TEXTS {
            return Err(E::custom(format!("more than {MOST_TEXTS} strings")));
        }
        self.0.texts.push(text);
        Ok(())
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers or of strings, flat or nested")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Elements(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(value);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f64);
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_lists_are_read_row_by_row() {
        let data: Data<'_> = serde_json::from_str("[[[0, 255], [1.0, 2]], [[0.25, -1], [256, 3]]]").unwrap();
        assert_eq!(data.numbers, [0.0, 255.0, 1.0, 2.0, 0.25, -1.0, 256.0, 3.0]);
        assert_eq!(data.no_byte, Some((4, 0.25)));
        assert_eq!(serde_json::from_str::<Data<'_>>("[0, 255, 7.0]").unwrap().no_byte, None);
        for (text, value) in [("[255, 256]", 256.0), ("[0, -1]", -1.0), ("[0, 0.5]", 0.5)] {
            assert_eq!(serde_json::from_str::<Data<'_>>(text).unwrap().no_byte, Some((1, value)));
        }
    }

    #[test]
    fn strings_stay_where_they_are_and_everything_else_is_refused() {
        let data: Data<'_> = serde_json::from_str(r#"["aGk=", "a\/b"]"#).unwrap();
        assert!(matches!(data.texts.as_slice(), [Cow::Borrowed("aGk="), Cow::Owned(escaped)] if escaped == "a/b"));
        for text in ["7", "\"a\"", "[true]", "[null]", "[{}]", "{}", "[1e999]", "[NaN]"] {
            assert!(serde_json::from_str::<Data<'_>>(text).is_err(), "{text}");
        }
        // Lists in lists end before the stack does.
        assert!(serde_json::from_str::<Data<'_>>(&"[".repeat(100_000)).is_err());
    }
}
