//! From the bytes of an image file to pixels at a network's size, grey or RGB.
//!
//! Content decides what a file is, its header what it will cost; both are checked before anything is allocated. Alpha is
//! composited on the preprocessing's background, EXIF orientation is applied, 16 bits are rounded to 8, animations give
//! their first frame. Decoding blocks and may take long: call it on a thread made for that, unless [`decode_quickly`] does it.

pub use super::error::Error;
use super::fit;
pub use super::header::{Header, probe};
use super::header::{OVERHEAD, Opened, guarded, most_bytes};
use super::pixels::{Channels, Pixels, luma};
use super::quick;
use super::target::Target;

/// What an image may cost. Checked on its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels (width × height).
    pub pixels: u64,
    /// Most bytes held at once while decoding and resizing.
    pub memory: u64,
}

impl Default for Limits {
    /// 50 megapixels.
    fn default() -> Self {
        Self::of(50_000_000)
    }
}

impl Limits {
    /// `pixels` at most, and the memory that so many take in whichever format; 1 GiB at least.
    pub fn of(pixels: u64) -> Self {
        Self { pixels, memory: most_bytes(pixels).max(1 << 30) }
    }

    /// `pixels` and `memory` at most.
    ///
    /// # Errors
    /// The memory that there must be, where `memory` is too little for an image of so many pixels.
    pub fn within(pixels: u64, memory: u64) -> Result<Self, u64> {
        let needed = most_bytes(pixels);
        if memory < needed { Err(needed) } else { Ok(Self { pixels, memory }) }
    }

    /// Whether an image with this header may be decoded.
    pub fn check(&self, header: &Header) -> Result<(), Error> {
        let Header { width, height, format, memory, .. } = *header;
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
    /// What the target asked for.
    pub pixels: Pixels,
    /// Columns of the image itself, upright.
    pub source_width: u32,
    /// Rows of the image itself, upright.
    pub source_height: u32,
}

/// Decodes `bytes` and makes of them what `target` asks for.
pub fn decode(bytes: &[u8], target: &Target, limits: &Limits) -> Result<Picture, Error> {
    guarded(bytes, |opened| {
        let format = opened.header.format;
        let (fit, _) = plan(&opened, target, limits)?;
        let (samples, channels) = opened.read()?;
        let samples = match target.channels {
            Channels::Rgb => flatten(samples, channels, target.background),
            Channels::Grey => flatten_to_grey(samples, channels, target.background),
        };
        let (source_width, source_height) = fit.source();
        let pixels = Pixels::new(target.dimensions(), fit.apply(samples))
            .ok_or_else(|| Error::unreadable(format, "its decoder gave another number of pixels"))?;
        Ok(Picture { pixels, source_width, source_height })
    })
}

/// Decodes `bytes` where they are few and announce little: so quickly that it may be done between other work. None where they
/// may take longer, or are beyond `limits`.
pub fn decode_quickly(bytes: &[u8], target: &Target, limits: &Limits) -> Option<Result<Picture, Error>> {
    if !quick::reads(bytes) {
        return None;
    }
    let Limits { pixels, memory } = quick::LIMITS;
    let limits = Limits { pixels: pixels.min(limits.pixels), memory: memory.min(limits.memory) };
    match decode(bytes, target, &limits) {
        Err(Error::TooManyPixels { .. } | Error::TooMuchMemory { .. }) => None,
        outcome => Some(outcome),
    }
}

/// Most bytes that [`decode`] takes at once for `bytes`: what to reserve before it. Beyond `limits` it is an error.
pub fn cost(bytes: &[u8], target: &Target, limits: &Limits) -> Result<u64, Error> {
    guarded(bytes, |opened| Ok(plan(&opened, target, limits)?.1))
}

/// How an image is brought to size, and the most bytes it takes at once until then: for its decoder, or after that for its pixels
/// and what they are resized in.
fn plan(opened: &Opened<'_>, target: &Target, limits: &Limits) -> Result<(fit::Plan, u64), Error> {
    let header = opened.header;
    limits.check(&header)?;
    let fit = fit::Plan::new(&header, opened.orientation(), target);
    let memory = header.memory.max(header.kept.saturating_add(fit.memory()).saturating_add(OVERHEAD));
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

/// The same as the luma of each pixel, in place.
fn flatten_to_grey(mut samples: Vec<u8>, channels: usize, background: [u8; 3]) -> Vec<u8> {
    if channels == 1 {
        return samples;
    }
    let pixels = samples.len() / channels;
    for pixel in 0..pixels {
        samples[pixel] = match samples[pixel * channels..(pixel + 1) * channels] {
            [grey, alpha] => luma(over([grey; 3], alpha, background)),
            [red, green, blue] => luma([red, green, blue]),
            [red, green, blue, alpha] => luma(over([red, green, blue], alpha, background)),
            _ => 0,
        };
    }
    samples.truncate(pixels);
    samples
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
        // The same by way of RGB.
        for (samples, channels) in
            [(vec![7, 9], 1), (vec![10, 255, 10, 0], 2), (vec![1, 2, 3], 3), (vec![0, 100, 200, 128, 1, 2, 3, 255], 4)]
        {
            let rgb = flatten(samples.clone(), channels, white);
            let expected: Vec<u8> = rgb.as_chunks().0.iter().map(|&color| luma(color)).collect();
            assert_eq!(flatten_to_grey(samples, channels, white), expected, "{channels}");
        }
    }
}
