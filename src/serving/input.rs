//! One image as a model takes it: its pixels, or the numbers that somebody made of them.

use crate::network::{Error, Preprocessing};
use crate::picture::{Dimensions, Pixels, Planes};

/// An image at the model's size.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Decoded here, or sent as 8-bit samples.
    Pixels(Pixels),
    /// Sent as numbers.
    Planes(Planes),
}

impl Input {
    /// How large it is.
    pub fn dimensions(&self) -> Dimensions {
        match self {
            Self::Pixels(pixels) => pixels.dimensions(),
            Self::Planes(planes) => planes.dimensions(),
        }
    }

    /// What the network takes, appended to `out`.
    pub(super) fn normalize(&self, preprocessing: &Preprocessing, out: &mut Vec<f32>) -> Result<(), Error> {
        match self {
            Self::Pixels(pixels) => preprocessing.normalize(pixels, out),
            Self::Planes(planes) => preprocessing.normalize_planes(planes, out),
        }
    }
}

impl From<Pixels> for Input {
    fn from(pixels: Pixels) -> Self {
        Self::Pixels(pixels)
    }
}

impl From<Planes> for Input {
    fn from(planes: Planes) -> Self {
        Self::Planes(planes)
    }
}
