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

/// Chunks, bytes beside the pixels, and compressed bytes among them: of a file that is read without delay. A compressed byte stands
/// for a thousand at most.
const FEW: (usize, usize, usize) = (256, 64 << 10, 4 << 10);

/// Whether there is no more beside the pixels than ordinary writers put there.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let (mut count, mut beside, mut compressed) = (0, 0, 0);
    for (kind, data) in chunks(bytes) {
        count += 1;
        match kind {
            b"IDAT" => continue,
            b"iCCP" | b"zTXt" | b"iTXt" => compressed += data.len(),
            _ => {}
        }
        beside += data.len();
    }
    count <= FEW.0 && beside <= FEW.1 && compressed <= FEW.2
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
