//! A layer list as it was written, before it means anything: values with the lines they stand in, and a reader of plain
//! structs from them whose errors a person can follow.
//!
//! `toml` and `serde_json` know where a value stands only until serde's `flatten` and `try_from` have put it elsewhere, and
//! say "expected usize". So both are read into [`Item`]s, and the structs of [`super::spec`] from these.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::fault::Fault;
use super::infer::MOST_FAULTS;
use crate::words::nearest;

/// A value and its line, from 1; none where it did not come as a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) line: Option<usize>,
    pub(super) value: Value,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Whole(i128),
    Number(f64),
    Truth(bool),
    List(Vec<Item>),
    Table(Vec<(String, Item)>),
    /// What no layer takes.
    Other(&'static str),
}

/// Faults of one struct: lines and sentences.
#[derive(Debug, PartialEq)]
pub(super) struct Wrong(pub(super) Vec<(Option<usize>, String)>);

/// What follows from the layer before. PyTorch wants it written.
pub(super) const DERIVED: [&str; 3] = ["in_channels", "in_features", "num_features"];

/// `T` from the keys and values in `table`, or everything that is wrong with them.
pub(super) fn read<T: de::DeserializeOwned>(table: &[(String, Item)]) -> Result<T, Wrong> {
    T::deserialize(Table(table))
}

/// `T` from one value.
pub(super) fn read_item<T: de::DeserializeOwned>(item: &Item) -> Result<T, Wrong> {
    T::deserialize(item)
}

/// What is wrong with `key` where only `known` may stand.
pub(super) fn unknown_key(key: &str, known: &[&str]) -> String {
    let hint = match nearest(key, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it takes none".into(),
        None => format!("it takes `{}`", known.join("`, `")),
    };
    format!("there is no argument `{key}`; {hint}")
}

impl Item {
    /// The document in `text`, or every place where it is no TOML.
    pub(super) fn from_toml(text: &str) -> Result<Self, Vec<Fault>> {
        let (document, errors) = toml::de::DeTable::parse_recoverable(text);
        let lines = Lines(text.match_indices('\n').map(|(at, _)| at).collect());
        if errors.is_empty() {
            return Ok(Self { line: Some(1), value: lines.table(document.get_ref()) });
        }
        let fault = |error: &toml::de::Error| Fault {
            line: error.span().map(|span| lines.of(span.start)),
            error: format!("this is no TOML: {}", error.message()),
            ..Fault::default()
        };
        Err(errors.iter().take(MOST_FAULTS).map(fault).collect())
    }

    /// As it would be called in "a whole number, not …".
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::Text(text) => format!("{text:?}"),
            Value::Whole(number) => number.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Truth(truth) => truth.to_string(),
            Value::List(_) => "a list".into(),
            Value::Table(_) => "a table".into(),
            Value::Other(what) => (*what).into(),
        }
    }

    fn must_be(&self, what: &str) -> Wrong {
        Wrong(vec![(self.line, format!("must be {what}, not {}", self.shown()))])
    }
}

/// Where each line of a text ends.
struct Lines(Vec<usize>);

impl Lines {
    fn of(&self, at: usize) -> usize {
        self.0.partition_point(|&end| end < at) + 1
    }

    fn table(&self, table: &toml::de::DeTable<'_>) -> Value {
        let item = |(key, value): (&toml::Spanned<_>, &toml::Spanned<toml::de::DeValue<'_>>)| {
            let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
            (key.get_ref().to_string(), Item { line: Some(self.of(key.span().start)), value: self.value(value.get_ref()) })
        };
        Value::Table(table.iter().map(item).collect())
    }

    fn value(&self, value: &toml::de::DeValue<'_>) -> Value {
        use toml::de::DeValue;
        match value {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Whole(number),
                Err(_) => Value::Other("a number of so many digits"),
            },
            DeValue::Float(number) => number.as_str().parse().map_or(Value::Other("no number"), Value::Number),
            DeValue::Boolean(truth) => Value::Truth(*truth),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Array(list) => Value::List(
                list.iter()
                    .map(|item| Item { line: Some(self.of(item.span().start)), value: self.value(item.get_ref()) })
                    .collect(),
            ),
            DeValue::Table(table) => self.table(table),
        }
    }
}

/// Anything that describes itself (JSON), without lines.
impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a layer list")
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
                Ok(Value::Truth(truth))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Whole(number.into()))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Whole(number.into()))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.into()))
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other("null"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    items.push(item);
                }
                Ok(Value::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = map.next_entry()? {
                    items.push(item);
                }
                Ok(Value::Table(items))
            }
        }
        Ok(Self { line: None, value: deserializer.deserialize_any(Any)? })
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences: Vec<&str> = self.0.iter().map(|(_, sentence)| sentence.as_str()).collect();
        f.write_str(&sentences.join("; "))
    }
}

impl std::error::Error for Wrong {}

impl Wrong {
    pub(super) fn new(sentence: String) -> Self {
        Self(vec![(None, sentence)])
    }
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(sentence: T) -> Self {
        Self(vec![(None, sentence.to_string())])
    }

    fn missing_field(key: &'static str) -> Self {
        Self::custom(format!("`{key}` is missing"))
    }
}

/// A struct's keys and values.
struct Table<'a>(&'a [(String, Item)]);

impl<'de> Deserializer<'de> for Table<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(Entries { rest: self.0.iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let unknown = self.0.iter().filter(|(key, _)| !known.contains(&key.as_str()));
        let unknown: Vec<_> = unknown.map(|(key, item)| (item.line, unknown_key(key, known))).collect();
        if unknown.is_empty() { self.deserialize_any(visitor) } else { Err(Wrong(unknown)) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (String, Item)>,
    value: Option<&'a (String, Item)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Wrong;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.value = self.rest.next();
        self.value.map(|(key, _)| seed.deserialize(key.as_str().into_deserializer())).transpose()
    }

    fn next_value_seed<S: de::DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        let (key, item) = self.value.take().ok_or_else(|| <Wrong as de::Error>::custom("a value without its key"))?;
        let at_key = |(line, sentence): (Option<usize>, String)| (line.or(item.line), format!("`{key}` {sentence}"));
        seed.deserialize(item).map_err(|Wrong(faults)| Wrong(faults.into_iter().map(at_key).collect()))
    }
}

/// The wanted type is known here, so that a fault can say it in words.
impl<'de> Deserializer<'de> for &Item {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.value {
            Value::Table(table) => Table(table).deserialize_any(visitor),
            Value::Text(text) => visitor.visit_str(text),
            Value::Truth(truth) => visitor.visit_bool(*truth),
            _ => Err(self.must_be("something else")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Whole(number) => match u64::try_from(number) {
                Ok(number) => visitor.visit_u64(number),
                Err(_) if number < 0 => Err(self.must_be("a whole number of at least 0")),
                Err(_) => Err(self.must_be("a smaller whole number")),
            },
            _ => Err(self.must_be("a whole number")),
        }
    }

    /// serde narrows it.
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.value {
            Value::Whole(number) => visitor.visit_f64(number as f64),
            Value::Number(number) => visitor.visit_f64(number),
            _ => Err(self.must_be("a number")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if let Value::Truth(truth) = self.value { visitor.visit_bool(truth) } else { Err(self.must_be("true or false")) }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if let Value::Text(text) = &self.value { visitor.visit_str(text) } else { Err(self.must_be("a text in quotes")) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.value == Value::Other("null") { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let Value::Table(table) = &self.value else { return Err(self.must_be("a table of keys and values")) };
        Table(table).deserialize_struct(name, known, visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 char bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
