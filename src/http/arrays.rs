//! Arrays of numbers as bodies: raw little-endian f32 with the shape in headers, or NumPy's file format.
//!
//! Numbers stay where they are and become bytes a piece at a time, as the caller takes them in: neither a large matrix nor a
//! caller that never reads costs a second copy.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::npy;
use super::offload::offload;

/// The media type of `.npy`, as far as there is one.
pub const NPY: &str = "application/x-npy";
/// The media type of raw numbers.
pub const RAW: &str = "application/octet-stream";

const SHAPE: HeaderName = HeaderName::from_static("x-shape");
const RANGE: HeaderName = HeaderName::from_static("x-range");
/// Numbers that become bytes at once: 64 KiB of them.
const PIECE: usize = 1 << 14;

/// Of an array on its way out, most bytes that its connection holds at once: what hyper keeps for one that reads slowly.
pub const ON_THE_WAY: u64 = 512 << 10;

/// Numbers that somebody holds: an answer's own, or a model's.
pub type Numbers = Arc<dyn AsRef<[f32]> + Send + Sync>;

/// Row-major numbers.
#[derive(Clone)]
pub struct Array {
    /// The length of each side.
    pub shape: Vec<usize>,
    /// Where the numbers are.
    pub numbers: Numbers,
    /// Those of them that are meant: as many as the product of the sides.
    pub part: Range<usize>,
}

impl Array {
    /// As little-endian f32, the shape in `x-shape`, the smallest and largest finite value in `x-range`.
    pub async fn raw(self) -> Result<Response, Error> {
        let Self { shape, numbers, part } = self;
        let (at_hand, meant) = (Arc::clone(&numbers), part.clone());
        let range = offload(part.len(), move || extent(&(*at_hand).as_ref()[meant])).await?;
        let mut response = body(RAW, Vec::new(), numbers, part);
        describe(&mut response, &shape, range);
        Ok(response)
    }

    /// As a NumPy file.
    pub fn npy(self) -> Response {
        body(NPY, npy::header(&self.shape), self.numbers, self.part)
    }
}

fn extent(values: &[f32]) -> [f32; 2] {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    [finite().reduce(f32::min).unwrap_or(0.0), finite().reduce(f32::max).unwrap_or(0.0)]
}

/// `head`, and after it the bytes of `numbers` in `part`, the length told beforehand.
fn body(media: &'static str, head: Vec<u8>, numbers: Numbers, part: Range<usize>) -> Response {
    let length = head.len() + 4 * part.len();
    let pieces = part.clone().step_by(PIECE).map(move |from| {
        let to = part.end.min(from + PIECE);
        npy::little_endian(&(*numbers).as_ref()[from..to])
    });
    let pieces = std::iter::once(head).chain(pieces).filter(|piece| !piece.is_empty()).map(Ok::<_, Infallible>);
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(media)), (header::CONTENT_LENGTH, HeaderValue::from(length))];
    (headers, Body::from_stream(tokio_stream::iter(pieces))).into_response()
}

/// Adds `x-shape` and `x-range`, comma-separated.
pub fn describe(response: &mut Response, shape: &[usize], range: [f32; 2]) {
    let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
    let lines = [(SHAPE, shape.join(",")), (RANGE, format!("{},{}", range[0], range[1]))];
    for (name, line) in lines {
        // Digits, signs and commas always make a header.
        if let Ok(value) = HeaderValue::try_from(line) {
            response.headers_mut().insert(name, value);
        }
    }
}
