//! The one thing that EXIF data is read for: how the stored pixels are to be turned.

use image::metadata::Orientation;

const TAG: u16 = 0x0112;
/// Entries looked at: writers have some dozens.
const ENTRIES: usize = 1024;

/// The orientation that `exif` (a TIFF header and what follows, with or without `Exif` before it) states for the image itself;
/// none where it states none that there is. Unreadable EXIF is as good as none.
pub(super) fn orientation(exif: &[u8]) -> Option<Orientation> {
    let tiff = Tiff::open(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))?;
    let first = tiff.long(4)? as usize;
    let count = usize::from(tiff.short(first)?).min(ENTRIES);
    let entry = (0..count).map(|index| first + 2 + 12 * index).find(|&entry| tiff.short(entry) == Some(TAG))?;
    // SHORT by the standard; LONG and BYTE are met as well. A value stands at the front of its four bytes.
    let value = match tiff.short(entry + 2)? {
        1 => u32::from(*tiff.bytes.get(entry + 8)?),
        3 => u32::from(tiff.short(entry + 8)?),
        4 => tiff.long(entry + 8)?,
        _ => return None,
    };
    Orientation::from_exif(u8::try_from(value).ok()?)
}

struct Tiff<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl<'a> Tiff<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        let little = match bytes.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Self { bytes, little })
    }

    fn short(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u16::from_le_bytes(*bytes) } else { u16::from_be_bytes(*bytes) })
    }

    fn long(&self, at: usize) -> Option<u32> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(if self.little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header, an entry that does not matter, and the orientation as `kind`.
    fn exif(little: bool, kind: u16, value: u32) -> Vec<u8> {
        let short = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let long = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let front = match kind {
            1 => [value as u8, 0, 0, 0],
            3 => [short(value as u16)[0], short(value as u16)[1], 0, 0],
            _ => long(value),
        };
        let mut bytes = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        bytes.extend(long(8));
        bytes.extend(short(2));
        for (tag, kind, value) in [(0x0110, 3, [0; 4]), (TAG, kind, front)] {
            bytes.extend([short(tag), short(kind)].concat());
            bytes.extend(long(1));
            bytes.extend(value);
        }
        bytes
    }

    #[test]
    fn an_orientation_is_found_in_either_order_and_as_any_number() {
        for little in [true, false] {
            for kind in [1, 3, 4] {
                assert_eq!(orientation(&exif(little, kind, 6)), Some(Orientation::Rotate90), "{little} {kind}");
                assert_eq!(orientation(&[b"Exif\0\0", exif(little, kind, 3).as_slice()].concat()), Some(Orientation::Rotate180));
                assert_eq!(orientation(&exif(little, kind, 0)), None);
                assert_eq!(orientation(&exif(little, kind, 9)), None);
            }
            assert_eq!(orientation(&exif(little, 5, 6)), None);
            assert_eq!(orientation(&exif(little, 4, 0x0106)), None);
        }
    }

    #[test]
    fn what_is_cut_off_states_nothing() {
        let whole = exif(true, 3, 6);
        assert!((0..whole.len() - 4).all(|keep| orientation(&whole[..keep]).is_none()));
        assert_eq!(orientation(b"II*\0\xFF\xFF\xFF\xFF"), None);
    }
}
