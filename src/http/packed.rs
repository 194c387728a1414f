//! A text that is sent to many: kept compressed too, and not sent again to who has it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

/// One text.
#[derive(Debug)]
pub struct Packed {
    media: &'static str,
    text: Bytes,
    /// None where it did not become smaller.
    gzip: Option<Bytes>,
    tag: HeaderValue,
}

impl Packed {
    /// `text`, of the type `media`.
    pub fn new(media: &'static str, text: impl Into<Bytes>) -> Self {
        let text = text.into();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(&text).and_then(|()| encoder.finish()).ok().filter(|gzip| gzip.len() < text.len());
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        // Digits in quotation marks always make a header.
        let tag = HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Self { media, text, gzip: gzip.map(Bytes::from), tag }
    }

    /// It, or that it has not changed.
    pub fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let weak = |tag: &str| tag.trim().trim_start_matches("W/").as_bytes() == self.tag.as_bytes();
        let own = [
            (header::ETAG, self.tag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
        ];
        if known.split(',').any(weak) {
            return (StatusCode::NOT_MODIFIED, own).into_response();
        }
        let kind = [(header::CONTENT_TYPE, self.media)];
        match &self.gzip {
            Some(gzip) if takes_gzip(headers) => (own, kind, [(header::CONTENT_ENCODING, "gzip")], gzip.clone()).into_response(),
            _ => (own, kind, self.text.clone()).into_response(),
        }
    }
}

/// Whether the caller names gzip, and not to refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)));
        gzip && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_who_takes_it() {
        for (accept, expected) in
            [("gzip, br", true), ("br;q=1, gzip;q=0.5", true), ("gzip;q=0", false), ("br", false), ("", false)]
        {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accept))]);
            assert_eq!(takes_gzip(&headers), expected, "{accept}");
            let answer = Packed::new("text/plain", "a".repeat(1000).into_bytes()).answer(&headers);
            assert_eq!(answer.headers().contains_key(header::CONTENT_ENCODING), expected);
        }
    }
}
