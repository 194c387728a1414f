//! Whole numbers in a query, refused in words where they are none: what counts something is never 0, by its type.

use std::num::NonZeroU32;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};

/// A whole number that is written in digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<T>(pub T);

/// Which numbers there are of a type.
pub trait Extent {
    /// As a sentence goes on after "whole number".
    const EXTENT: &str;
}

impl Extent for NonZeroU32 {
    const EXTENT: &str = "from 1 to 4294967295";
}

impl Extent for usize {
    const EXTENT: &str = "from 0 up";
}

impl Extent for u64 {
    const EXTENT: &str = "from 0 up";
}

impl<'de, T: FromStr + Extent> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse = |_| D::Error::custom(format!("must be a whole number {}, not `{text}`", T::EXTENT));
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
            assert_eq!(sentence, format!("must be a whole number from 1 to 4294967295, not `{text}`"));
        }
        assert_eq!(
            read::<u64>("99999999999999999999").unwrap_err(),
            "must be a whole number from 0 up, not `99999999999999999999`"
        );
    }
}
