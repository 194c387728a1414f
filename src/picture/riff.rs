//! The chunks of a WebP file, walked before its decoder sees them.
//!
//! `image-webp` believes the sizes it reads: a chunk that claims 4 GiB is allocated before it is read, and a frame may be
//! of another size than the canvas that was checked against the limits. This walk refuses both, and files that end early.

use super::error::Error;
use super::format::Format;

const FORMAT: Format = Format::WebP;

/// Whether every chunk lies within the file and every bitstream within the canvas of `width` × `height`; and how many bytes
/// of lossless data there are to decode for the first picture.
pub(super) fn check(bytes: &[u8], width: u32, height: u32) -> Result<u64, Error> {
    let (mut lossless, mut first) = (0, true);
    for chunk in chunks(body(bytes)?)? {
        if &chunk.kind == b"ANMF" {
            // x, y, width, height, duration and flags stand before a frame's own chunks.
            let frame = chunk.data.get(16..).ok_or(Error::Truncated { format: FORMAT })?;
            for chunk in chunks(frame)? {
                chunk.fits(width, height)?;
                lossless += if first { chunk.lossless() } else { 0 };
            }
            first = false;
        }
        chunk.fits(width, height)?;
        lossless += chunk.lossless();
    }
    Ok(lossless)
}

/// What an `EXIF` chunk holds, wherever it stands.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let found = chunks(body(bytes).ok()?).ok()?.into_iter().find(|chunk| &chunk.kind == b"EXIF");
    found.map(|chunk| chunk.data)
}

/// What the file's own header says it holds, which must be there.
fn body(bytes: &[u8]) -> Result<&[u8], Error> {
    let truncated = Error::Truncated { format: FORMAT };
    let size = bytes.get(4..8).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
    let end = size.ok_or(truncated.clone())? as usize + 8;
    bytes.get(12..end).ok_or(truncated)
}

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
}

fn chunks(mut rest: &[u8]) -> Result<Vec<Chunk<'_>>, Error> {
    let mut found = Vec::new();
    while let Some((&[a, b, c, d, s0, s1, s2, s3], data)) = rest.split_first_chunk() {
        let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        let content = data.get(..size).ok_or(Error::Truncated { format: FORMAT })?;
        found.push(Chunk { kind: [a, b, c, d], data: content });
        // Chunks are padded to even sizes; writers forget the last one.
        rest = data.get(size + size % 2..).unwrap_or_default();
    }
    Ok(found)
}

impl Chunk<'_> {
    /// Bytes for the lossless decoder: pictures, and alpha planes.
    fn lossless(&self) -> u64 {
        if matches!(&self.kind, b"VP8L" | b"ALPH") { self.data.len() as u64 } else { 0 }
    }

    /// Whether a picture in this chunk, if it holds one, fits on the canvas.
    fn fits(&self, width: u32, height: u32) -> Result<(), Error> {
        let (columns, rows) = match (&self.kind, self.data) {
            (b"VP8 ", &[_, _, _, 0x9D, 0x01, 0x2A, w0, w1, h0, h1, ..]) => {
                (u32::from(u16::from_le_bytes([w0, w1]) & 0x3FFF), u32::from(u16::from_le_bytes([h0, h1]) & 0x3FFF))
            }
            (b"VP8L", &[0x2F, b0, b1, b2, b3, ..]) => {
                let bits = u32::from_le_bytes([b0, b1, b2, b3]);
                ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
            }
            // Anything else the decoder refuses by itself, before it allocates.
            _ => return Ok(()),
        };
        if columns > width || rows > height {
            return Err(Error::unreadable(FORMAT, format!("a frame of {columns}×{rows} on a canvas of {width}×{height}")));
        }
        Ok(())
    }
}
