//! JPEG: its segments walked by us, its pixels read by one of two decoders.
//!
//! `zune-jpeg` is fast, and reads the plainest layout: one baseline scan, brightness sampled finest. Other layouts it reads to
//! other pixels without an error (a scan for each component, colours sampled finer than brightness) or without noticing that
//! data is missing (progressive): those go to `jpeg-decoder`, which reads them right. `tests/data/odd-jpegs.py` makes the files
//! on which both were compared with Pillow. CMYK and YCCK follow Adobe's convention (inks inverted), as everywhere.

use image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use self::layout::{Layout, Segments};
use super::error::Error;
use super::exif;
use super::format::Format;

mod layout;

const FORMAT: Format = Format::Jpeg;
/// Bytes of set bits put behind a scan's own: no code consists of them, so that a decoder which needs more than there is fails
/// instead of taking zeros, as both do, and filling the rest with grey. Twice what they read ahead.
const SENTINEL: usize = 16;

/// How many scans there are; none where the file cannot be read.
pub(super) fn scans(bytes: &[u8]) -> Option<usize> {
    Layout::read(bytes).ok().map(|layout| layout.scans)
}

/// A JPEG whose segments have been walked.
pub(super) struct Decoder<'a> {
    bytes: &'a [u8],
    layout: Layout<'a>,
}

impl<'a> Decoder<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        Ok(Self { bytes, layout: Layout::read(bytes)? })
    }

    /// Columns and rows as stored.
    pub(super) fn dimensions(&self) -> (u32, u32) {
        (self.layout.width, self.layout.height)
    }

    /// Whether it has one component.
    pub(super) fn is_grey(&self) -> bool {
        self.layout.components.len() == 1
    }

    /// Most bytes decoding takes, the pixels included.
    pub(super) fn memory(&self) -> u64 {
        let (width, height) = (u64::from(self.layout.width), u64::from(self.layout.height));
        let components = self.layout.components.len() as u64;
        let (across, down) = self.layout.most();
        // Samples and coefficients come in whole blocks of 8, and those in whole units.
        let padded = width.next_multiple_of(8 * u64::from(across)) * height.next_multiple_of(8 * u64::from(down));
        // Scans that refine one another are put together from all their coefficients, 16 bits each.
        let coefficients = if self.layout.progressive { 2 * components * padded } else { 0 };
        // The file is written anew beside itself.
        let copy = self.bytes.len() as u64 + 2 * (self.layout.scans * SENTINEL) as u64;
        let pixels = width * height;
        if self.layout.is_plain() {
            // Whole rows of blocks, up to fourfold subsampling, are buffered a few times over; grey becomes RGB in a second buffer.
            let rows_in_flight = width.next_multiple_of(32) * components * 192;
            return if components == 1 { 4 * pixels } else { 3 * pixels } + rows_in_flight + copy;
        }
        // A plane for each component beside the image; of grey, the image again as RGB.
        let image = if components == 1 { 3 * pixels } else { components * pixels };
        components * padded + image + coefficients + copy
    }

    /// Bytes of the pixels once they are read; grey ones become RGB.
    pub(super) fn kept(&self) -> u64 {
        u64::from(self.layout.width) * u64::from(self.layout.height) * self.layout.components.len().max(3) as u64
    }

    pub(super) fn orientation(&self) -> Orientation {
        self.layout.exif.and_then(exif::orientation).unwrap_or(Orientation::NoTransforms)
    }

    /// The pixels, and how many samples each has: 1 (grey) or 3 (RGB).
    pub(super) fn read(self) -> Result<(Vec<u8>, usize), Error> {
        if !self.layout.is_whole() {
            return Err(Error::Truncated { format: FORMAT });
        }
        if self.layout.is_plain() { self.read_plain() } else { self.read_other() }
    }

    fn read_plain(self) -> Result<(Vec<u8>, usize), Error> {
        let bytes = self.rewritten();
        let (color, channels) = if self.layout.components.len() == 1 { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
        // The sides are checked against the caller's limit on pixels, not the decoder's own.
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX)
            .jpeg_set_out_colorspace(color);
        let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes.as_slice()), options);
        let mut pixels = self.buffer(channels)?;
        decoder.decode_into(&mut pixels).map_err(|error| unreadable(&error))?;
        Ok((pixels, channels))
    }

    fn read_other(self) -> Result<(Vec<u8>, usize), Error> {
        if self.layout.is_misread() {
            return Err(Error::unreadable(FORMAT, "its colours are subsampled in a way that is not read here"));
        }
        // Its buffers come from it; whether there is room is asked before.
        drop(self.buffer(2 * self.layout.components.len())?);
        let bytes = self.rewritten();
        let mut pixels = jpeg_decoder::Decoder::new(bytes.as_slice()).decode().map_err(|error| match error {
            jpeg_decoder::Error::Io(_) => Error::Truncated { format: FORMAT },
            _ => damaged(),
        })?;
        let components = self.layout.components.len();
        if components == 4 {
            inks_to_rgb(&mut pixels);
        }
        Ok((pixels, components.min(3)))
    }

    /// The file without what is between its segments, and with set bits behind every scan.
    fn rewritten(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 2 * self.layout.scans * SENTINEL);
        bytes.extend([0xFF, 0xD8]);
        for segment in Segments::of(self.bytes) {
            bytes.extend(segment.head);
            bytes.extend(segment.data);
            if !segment.data.is_empty() {
                bytes.extend([0xFF, 0].repeat(SENTINEL));
            }
        }
        bytes
    }

    /// Zeros for the pixels.
    fn buffer(&self, channels: usize) -> Result<Vec<u8>, Error> {
        let (width, height) = self.dimensions();
        super::header::buffer(FORMAT, u64::from(width) * u64::from(height) * channels as u64)
    }
}

/// Cyan, magenta, yellow and black, 255 full, as red, green and blue in place.
fn inks_to_rgb(pixels: &mut Vec<u8>) {
    let count = pixels.len() / 4;
    for pixel in 0..count {
        let paper = 255 - u32::from(pixels[4 * pixel + 3]);
        for channel in 0..3 {
            let light = 255 - u32::from(pixels[4 * pixel + channel]);
            pixels[3 * pixel + channel] = ((light * paper + 127) / 255) as u8;
        }
    }
    pixels.truncate(3 * count);
}

fn damaged() -> Error {
    Error::unreadable(FORMAT, "its data is damaged")
}

fn unreadable(error: &zune_jpeg::errors::DecodeErrors) -> Error {
    use zune_jpeg::errors::DecodeErrors;
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) | DecodeErrors::FormatStatic("Premature end of buffer") => {
            Error::Truncated { format: FORMAT }
        }
        _ => damaged(),
    }
}
