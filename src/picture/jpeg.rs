//! JPEG through `zune-jpeg` in its strict mode.
//!
//! `image` runs the same decoder leniently, which fills what a truncated file lacks with grey and reports success. Strict
//! mode notices when the data of a scan runs out, except within its last row of blocks; that the file has its end marker
//! is therefore asked for as well, as Pillow does. CMYK and YCCK follow Adobe's convention (inks inverted), as everywhere.

use image::metadata::Orientation;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

use super::error::Error;
use super::format::Format;

const FORMAT: Format = Format::Jpeg;
const CHANNELS: usize = 3;

/// A JPEG whose header has been read.
pub(super) struct Decoder<'a> {
    inner: zune_jpeg::JpegDecoder<ZCursor<&'a [u8]>>,
    bytes: &'a [u8],
    scan: Scan,
}

impl<'a> Decoder<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let scan = Scan::first(bytes).ok_or(Error::Truncated { format: FORMAT })?;
        // The sides are checked against the caller's limit on pixels, not the decoder's own.
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(usize::MAX)
            .set_max_height(usize::MAX)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut inner = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        inner.decode_headers().map_err(unreadable)?;
        Ok(Self { inner, bytes, scan })
    }

    /// Columns and rows as stored.
    pub(super) fn dimensions(&self) -> (u32, u32) {
        let (width, height) = self.inner.dimensions().unwrap_or_default();
        (width as u32, height as u32)
    }

    /// Most bytes decoding takes, the pixels included.
    pub(super) fn memory(&self) -> u64 {
        let (width, height) = self.dimensions();
        let components = self.inner.info().map_or(4, |info| u64::from(info.components));
        // Blocks of 8 with up to fourfold subsampling; whole rows of blocks are buffered a few times over.
        let (columns, rows) = (u64::from(width.next_multiple_of(32)), u64::from(height.next_multiple_of(32)));
        let rows_in_flight = columns * components * 192;
        // Several scans are put together from all their coefficients, 16 bits each.
        let coefficients = if self.scan.progressive || u64::from(self.scan.components) < components { 2 * components } else { 0 };
        u64::from(width) * u64::from(height) * CHANNELS as u64 + columns * rows * coefficients + rows_in_flight
    }

    pub(super) fn orientation(&self) -> Orientation {
        self.inner.exif().and_then(|exif| Orientation::from_exif_chunk(exif)).unwrap_or(Orientation::NoTransforms)
    }

    /// Columns × rows × RGB into `pixels`, which has that length.
    pub(super) fn read(mut self, pixels: &mut [u8]) -> Result<(), Error> {
        let has_end = self.bytes[self.scan.start..].windows(2).any(|pair| pair == [0xFF, 0xD9]);
        if !has_end {
            return Err(Error::Truncated { format: FORMAT });
        }
        self.inner.decode_into(pixels).map_err(unreadable)
    }
}

fn unreadable(error: zune_jpeg::errors::DecodeErrors) -> Error {
    use zune_jpeg::errors::DecodeErrors;
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) | DecodeErrors::FormatStatic("Premature end of buffer") => {
            Error::Truncated { format: FORMAT }
        }
        // `Debug` is the short text here, without the decoder's name before it.
        other => Error::unreadable(FORMAT, format!("{other:?}").trim_matches('"')),
    }
}

/// What the markers before the first scan say.
struct Scan {
    /// Where its data starts.
    start: usize,
    /// How many colour components it holds.
    components: u8,
    progressive: bool,
}

impl Scan {
    fn first(bytes: &[u8]) -> Option<Self> {
        let (mut position, mut progressive) = (2, false);
        loop {
            // Whatever stands between segments is skipped, as decoders do; `FF FF` is padding.
            position += bytes.get(position..)?.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF))?;
            let marker = *bytes.get(position + 1)?;
            position += 2;
            if matches!(marker, 0x01 | 0xD0..=0xD8) {
                continue;
            }
            let length = usize::from(u16::from_be_bytes([*bytes.get(position)?, *bytes.get(position + 1)?]));
            match marker {
                0xC2 => progressive = true,
                0xDA => {
                    return Some(Self { start: position + length, components: *bytes.get(position + 2)?, progressive })
                        .filter(|scan| scan.start <= bytes.len());
                }
                _ => {}
            }
            position += length.max(2);
        }
    }
}
