//! What an image is to become: the size, channels and fit that a network asks for.

use serde::{Deserialize, Serialize};

use super::pixels::{Channels, Dimensions};

/// How an image of another shape becomes the network's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The largest centred part of the right proportions is taken.
    #[default]
    Crop,
    /// Proportions are given up.
    Stretch,
    /// The whole image, centred on the background.
    Pad,
}

/// How images are resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Linear interpolation whose support grows with the reduction (antialiased), as Pillow's BILINEAR.
    #[default]
    Triangle,
}

/// An image of any shape and colour becomes this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Grey, or red, green and blue. Colours become grey by their luma, before the image is resized.
    pub channels: Channels,
    /// How proportions are met.
    pub fit: Fit,
    /// How pixels are resampled.
    pub filter: Filter,
    /// RGB behind transparent pixels and around padded images.
    pub background: [u8; 3],
}

impl Target {
    /// How large the result is.
    pub fn dimensions(&self) -> Dimensions {
        Dimensions { height: self.height, width: self.width, channels: self.channels }
    }
}
