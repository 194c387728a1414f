//! `GET /samples`: a few real images to begin with, inside the program.

use axum::Json;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Code, Error};
use super::extract::{Path, unknown};

/// One image.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// What it is asked for by.
    pub name: &'static str,
    /// The class of what it shows.
    pub label: &'static str,
    /// Its file.
    pub png: &'static [u8],
}

/// Pixels a side, of every one.
const SIDE: u32 = 32;

macro_rules! samples {
    ($($name:literal shows $label:literal),* $(,)?) => {
        [$(Sample { name: $name, label: $label, png: include_bytes!(concat!("samples/", $name, ".png")) }),*]
    };
}

/// The tutorial's horse, training image 7 of CIFAR-10; of every other class an image of the test set, which no network has been
/// trained on; and three more of those, which small networks take for something else: by the sky behind it, the wheels below it,
/// the coat (`tests/data/make_samples.py` says which).
pub const SAMPLES: [Sample; 13] = samples![
    "horse" shows "horse",
    "airplane" shows "airplane",
    "automobile" shows "automobile",
    "bird" shows "bird",
    "cat" shows "cat",
    "deer" shows "deer",
    "dog" shows "dog",
    "frog" shows "frog",
    "ship" shows "ship",
    "truck" shows "truck",
    "bird-in-the-sky" shows "bird",
    "ship-on-wheels" shows "ship",
    "dog-on-grass" shows "dog",
];

/// The sample called `name`.
pub fn named(name: &str) -> Result<Sample, Error> {
    let known = SAMPLES.map(|sample| sample.name);
    let found = SAMPLES.into_iter().find(|sample| sample.name == name);
    found.ok_or_else(|| Error::new(Code::UnknownSample, unknown("sample", name, &known)))
}

/// The samples there are.
#[derive(Debug, Serialize, ToSchema)]
pub struct Samples {
    /// In the order in which they are shown.
    #[schema(value_type = Vec<Described>)]
    samples: [Described; SAMPLES.len()],
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Sample)]
pub(super) struct Described {
    /// What it is asked for by.
    name: &'static str,
    /// What it shows.
    label: &'static str,
    /// Columns of pixels.
    width: u32,
    /// Rows of pixels.
    height: u32,
}

/// All of them, in the order in which they are shown.
pub async fn list() -> Json<Samples> {
    Json(Samples { samples: SAMPLES.map(|Sample { name, label, .. }| Described { name, label, width: SIDE, height: SIDE }) })
}

/// One of them, as PNG.
pub async fn get(Path(name): Path<String>) -> Result<impl IntoResponse, Error> {
    let sample = named(&name)?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "max-age=86400")], sample.png))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::decode;

    #[test]
    fn every_sample_is_an_image_of_the_networks_size() {
        for sample in SAMPLES {
            let header = decode::probe(sample.png).unwrap();
            assert_eq!((header.width, header.height), (SIDE, SIDE), "{}", sample.name);
        }
    }
}
