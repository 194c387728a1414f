//! The chunks of a PNG, walked for what its decoder does not say.

use super::error::Error;
use super::format::Format;

const SIGNATURE: usize = 8;

/// Refuses Apple's variant of the format, whose pixels no ordinary decoder can read.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    match chunks(bytes).next() {
        Some((b"CgBI", _)) => Err(Error::unreadable(Format::Png, "it is Apple's variant CgBI, as Xcode writes it into apps")),
        _ => Ok(()),
    }
}

/// What an `eXIf` chunk holds, before the pixels or behind them.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    chunks(bytes).find(|(kind, _)| *kind == b"eXIf").map(|(_, data)| data)
}

/// Kind and content of every whole chunk.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = after.get(..length)?;
        // A checksum follows.
        rest = after.get(length + 4..).unwrap_or_default();
        Some((kind, data))
    })
}
