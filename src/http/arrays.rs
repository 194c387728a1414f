//! Arrays of numbers as bodies: raw little-endian f32 with the shape in headers, or NumPy's file format.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::npy;

/// The media type of `.npy`, as far as there is one.
pub const NPY: &str = "application/x-npy";
/// The media type of raw numbers.
pub const RAW: &str = "application/octet-stream";

const SHAPE: HeaderName = HeaderName::from_static("x-shape");
const RANGE: HeaderName = HeaderName::from_static("x-range");

/// Row-major numbers.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a> {
    /// The length of each side.
    pub shape: &'a [usize],
    /// As many as the product of the sides.
    pub values: &'a [f32],
}

impl Array<'_> {
    /// As little-endian f32, the shape in `x-shape`, the smallest and largest finite value in `x-range`.
    pub fn raw(&self) -> Response {
        let finite = || self.values.iter().copied().filter(|value| value.is_finite());
        let range = [finite().reduce(f32::min).unwrap_or(0.0), finite().reduce(f32::max).unwrap_or(0.0)];
        let mut response = ([(header::CONTENT_TYPE, RAW)], npy::little_endian(self.values)).into_response();
        describe(&mut response, self.shape, range);
        response
    }

    /// As a NumPy file.
    pub fn npy(&self) -> Response {
        ([(header::CONTENT_TYPE, NPY)], npy::encode(self.shape, self.values)).into_response()
    }
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
