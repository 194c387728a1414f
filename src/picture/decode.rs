//! From the bytes of an image file to RGB at a network's size.
//!
//! Content decides what a file is, its header what it will cost; both are checked before anything is allocated. Alpha is
//! composited on the preprocessing's background, EXIF orientation is applied, 16 bits are rounded to 8, animations give
//! their first frame. Decoding blocks and may take long: call it on a thread made for that.

use crate::network::Preprocessing;

pub use super::error::Error;
use super::fit;
pub use super::header::{Header, probe};
use super::header::{Opened, guarded};

/// What an image may cost. Checked on its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels (width × height).
    pub pixels: u64,
    /// Most bytes held at once while decoding and resizing.
    pub memory: u64,
}

impl Default for Limits {
    /// 50 megapixels; and 1 GiB, which every format's 50 megapixels fit in.
    fn default() -> Self {
        Self { pixels: 50_000_000, memory: 1 << 30 }
    }
}

impl Limits {
    /// Whether an image with this header may be decoded.
    pub fn check(&self, header: &Header) -> Result<(), Error> {
        let Header { width, height, format, memory } = *header;
        if u64::from(width) * u64::from(height) > self.pixels {
            return Err(Error::TooManyPixels { width, height, limit: self.pixels });
        }
        if memory > self.memory {
            return Err(Error::TooMuchMemory { format, limit: self.memory });
        }
        Ok(())
    }
}

/// An image as a network takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// height × width × RGB of the network's input.
    pub pixels: Vec<u8>,
    /// Columns of the image itself, upright.
    pub source_width: u32,
    /// Rows of the image itself, upright.
    pub source_height: u32,
}

/// Decodes `bytes` and brings them to the size `preprocessing` asks for.
pub fn decode(bytes: &[u8], preprocessing: &Preprocessing, limits: &Limits) -> Result<Picture, Error> {
    guarded(bytes, |mut opened| {
        let (fit, _) = plan(&mut opened, preprocessing, limits)?;
        let (samples, channels) = opened.read()?;
        let rgb = flatten(samples, channels, preprocessing.background);
        let (source_width, source_height) = fit.source();
        Ok(Picture { pixels: fit.apply(rgb), source_width, source_height })
    })
}

/// Most bytes that [`decode`] takes at once for `bytes`: what to reserve before it. Beyond `limits` it is an error.
pub fn cost(bytes: &[u8], preprocessing: &Preprocessing, limits: &Limits) -> Result<u64, Error> {
    guarded(bytes, |mut opened| Ok(plan(&mut opened, preprocessing, limits)?.1))
}

/// How an image is brought to size, and the most bytes it takes at once until then.
fn plan(opened: &mut Opened<'_>, preprocessing: &Preprocessing, limits: &Limits) -> Result<(fit::Plan, u64), Error> {
    let header = opened.header;
    limits.check(&header)?;
    let fit = fit::Plan::new(&header, opened.orientation(), preprocessing);
    let memory = header.memory.saturating_add(fit.memory());
    if memory > limits.memory {
        return Err(Error::TooMuchMemory { format: header.format, limit: limits.memory });
    }
    Ok((fit, memory))
}

/// Samples of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) a pixel as RGB on `background`, in place where they shrink.
fn flatten(mut samples: Vec<u8>, channels: usize, background: [u8; 3]) -> Vec<u8> {
    match channels {
        1 => samples.iter().flat_map(|&grey| [grey; 3]).collect(),
        2 => samples.as_chunks().0.iter().flat_map(|&[grey, alpha]| over([grey; 3], alpha, background)).collect(),
        4 => {
            let pixels = samples.len() / 4;
            for pixel in 0..pixels {
                let color = over([0, 1, 2].map(|channel| samples[4 * pixel + channel]), samples[4 * pixel + 3], background);
                samples[3 * pixel..3 * pixel + 3].copy_from_slice(&color);
            }
            samples.truncate(3 * pixels);
            samples
        }
        _ => samples,
    }
}

/// `color` at `alpha` (255 opaque) over `background`, rounded.
fn over(color: [u8; 3], alpha: u8, background: [u8; 3]) -> [u8; 3] {
    let (alpha, rest) = (u32::from(alpha), u32::from(255 - alpha));
    std::array::from_fn(|channel| ((u32::from(color[channel]) * alpha + u32::from(background[channel]) * rest + 127) / 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_composited_and_grey_repeated() {
        let white = [255; 3];
        assert_eq!(flatten(vec![7, 9], 1, white), [7, 7, 7, 9, 9, 9]);
        assert_eq!(flatten(vec![10, 255, 10, 0], 2, [1, 2, 3]), [10, 10, 10, 1, 2, 3]);
        assert_eq!(flatten(vec![0, 100, 200, 128, 1, 2, 3, 255], 4, white), [127, 177, 227, 1, 2, 3]);
        assert_eq!(flatten(vec![1, 2, 3], 3, white), [1, 2, 3]);
    }
}
