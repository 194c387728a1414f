//! What an image will be and cost, told by its header: admission is decided on it before anything is decoded.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{ImageDecoder, ImageReader};

use super::error::Error;
use super::format::Format;
use super::{exif, gif, jpeg, png, riff};

/// Most bytes a decoder may take for what is not pixels: profiles, texts, buffers.
const METADATA: u64 = 32 << 20;
/// What decoders take whatever the image: windows, tables.
pub(super) const OVERHEAD: u64 = 1 << 20;
/// Rows of blocks that a JPEG's decoder works on, in bytes a column: those of four components.
const ROWS: u64 = 4 * 192;
/// What a byte of lossless WebP can make its decoder hold: up to 65,536 groups of five code tables are built, whatever the
/// image's size, each of up to 13 KB from 32 bytes. Images made by honest encoders stay far below.
const CODE_TABLES: u64 = 400;

/// An image as its header describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Columns as stored, before any EXIF orientation.
    pub width: u32,
    /// Rows as stored.
    pub height: u32,
    /// What the bytes are.
    pub format: Format,
    /// Whether it is stored without colours; a picture that only looks grey is not.
    pub grey: bool,
    /// Most bytes decoding takes at once, the pixels included.
    pub memory: u64,
    /// Bytes of the pixels once they are read.
    pub kept: u64,
}

/// Most bytes that decoding takes at once for an ordinary file of `format` with `pixels` pixels, the pixels included. What one file
/// takes, [`Header::memory`] says; tables made to hurt may take more.
pub fn decode_bytes(format: Format, pixels: u64) -> u64 {
    let a_pixel = match format {
        // Four components: image, planes, and coefficients of two bytes where several scans refine one another.
        Format::Jpeg => 16,
        // 16-bit RGBA; the screen, and a frame beside it.
        Format::Png | Format::Gif => 8,
        // The picture; frame, canvas, planes and alpha plane.
        Format::WebP => 15,
        // RGBA.
        Format::Bmp => 4,
    };
    // However wide it is, it has no more columns than pixels.
    let rows = if format == Format::Jpeg { pixels.clamp(32, 1 << 16) * ROWS } else { 0 };
    pixels.saturating_mul(a_pixel).saturating_add(OVERHEAD + rows)
}

/// Most bytes that an ordinary image of `pixels` takes at once, whatever its format, until it has a network's size: the one rule for
/// what a budget must have to give. It is [`decode_bytes`] of the format that takes most. Resizing follows when the decoder's own
/// memory is free again, and of an image at least twice as high as the network's it needs no more than that was: sixteen bytes for
/// each column of each of the network's rows, beside at most eight a pixel.
pub fn most_bytes(pixels: u64) -> u64 {
    Format::ALL.into_iter().map(|format| decode_bytes(format, pixels)).max().unwrap_or_default()
}

/// Reads the header of `bytes`. Nothing of the image's size is allocated.
pub fn probe(bytes: &[u8]) -> Result<Header, Error> {
    guarded(bytes, |opened| Ok(opened.header))
}

/// Opens `bytes` and hands them to `then`; a decoder's panic becomes an error.
pub(super) fn guarded<T>(bytes: &[u8], then: impl FnOnce(Opened) -> Result<T, Error>) -> Result<T, Error> {
    let format = Format::of(bytes)?;
    // Nothing outlives the closure but its result, so no broken state can be seen.
    catch_unwind(AssertUnwindSafe(|| then(Opened::new(bytes, format)?)))
        .unwrap_or_else(|_| Err(Error::unreadable(format, "its decoder gave up")))
}

/// An image whose header has been read and whose pixels have not.
pub(super) struct Opened<'a> {
    pub(super) header: Header,
    bytes: &'a [u8],
    decoder: Decoder<'a>,
}

enum Decoder<'a> {
    Jpeg(Box<jpeg::Decoder<'a>>),
    Other(Box<dyn ImageDecoder + 'a>),
}

impl<'a> Opened<'a> {
    fn new(bytes: &'a [u8], format: Format) -> Result<Self, Error> {
        if format == Format::Jpeg {
            let decoder = jpeg::Decoder::open(bytes)?;
            let (width, height) = decoder.dimensions();
            let (memory, kept) = (decoder.memory() + OVERHEAD, decoder.kept());
            let header = Header { width, height, format, grey: decoder.is_grey(), memory, kept };
            return Ok(Self { header, bytes, decoder: Decoder::Jpeg(Box::new(decoder)) });
        }
        if format == Format::Png {
            png::check(bytes)?;
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format.codec());
        reader.limits(codec_limits(METADATA));
        let decoder = reader.into_decoder().map_err(|error| failure(format, error, METADATA))?;
        let (width, height) = decoder.dimensions();
        let lossless = if format == Format::WebP { riff::check(bytes, width, height)? } else { 0 };
        let pixels = u64::from(width) * u64::from(height);
        let beside = match format {
            // A frame of its own beside the screen, RGBA; it may be larger.
            Format::Gif => {
                4 * gif::first_frame(bytes).map_or(pixels, |(width, height)| u64::from(width) * u64::from(height)).max(pixels)
            }
            // Frame, canvas, planes and alpha plane; and code tables.
            Format::WebP => 11 * pixels + lossless * CODE_TABLES,
            // Grey becomes RGB in a second buffer.
            _ if decoder.color_type().channel_count() < 3 => 3 * pixels,
            _ => 0,
        };
        let memory = decoder.total_bytes().saturating_add(beside).saturating_add(OVERHEAD);
        let kept = decoder.total_bytes().max(3 * pixels);
        let grey = decoder.color_type().channel_count() < 3;
        let header = Header { width, height, format, grey, memory, kept };
        Ok(Self { header, bytes, decoder: Decoder::Other(Box::new(decoder)) })
    }

    /// How the stored pixels are to be turned. Unreadable EXIF is as good as none.
    pub(super) fn orientation(&self) -> Orientation {
        let stated = match &self.decoder {
            Decoder::Jpeg(decoder) => return decoder.orientation(),
            Decoder::Other(_) => match self.header.format {
                Format::Png => png::exif(self.bytes),
                Format::WebP => riff::exif(self.bytes),
                // They have no place for it.
                Format::Jpeg | Format::Gif | Format::Bmp => None,
            },
        };
        stated.and_then(exif::orientation).unwrap_or(Orientation::NoTransforms)
    }

    /// The pixels, 8 bits a sample, and how many samples each has: grey, grey and alpha, RGB, or RGBA.
    pub(super) fn read(self) -> Result<(Vec<u8>, usize), Error> {
        let Header { format, memory, .. } = self.header;
        match self.decoder {
            Decoder::Jpeg(decoder) => decoder.read(),
            Decoder::Other(mut decoder) => {
                let color = decoder.color_type();
                let mut samples = buffer(format, decoder.total_bytes())?;
                // Its buffers beside the pixels, where it heeds limits at all; the header has been checked for the rest.
                decoder.set_limits(codec_limits(memory)).map_err(|error| failure(format, error, memory))?;
                decoder.read_image_boxed(&mut samples).map_err(|error| failure(format, error, memory))?;
                let channels = usize::from(color.channel_count());
                if usize::from(color.bytes_per_pixel()) == 2 * channels {
                    round_to_bytes(&mut samples);
                }
                if format == Format::Bmp && channels == 4 {
                    fill_unused_alpha(&mut samples);
                }
                Ok((samples, channels))
            }
        }
    }
}

/// Many writers of bitmaps leave the fourth byte of a pixel at zero: an alpha that is zero throughout is none.
fn fill_unused_alpha(samples: &mut [u8]) {
    let (pixels, _) = samples.as_chunks_mut::<4>();
    if pixels.iter().all(|pixel| pixel[3] == 0) {
        for pixel in pixels {
            pixel[3] = 255;
        }
    }
}

fn codec_limits(bytes: u64) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

/// Zeros, or an error where the allocator has none to give.
pub(super) fn buffer(format: Format, bytes: u64) -> Result<Vec<u8>, Error> {
    let (size, mut buffer) = (bytes as usize, Vec::new());
    buffer.try_reserve_exact(size).map_err(|_| Error::TooMuchMemory { format, limit: bytes })?;
    buffer.resize(size, 0);
    Ok(buffer)
}

/// 16-bit samples in the machine's order to 8 bits in place: 65,535 is 257 × 255.
fn round_to_bytes(samples: &mut Vec<u8>) {
    let half = samples.len() / 2;
    for index in 0..half {
        let value = u32::from(u16::from_ne_bytes([samples[2 * index], samples[2 * index + 1]]));
        samples[index] = ((value + 128) / 257) as u8;
    }
    samples.truncate(half);
}

/// Whether a codec's text is meant for people, and not the names of its types.
fn is_wording(text: &str) -> bool {
    let is_name = |word: &str| {
        word.len() > 6 && word.as_bytes().windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase())
    };
    !text.contains(['{', '"']) && !text.contains("::") && !text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_name)
}

fn failure(format: Format, error: image::ImageError, limit: u64) -> Error {
    let early = |source: &(dyn std::error::Error + 'static)| {
        source.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof)
    };
    match error {
        image::ImageError::Limits(_) => Error::TooMuchMemory { format, limit },
        image::ImageError::IoError(io) if io.kind() == std::io::ErrorKind::UnexpectedEof => Error::Truncated { format },
        other => {
            // A file's end is reported by each codec under other names, some levels down.
            let mut source = std::error::Error::source(&other);
            while let Some(cause) = source {
                if early(cause) {
                    return Error::Truncated { format };
                }
                source = cause.source();
            }
            // The library puts its own words before those of the codec.
            let reason = std::error::Error::source(&other).map_or_else(|| other.to_string(), ToString::to_string);
            Error::unreadable(format, if is_wording(&reason) { reason } else { "its data is damaged".into() })
        }
    }
}
