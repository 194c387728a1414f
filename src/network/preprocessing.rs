//! From 8-bit pixels to the numbers a network was trained on. Written once: serving, training, evaluation, import and the
//! page all read it from the checkpoint's metadata.

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::spec::Input;
use crate::picture::{Channels, Dimensions, Pixels, Planes, Target};

pub use crate::picture::{Filter, Fit};

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

    /// What an image is decoded to.
    pub fn target(&self) -> Target {
        let Self { height, width, fit, filter, background, .. } = *self;
        // Other numbers than these two are refused by `check`, and by `normalize`.
        let channels = Channels::of(self.mean.len()).unwrap_or(Channels::Rgb);
        Target { height, width, channels, fit, filter, background }
    }

    /// Whether it gives what a network with this `input` takes.
    pub fn check(&self, input: Input) -> Result<(), Error> {
        if (self.height, self.width) != (input.height, input.width) {
            return Err(Error::Metadata(format!(
                "preprocessing gives {}×{} and the network takes {}×{}",
                self.height, self.width, input.height, input.width
            )));
        }
        if Channels::of(input.channels).is_none() {
            return Err(Error::Network(format!(
                "takes images of {} channels, and images have 1 (grey) or 3 (red, green, blue): set `input.channels` to one of them",
                input.channels
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

    /// Whether images so large are what [`Preprocessing::normalize`] takes.
    pub fn fits(&self, given: Dimensions) -> Result<(), Error> {
        let expected = [self.height, self.width, self.mean.len()];
        if [given.height, given.width, given.channels.count()] == expected {
            return Ok(());
        }
        Err(Error::Pixels { given, expected })
    }

    /// `pixels` (interleaved, 8 bits) as planes (channel × height × width) of `(pixel / 255 − mean) / std`, appended to `out`: the
    /// tutorial's `permute` and `ToTensor` in one step. Pixels of another size or number of channels are an error.
    pub fn normalize<V: AsRef<[u8]>>(&self, pixels: &Pixels<V>, out: &mut Vec<f32>) -> Result<(), Error> {
        self.fits(pixels.dimensions())?;
        let (values, channels) = (pixels.values(), self.mean.len());
        for channel in 0..channels {
            let (mean, std) = (self.mean[channel], self.std[channel]);
            let table: [f32; 256] = std::array::from_fn(|value| (value as f32 / 255.0 - mean) / std);
            out.extend(values[channel..].iter().step_by(channels).map(|&value| table[usize::from(value)]));
        }
        Ok(())
    }

    /// `planes` (channel × height × width, in [0, 1]) as `(value − mean) / std`, appended to `out`: the same bits that
    /// [`Preprocessing::normalize`] makes of the pixels they were, each divided by 255. Another shape is an error.
    pub fn normalize_planes(&self, planes: &Planes, out: &mut Vec<f32>) -> Result<(), Error> {
        self.fits(planes.dimensions())?;
        let plane = self.height * self.width;
        for (values, (&mean, &std)) in planes.values().chunks_exact(plane).zip(self.mean.iter().zip(&self.std)) {
            out.extend(values.iter().map(|&value| (value - mean) / std));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(channels: Channels, width: usize, values: &[u8]) -> Pixels<&[u8]> {
        Pixels::new(Dimensions { height: 1, width, channels }, values).unwrap()
    }

    #[test]
    fn pixels_become_planes() {
        let input = Input { channels: 3, height: 1, width: 2 };
        let preprocessing = Preprocessing::normalized(input, vec![0.0, 0.5, 0.0], vec![1.0, 0.5, 2.0]);
        let mut out = Vec::new();
        preprocessing.normalize(&pixels(Channels::Rgb, 2, &[255, 0, 51, 0, 255, 102]), &mut out).unwrap();
        assert_eq!(out, [1.0, 0.0, -1.0, 1.0, 0.1, 0.2]);
        let grey = Preprocessing::normalized(Input { channels: 1, ..input }, vec![0.5], vec![0.5]);
        out.clear();
        grey.normalize(&pixels(Channels::Grey, 2, &[255, 0]), &mut out).unwrap();
        assert_eq!(out, [1.0, -1.0]);
    }

    #[test]
    fn planes_become_the_same_bits_as_their_pixels() {
        let input = Input { channels: 3, height: 2, width: 64 };
        let preprocessing = Preprocessing::normalized(input, vec![0.4914, 0.4822, 0.4465], vec![0.247, 0.2435, 0.2616]);
        let dimensions = preprocessing.target().dimensions();
        let pixels = Pixels::from_fn(dimensions, |i| (i * 7 % 256) as u8);
        let plane = |channel: usize| pixels.values()[channel..].iter().step_by(3).map(|&value| f32::from(value) / 255.0);
        let planes = Planes::new(dimensions, (0..3).flat_map(plane).collect()).unwrap();
        let (mut expected, mut out) = (Vec::new(), Vec::new());
        preprocessing.normalize(&pixels, &mut expected).unwrap();
        preprocessing.normalize_planes(&planes, &mut out).unwrap();
        assert_eq!(out, expected);
        let other = Preprocessing::unit(Input { channels: 3, height: 64, width: 2 });
        assert!(matches!(other.normalize_planes(&planes, &mut out), Err(Error::Pixels { .. })));
        assert_eq!(out.len(), expected.len());
    }

    #[test]
    fn pixels_of_another_shape_do_not_pass() {
        let grey = Preprocessing::unit(Input { channels: 1, height: 1, width: 2 });
        let mut out = Vec::new();
        for other in [pixels(Channels::Rgb, 2, &[0; 6]), pixels(Channels::Grey, 3, &[0; 3])] {
            assert!(matches!(grey.normalize(&other, &mut out), Err(Error::Pixels { .. })));
        }
        assert!(out.is_empty());
    }

    #[test]
    fn channels_that_no_image_has_are_refused() {
        for channels in [0, 2, 4, 5] {
            let input = Input { channels, height: 1, width: 2 };
            let error = Preprocessing::unit(input).check(input).unwrap_err().to_string();
            assert!(error.contains(&format!("images of {channels} channels, and images have 1 (grey) or 3")), "{error}");
        }
        let input = Input { channels: 1, height: 1, width: 2 };
        Preprocessing::unit(input).check(input).unwrap();
        assert_eq!(Preprocessing::unit(input).target().channels, Channels::Grey);
    }
}
