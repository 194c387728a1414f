//! The body of an inference request: admitted before it is read, as every image is, and cut where its JSON ends.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};

use super::super::body::{Arrival, Held};
use super::super::budget::Share;
use super::super::error::{Code, Error};
use super::super::state::App;
use crate::serving::Place;

/// Says how many bytes of a body are its JSON.
pub const JSON_LENGTH: &str = "inference-header-content-length";

/// Tensors out of JSON take so many times its bytes, at most, while they are read.
const READ: u64 = 4;
/// So much of that is not charged: whoever sends something small is not refused because others send something large.
const FREE: u64 = 256 << 10;

/// A body, with a place for its first image and the memory of what is made of it.
#[derive(Debug)]
pub struct Body {
    /// What came.
    pub bytes: Held,
    /// So many of them are JSON; behind it are tensors.
    pub json: usize,
    /// One.
    pub places: Vec<Place>,
    /// Of what is made of it.
    pub made: Arc<Share>,
}

impl FromRequest<Arc<App>> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Error> {
        plain(request.headers())?;
        let json = json_length(request.headers())?;
        let arrival = Arrival::of(request.body(), app.config.limits.body_bytes, app)?;
        let places = app.engine.admit(1)?;
        let bytes = arrival.read(request.into_body()).await?;
        let json = json.unwrap_or(bytes.len());
        if json > bytes.len() {
            let sentence =
                format!("`{JSON_LENGTH}` is {json}, and the body has {} bytes: it is the length of the JSON", bytes.len());
            return Err(Error::new(Code::BadRequest, sentence));
        }
        let memory = READ * json as u64 + (bytes.len() - json) as u64;
        let made = app.bodies.try_take(memory.saturating_sub(FREE)).ok_or_else(|| app.engine.full())?;
        Ok(Self { bytes, json, places, made: Arc::new(made) })
    }
}

fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Error> {
    let Some(value) = headers.get(JSON_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let sentence =
        || format!("`{JSON_LENGTH}` must be the length of the JSON in bytes, a whole number (0 where there is only a tensor)");
    length.map(Some).ok_or_else(|| Error::new(Code::BadRequest, sentence()))
}

/// Some clients can compress; here it would not be noticed, and the sentence about the JSON would explain nothing.
fn plain(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Error::new(Code::BadRequest, "bodies are taken as they are: send it without a `Content-Encoding`"))
        }
        _ => Ok(()),
    }
}
