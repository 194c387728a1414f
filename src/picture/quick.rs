//! Whether a file can be read between other requests: what its header announces is small, and reading the header is little work.
//! Nothing is decoded here, and no more than [`BYTES`] are looked at; in doubt the answer is no.

use super::decode::Limits;
use super::format::Format;
use super::{jpeg, png};

/// What a quick picture may cost: 256 × 256 pixels of any format.
pub(super) const LIMITS: Limits = Limits { pixels: 1 << 16, memory: 4 << 20 };
/// Its file: as an uncompressed one of so many pixels.
const BYTES: usize = (1 << 18) + 1024;
/// Time goes with the pixels and, where they are coded tightly, with the bytes: so many take about a millisecond.
const JPEG_BYTES: usize = 64 << 10;
const PROGRESSIVE_BYTES: usize = 32 << 10;
const WEBP_BYTES: usize = 16 << 10;
/// Scans that refine one another go over all pixels each, however short they are: ordinary writers make about ten.
const FEW_SCANS: usize = 16;

/// Whether the header of `bytes` can be read quickly, and pixels of it no more than [`LIMITS`] allow: these are checked as any others.
pub(super) fn reads(bytes: &[u8]) -> bool {
    let most = |most| bytes.len() <= most;
    most(BYTES)
        && match Format::of(bytes) {
            Ok(Format::Png) => png::is_plain(bytes),
            Ok(Format::Jpeg) => {
                most(JPEG_BYTES)
                    && jpeg::scans(bytes).is_none_or(|scans| scans == 1 || scans <= FEW_SCANS && most(PROGRESSIVE_BYTES))
            }
            Ok(Format::WebP) => most(WEBP_BYTES),
            Ok(Format::Gif | Format::Bmp) | Err(_) => true,
        }
}
