//! Whether a file can be read between other requests: what its header announces is small, and reading the header is little work.
//! Nothing is decoded here, and no more than [`BYTES`] are looked at; in doubt the answer is no.

use super::decode::Limits;
use super::format::Format;
use super::{jpeg, png};

/// What a quick picture may cost: 256 × 256 pixels of any format, decoded in about a millisecond on one thread.
pub(super) const LIMITS: Limits = Limits { pixels: 1 << 16, memory: 4 << 20 };
/// Its file: as an uncompressed one of so many pixels.
const BYTES: usize = (1 << 18) + 1024;

/// Whether the header of `bytes` can be read quickly. What it announces is checked against [`LIMITS`] as against any others.
pub(super) fn reads(bytes: &[u8]) -> bool {
    // Whatever the format, time goes with the bytes; of these two, bytes can be made to stand for much more.
    bytes.len() <= BYTES
        && match Format::of(bytes) {
            Ok(Format::Png) => png::is_plain(bytes),
            Ok(Format::Jpeg) => jpeg::is_simple(bytes),
            Ok(Format::Gif | Format::WebP | Format::Bmp) | Err(_) => true,
        }
}
