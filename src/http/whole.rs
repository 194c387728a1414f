//! Whole numbers in a query, refused in words where they are none: what counts something is never 0, by its type.

use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

/// A whole number that is written in digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<T>(pub T);

/// Which numbers there are of a type.
pub trait Extent {
    /// As the end of a sentence.
    const EXTENT: &str;
}

impl Extent for NonZeroU32 {
    const EXTENT: &str = "at least 1 and at most 4294967295";
}

impl Extent for usize {
    const EXTENT: &str = "0 or more";
}

impl Extent for u64 {
    const EXTENT: &str = "0 or more";
}

impl<'de, T: FromStr + Extent> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse = |_| D::Error::custom(format!("`{text}` is not a whole number, {}", T::EXTENT));
        text.parse().map(Self).map_err(refuse)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{Error as Refused, StrDeserializer};

    use super::*;

    fn read<T: FromStr + Extent>(text: &str) -> Result<T, String> {
        let read = Whole::deserialize(StrDeserializer::<Refused>::new(text));
        read.map(|Whole(number)| number).map_err(|e| e.to_string())
    }

    #[test]
    fn a_count_is_at_least_one_and_what_is_no_number_is_quoted() {
        assert_eq!(read::<NonZeroU32>("7").unwrap().get(), 7);
        assert_eq!(read::<usize>("0"), Ok(0));
        for text in ["0", "-1", "1.5", "", "many", "99999999999999999999"] {
            let sentence = read::<NonZeroU32>(text).unwrap_err();
            assert_eq!(sentence, format!("`{text}` is not a whole number, at least 1 and at most 4294967295"));
        }
        assert_eq!(read::<u64>("99999999999999999999").unwrap_err(), "`99999999999999999999` is not a whole number, 0 or more");
    }
}
