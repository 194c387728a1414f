//! What a file is, told by its first bytes: names and content types lie.

use super::error::Error;
use super::format::Format;
use super::text;

impl Format {
    /// The format of `bytes`, or an error that names what they are instead.
    pub fn of(bytes: &[u8]) -> Result<Self, Error> {
        match bytes {
            [] => Err(Error::Empty),
            _ if text::is_mangled(bytes) => Err(Error::Mangled),
            [0x89, b'P', b'N', b'G', ..] => Ok(Self::Png),
            [0xFF, 0xD8, 0xFF, ..] => Ok(Self::Jpeg),
            [b'G', b'I', b'F', b'8', ..] => Ok(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Self::WebP),
            [b'B', b'M', ..] => Ok(Self::Bmp),
            _ if text::is_base64(bytes) => Err(Error::Base64),
            _ => Err(Error::UnknownFormat { name: foreign(bytes) }),
        }
    }
}

/// The name of a common format that is not read.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => return media(brand),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => return Some("TIFF"),
        [b'%', b'P', b'D', b'F', ..] => return Some("PDF"),
        [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => return Some("JPEG XL"),
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] => return Some("JPEG 2000"),
        [0, 0, 1, 0, ..] => return Some("ICO"),
        [b'8', b'B', b'P', b'S', ..] => return Some("PSD"),
        [b'P', b'K', 3, 4, ..] => return Some("ZIP"),
        _ => {}
    }
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    let text = start.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("<svg") || (text.starts_with("<?xml") || text.starts_with("<!--")) && text.contains("<svg") {
        return Some("SVG");
    }
    let lower = text.to_ascii_lowercase();
    (lower.starts_with("<!doctype html") || lower.starts_with("<html")).then_some("HTML")
}

/// By the brands of an ISO media file: the major one first, then the compatible ones.
fn media(brands: &[u8]) -> Option<&'static str> {
    brands[..brands.len().min(64)].chunks_exact(4).find_map(|brand| match brand {
        b"avif" | b"avis" => Some("AVIF"),
        b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1" => Some("HEIC/HEIF"),
        b"qt  " => Some("QuickTime"),
        b"isom" | b"mp41" | b"mp42" => Some("MP4"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_strangers_are_named() {
        let cases: [(&[u8], Option<&str>); 9] = [
            (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1", Some("AVIF")),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Some("HEIC/HEIF")),
            (b"II*\0\x08\0\0\0", Some("TIFF")),
            (b"MM\0*\0\0\0\x08", Some("TIFF")),
            (b"%PDF-1.7", Some("PDF")),
            (b"<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>", Some("SVG")),
            (b"  <svg/>", Some("SVG")),
            (b"<!DOCTYPE html><title>404", Some("HTML")),
            (b"hello", None),
        ];
        for (bytes, name) in cases {
            assert_eq!(Format::of(bytes), Err(Error::UnknownFormat { name }), "{}", String::from_utf8_lossy(bytes));
        }
        let sentence = Error::UnknownFormat { name: Some("AVIF") }.to_string();
        assert_eq!(sentence, "AVIF is not a format read here: send a PNG, JPEG, GIF, WebP or BMP file");
        assert_eq!(Format::of(&[]), Err(Error::Empty));
    }
}
