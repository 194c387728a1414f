//! From 8-bit pixels to the numbers a network was trained on. Written once: serving, training, evaluation, import and the
//! page all read it from the checkpoint's metadata.

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::spec::Input;

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

/// Everything between a decoded image and a network's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Rows of the network's input.
    pub height: usize,
    /// Columns of the network's input.
    pub width: usize,
    /// A channel's mean in [0, 1], subtracted.
    pub mean: Vec<f32>,
    /// A channel's standard deviation in [0, 1], divided by.
    pub std: Vec<f32>,
    /// How proportions are met.
    #[serde(default)]
    pub fit: Fit,
    /// How pixels are resampled.
    #[serde(default)]
    pub filter: Filter,
    /// RGB behind transparent pixels and around padded images.
    #[serde(default = "white")]
    pub background: [u8; 3],
}

fn white() -> [u8; 3] {
    [255; 3]
}

impl Preprocessing {
    /// Raw pixels in [0, 1], as in the tutorial: mean 0, standard deviation 1.
    pub fn unit(input: Input) -> Self {
        Self::normalized(input, vec![0.0; input.channels], vec![1.0; input.channels])
    }

    /// With a channel's mean and standard deviation, everything else at its default.
    pub fn normalized(input: Input, mean: Vec<f32>, std: Vec<f32>) -> Self {
        let (fit, filter) = (Fit::default(), Filter::default());
        Self { height: input.height, width: input.width, mean, std, fit, filter, background: white() }
    }

    /// Whether it gives what a network with this `input` takes.
    pub fn check(&self, input: Input) -> Result<(), Error> {
        if (self.height, self.width) != (input.height, input.width) {
            return Err(Error::Metadata(format!(
                "preprocessing gives {}×{} and the network takes {}×{}",
                self.height, self.width, input.height, input.width
            )));
        }
        if self.mean.len() != input.channels || self.std.len() != input.channels {
            return Err(Error::Metadata(format!("`mean` and `std` need {} numbers each, one a channel", input.channels)));
        }
        if !self.mean.iter().all(|m| m.is_finite()) || !self.std.iter().all(|s| s.is_finite() && *s > 0.0) {
            return Err(Error::Metadata("`mean` must be finite and `std` above 0".into()));
        }
        Ok(())
    }

    /// Interleaved 8-bit `pixels` (height × width × channel) as planes (channel × height × width) of
    /// `(pixel / 255 − mean) / std`, appended to `out`: the tutorial's `permute` and `ToTensor` in one step.
    pub fn normalize(&self, pixels: &[u8], out: &mut Vec<f32>) {
        let channels = self.mean.len();
        debug_assert_eq!(pixels.len(), self.height * self.width * channels);
        for channel in 0..channels {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            let table: [f32; 256] = std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std);
            out.extend(pixels[channel..].iter().step_by(channels).map(|&value| table[usize::from(value)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_planes() {
        let input = Input { channels: 3, height: 1, width: 2 };
        let preprocessing = Preprocessing::normalized(input, vec![0.0, 0.5, 0.0], vec![1.0, 0.5, 2.0]);
        let mut out = Vec::new();
        preprocessing.normalize(&[255, 0, 51, 0, 255, 102], &mut out);
        assert_eq!(out, [1.0, 0.0, -1.0, 1.0, 0.1, 0.2]);
    }
}
