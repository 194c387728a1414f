//! What a file is that holds no weights: people import what a browser, a proxy or git left in a download's place.

/// How files begin, and what they are. A longer beginning stands before a shorter one.
const KINDS: [(&[u8], &str); 20] = [
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull` where it was cloned"),
    // A number that `torch.save` began its files with.
    (
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        "PyTorch's format before version 1.6; write it again with a newer one, `torch.save(torch.load(FILE), FILE)`",
    ),
    (b"\x80", "a Python pickle, which may be of any object"),
    (b"\x1f\x8b", "compressed by gzip; unpack it with `gunzip`"),
    (b"BZh", "compressed by bzip2; unpack it with `bunzip2`"),
    (b"\xfd7zXZ\0", "compressed by xz; unpack it with `unxz`"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard; unpack it with `unzstd`"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes; load it there and save the weights as safetensors"),
    (b"\x93NUMPY", "a NumPy array; save tensors by name in PyTorch"),
    (b"GGUF", "a GGUF file of a language model"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"RIFF", "a RIFF file, such as a WebP picture"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program"),
    (b"<?xml", "an XML document, such as a storage service's error message; download the file again"),
    (b"<", "a web page, not the file that it leads to; open it in a browser and download that"),
];

/// The sentence's part after "this is".
pub(super) fn of(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "an empty file; download or save it again".into();
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return format!("{} zeros, as an interrupted download leaves; download it again", bytes.len());
    }
    let text = std::str::from_utf8(&bytes[..bytes.len().min(1 << 16)]).map_or_else(|e| e.valid_up_to(), str::len);
    // Text files may begin with a byte order mark and blank lines.
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if let Some((_, kind)) = KINDS.iter().find(|(beginning, _)| bytes.starts_with(beginning) || start.starts_with(beginning)) {
        return (*kind).into();
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return "a tar archive; unpack it".into();
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return "a TensorFlow Lite model".into();
    }
    // ONNX is a protocol buffer: a version, then who wrote it.
    if bytes.starts_with(b"\x08") && bytes.get(2) == Some(&0x12) {
        return "an ONNX model, it seems; import the PyTorch weights that it was made of".into();
    }
    if text == bytes.len().min(1 << 16) || text + 4 > 1 << 16 {
        return format!("a text that begins with {:?}", beginning(bytes));
    }
    "no file of weights that is known here".into()
}

/// The first words of a text, on one line.
fn beginning(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(240)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_what_it_is() {
        for (bytes, part) in [
            (&b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 4\n"[..], "Git LFS pointer"),
            (b"\n  <!DOCTYPE html><html>", "web page"),
            (b"\xef\xbb\xbf<html>", "web page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML document"),
            (b"{\"message\": \"Not Found\"}", "a text that begins with \"{\\\"message"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"", "empty file"),
            (&[0; 5000], "5000 zeros"),
            (b"\x80\x04\x95", "Python pickle"),
            (b"\x08\x07\x12\x07pytorch", "ONNX"),
            (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
            (b"\x13\x37\xfe\xff", "no file of weights"),
        ] {
            assert!(of(bytes).contains(part), "{}", of(bytes));
        }
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(of(&tar).contains("tar archive"));
        assert!(of("größer ".repeat(20_000).as_bytes()).contains("a text"));
    }
}
