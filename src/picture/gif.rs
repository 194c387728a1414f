//! The size of a GIF's first frame, which need not be that of its screen.

/// Columns and rows of the first frame; none where there is none.
pub(super) fn first_frame(bytes: &[u8]) -> Option<(u32, u32)> {
    // Signature, screen's size, flags, background, aspect ratio; then the global palette.
    let mut rest = after_palette(bytes.get(13..)?, *bytes.get(10)?)?;
    loop {
        match rest {
            [0x2C, _, _, _, _, w0, w1, h0, h1, ..] => {
                return Some((u16::from_le_bytes([*w0, *w1]).into(), u16::from_le_bytes([*h0, *h1]).into()));
            }
            // An extension and its blocks, the last of them empty.
            [0x21, _, blocks @ ..] => {
                rest = blocks;
                loop {
                    let (length, after) = rest.split_first()?;
                    rest = after.get(usize::from(*length)..)?;
                    if *length == 0 {
                        break;
                    }
                }
            }
            _ => return None,
        }
    }
}

fn after_palette(rest: &[u8], flags: u8) -> Option<&[u8]> {
    let colors = if flags & 0x80 == 0 { 0 } else { 2 << (flags & 7) };
    rest.get(3 * colors..)
}
