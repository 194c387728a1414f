//! What handlers take: values that are already right, refused in our own words where they are not.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, Visitor};

use super::body;
use super::error::{Code, Error};
use super::state::App;
use crate::words::nearest;

/// The largest JSON body. A network of a thousand layers is a tenth of it.
pub const JSON_LIMIT: usize = 1 << 20;

/// A path's variable parts.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub struct Path<T>(pub T);

/// The query of routes that take none.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub struct NoOptions {}

/// The keys that a route's query may hold.
#[derive(Debug, Clone, Copy)]
pub struct Keys(&'static [&'static str]);

impl Keys {
    /// The fields of `T`.
    pub fn of<T: DeserializeOwned>() -> Self {
        Self(fields::<T>())
    }

    /// Their names.
    pub fn names(self) -> &'static [&'static str] {
        self.0
    }

    /// Whether each key of `uri`'s query is one of these, at most once.
    pub fn check(self, uri: &Uri) -> Result<(), Error> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|e| unreadable(&e))?;
        for (i, (key, _)) in pairs.iter().enumerate() {
            if !self.0.contains(&key.as_str()) {
                return Err(Error::new(Code::BadQuery, unknown("query key", key, self.0)));
            }
            if pairs[..i].iter().any(|(earlier, _)| earlier == key) {
                return Err(Error::new(Code::BadQuery, format!("the query key `{key}` is there twice: give it once")));
            }
        }
        Ok(())
    }
}

/// The rejection's own sentence says only that something failed; its source says what and where.
fn unreadable(e: &dyn std::error::Error) -> Error {
    let reason = e.source().map_or_else(|| e.to_string(), ToString::to_string);
    Error::new(Code::BadQuery, format!("the query cannot be read: {reason}"))
}

/// A query's values. Its keys were checked by its route.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|axum::extract::Query(query)| Self(query)).map_err(|e| unreadable(&e))
    }
}

/// A query value that is written as one of a few words.
#[derive(Debug, Clone, Copy)]
pub struct Word<T>(pub T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

/// A sentence about a name that is not among the `known` ones.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let hint = nearest(name, known).map_or_else(String::new, |near| format!(" Did you mean `{near}`?"));
    match known {
        [] => format!("there is no {what} `{name}`; none is taken here"),
        _ => format!("there is no {what} `{name}`.{hint} There are: {}", known.join(", ")),
    }
}

/// A JSON body. Its Content-Type is not looked at, since curl's `-d` sends a form's.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        let held = body::read(request.into_body(), JSON_LIMIT, app).await?;
        let read = serde_json::from_slice(&held);
        read.map(Self).map_err(|e| Error::new(Code::BadRequest, format!("the body is not the JSON that is taken here: {e}")))
    }
}

/// The names of a struct's fields, as its `Deserialize` has them: no second list of them anywhere.
fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    // It fails by design, once it has heard the names.
    let _ = T::deserialize(FieldNames(&mut fields));
    fields
}

struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only a struct has fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(de::Error::custom(fmt::Error))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    struct Options {
        top_k: Option<usize>,
        #[serde(rename = "model")]
        name: Option<String>,
    }

    #[test]
    fn the_keys_are_the_structs_fields() {
        assert_eq!(fields::<Options>(), ["top_k", "model"]);
    }

    async fn query(text: &str) -> Result<Query<Options>, Error> {
        let (mut parts, ()) = axum::http::Request::builder().uri(format!("/?{text}")).body(()).unwrap().into_parts();
        Keys::of::<Options>().check(&parts.uri)?;
        Query::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_wrong_key_is_answered_with_the_nearest() {
        assert_eq!(query("top_k=3&model=a%20b").await.unwrap().0.name.as_deref(), Some("a b"));
        let message = |e: Result<Query<Options>, Error>| format!("{:?}", e.err().unwrap());
        assert!(message(query("topk=3").await).contains("no query key `topk`. Did you mean `top_k`?"));
        assert!(message(query("top_k=3&top_k=4").await).contains("twice"));
        assert!(message(query("top_k=many").await).contains("top_k: invalid digit"));
    }
}
