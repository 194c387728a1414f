//! Images that something on their way took for text: recognised, so that the refusal can say so.

/// Bytes that must be there before their absence says something.
const ENOUGH: usize = 32;
/// How PNG, JPEG, GIF, WebP and BMP begin in base64.
const ENCODED: [&[u8]; 5] = [b"iVBORw0KGgo", b"/9j/", b"R0lGOD", b"UklGR", b"Qk"];
/// PNG, JPEG and WebP read as Latin-1 and written as UTF-8, or read as UTF-8 with signs for what is none.
const RECODED: [&[u8]; 4] =
    [b"\xC2\x89PNG", b"\xC3\xBF\xC3\x98\xC3\xBF", b"\xEF\xBF\xBDPNG", b"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"];

/// Whether `bytes` were an image file until line ends were changed or taken out of it. PNG's first bytes are made to show that;
/// of the other formats no file is without zeros and line ends, which `curl -d @FILE` takes out.
pub(super) fn is_mangled(bytes: &[u8]) -> bool {
    let stripped = bytes.len() >= ENOUGH && !bytes.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r'));
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, ..] => false,
        [0x89, b'P', b'N', b'G', next, ..] => matches!(next, b'\n' | b'\r' | 0x1A),
        [0xFF, 0xD8, 0xFF, ..] | [b'G', b'I', b'F', b'8', ..] => stripped,
        [b'B', b'M', ..] => stripped && !bytes.is_ascii(),
        [b'R', b'I', b'F', b'F', rest @ ..] => stripped && rest[..8].windows(4).any(|name| name == b"WEBP"),
        _ => RECODED.iter().any(|start| bytes.starts_with(start)),
    }
}

/// Whether `bytes` are an image in base64, as such or as a `data:` URL, quoted or not.
pub(super) fn is_base64(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    let text = text.strip_prefix(b"\"").unwrap_or(text);
    if text.starts_with(b"data:image/") {
        return true;
    }
    let start = &text[..text.len().min(64)];
    let letters = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r' | b'"');
    text.len() >= ENOUGH && ENCODED.iter().any(|known| start.starts_with(known)) && start.iter().all(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_no_image_is_left_alone() {
        let plain: [&[u8]; 5] = [
            b"BMW builds cars, and this sentence is long enough",
            b"Quick brown foxes jump over lazy dogs",
            b"GIF87a",
            b"RIFF",
            b"\x89PN",
        ];
        for bytes in plain {
            assert!(!is_mangled(bytes) && !is_base64(bytes), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
