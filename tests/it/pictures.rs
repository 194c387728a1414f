//! Images as they really come: odd, broken and hostile.

use std::path::{Path, PathBuf};

use convscope::network::Preprocessing;
use convscope::network::preprocessing::Fit;
use convscope::network::spec::Input;
use convscope::picture::decode::{Error, Limits, decode, probe};
use convscope::picture::{Format, Header};
use proptest::prelude::*;

use crate::allocations::peak_of;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(data().join("odd").join(name)).unwrap()
}

fn sized(width: usize, height: usize) -> Preprocessing {
    Preprocessing::unit(Input { channels: 3, height, width })
}

/// Largest and mean difference between two pictures' samples.
fn difference(one: &[u8], other: &[u8]) -> (u8, f64) {
    assert_eq!(one.len(), other.len());
    let differences = || one.iter().zip(other).map(|(a, b)| a.abs_diff(*b));
    (differences().max().unwrap(), differences().map(f64::from).sum::<f64>() / one.len() as f64)
}

/// `file` against NAME.rgb, which Pillow made.
fn check(file_name: &str, tolerance: u8) {
    let bytes = file(file_name);
    let picture = decode(&bytes, &sized(48, 32), &Limits::default()).unwrap();
    assert_eq!((picture.source_width, picture.source_height), (48, 32), "{file_name}");
    let expected = file(&format!("{}.rgb", file_name.split_once('.').unwrap().0));
    let (most, mean) = difference(&picture.pixels, &expected);
    assert!(most <= tolerance, "{file_name}: {most} at most, {mean:.3} in the mean");
}

#[test]
fn lossless_files_are_read_exactly() {
    for name in [
        "palette.png",
        "palette-transparent.png",
        "bilevel.png",
        "alpha.png",
        "grey.png",
        "grey-alpha.png",
        "sixteen.png",
        "sixteen-grey.png",
        "bitmap.bmp",
        "bitmap-palette.bmp",
        "still.gif",
        "animated-gif.gif",
        "lossless.webp",
        "animated-webp.webp",
    ] {
        check(name, 0);
    }
}

#[test]
fn lossy_files_are_read_within_rounding() {
    for name in ["plain.jpg", "grey-jpeg.jpg", "progressive.jpg", "lossy.webp", "cmyk.jpg", "ycck.jpg"] {
        check(name, 4);
    }
}

#[test]
fn every_orientation_is_turned_upright() {
    for number in 1..=8 {
        check(&format!("orientation-{number}.jpg"), 4);
    }
}

#[test]
fn resizing_is_pillows() {
    let cases = [(Fit::Stretch, "stretch"), (Fit::Crop, "crop"), (Fit::Pad, "pad")];
    for (fit, name) in cases {
        let mut preprocessing = sized(32, 32);
        preprocessing.fit = fit;
        let picture = decode(&file("photo.png"), &preprocessing, &Limits::default()).unwrap();
        assert_eq!((picture.source_width, picture.source_height), (120, 90));
        let (most, mean) = difference(&picture.pixels, &file(&format!("resized/{name}.rgb")));
        assert!(most <= 1 && mean < 0.2, "{name}: {most} at most, {mean:.3} in the mean");
    }
    let horse = std::fs::read(data().join("horse.png")).unwrap();
    let mut preprocessing = sized(50, 70);
    preprocessing.fit = Fit::Stretch;
    let picture = decode(&horse, &preprocessing, &Limits::default()).unwrap();
    assert!(difference(&picture.pixels, &file("resized/enlarged.rgb")).0 <= 1);
}

#[test]
fn an_image_of_the_right_size_is_untouched() {
    let horse = std::fs::read(data().join("horse.png")).unwrap();
    let batch = std::fs::read(data().join("cifar-10-batches-bin/data_batch_1.bin")).unwrap();
    let record = &batch[7 * 3073 + 1..8 * 3073];
    let expected: Vec<u8> = (0..1024).flat_map(|at| [record[at], record[1024 + at], record[2048 + at]]).collect();
    for fit in [Fit::Crop, Fit::Stretch, Fit::Pad] {
        let mut preprocessing = sized(32, 32);
        preprocessing.fit = fit;
        assert_eq!(decode(&horse, &preprocessing, &Limits::default()).unwrap().pixels, expected);
    }
}

#[test]
fn a_header_tells_size_and_format() {
    for (name, format) in [
        ("alpha.png", Format::Png),
        ("progressive.jpg", Format::Jpeg),
        ("still.gif", Format::Gif),
        ("animated-webp.webp", Format::WebP),
        ("bitmap.bmp", Format::Bmp),
    ] {
        let header = probe(&file(name)).unwrap();
        assert_eq!((header.width, header.height, header.format), (48, 32, format), "{name}");
    }
}

/// Every file cut off at many places: refused, or (where only what follows the picture is lost) read right.
#[test]
fn truncated_files_are_refused() {
    let mut refused_as_truncated = 0;
    for entry in std::fs::read_dir(data().join("odd")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().unwrap() == "rgb" {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let header = probe(&bytes).unwrap();
        let preprocessing = sized(header.width as usize, header.height as usize);
        let whole = decode(&bytes, &preprocessing, &Limits::default()).unwrap();
        for keep in (1..bytes.len()).step_by(1 + bytes.len() / 97) {
            match decode(&bytes[..keep], &preprocessing, &Limits::default()) {
                Err(Error::Truncated { .. }) => refused_as_truncated += 1,
                Err(_) => {}
                Ok(picture) => {
                    let left = bytes.len() - keep;
                    assert!(
                        picture == whole,
                        "{}: {keep} of {} bytes gave another picture ({left} lost)",
                        path.display(),
                        bytes.len()
                    );
                }
            }
        }
    }
    assert!(refused_as_truncated > 500, "{refused_as_truncated}");
}

/// Codes that cannot be are refused, where a lenient decoder would fill the rest with grey.
#[test]
fn a_corrupt_jpeg_is_refused() {
    for name in ["plain.jpg", "progressive.jpg"] {
        let mut bytes = file(name);
        let middle = bytes.len() / 2;
        // Ones only: no code of JPEG's Huffman tables is all ones.
        bytes[middle..middle + 40].as_chunks_mut().0.fill([0xFF, 0x00]);
        let error = decode(&bytes, &sized(48, 32), &Limits::default()).map(|_| "was read").unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{name}: {error:?}");
    }
}

#[test]
fn foreign_and_empty_files_are_named() {
    let refused = |bytes: &[u8]| decode(bytes, &sized(32, 32), &Limits::default()).unwrap_err();
    assert_eq!(refused(b""), Error::Empty);
    assert_eq!(refused(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), Error::UnknownFormat { name: Some("HEIC/HEIF") });
    assert!(
        matches!(refused(b"\x89PNG\r\n\x1a\n"), Error::Truncated { format: Format::Png }),
        "{:?}",
        refused(b"\x89PNG\r\n\x1a\n")
    );
}

/// A PNG whose header claims `width` × `height`, with `data` as its compressed pixels.
fn png(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    for (kind, content) in [(b"IHDR", header.as_slice()), (b"IDAT", data), (b"IEND", &[])] {
        bytes.extend((content.len() as u32).to_be_bytes());
        bytes.extend(kind);
        bytes.extend(content);
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(content);
        bytes.extend(crc.sum().to_be_bytes());
    }
    bytes
}

#[test]
fn claims_are_refused_before_anything_is_allocated() {
    let limits = Limits::default();
    let refused = |bytes: &[u8]| peak_of(|| decode(bytes, &sized(32, 32), &limits).map(|_| "was read").unwrap_err());
    let (error, peak) = refused(&png(30_000, 30_000, &[]));
    assert_eq!(error, Error::TooManyPixels { width: 30_000, height: 30_000, limit: 50_000_000 });
    assert!(peak < 1 << 20, "{peak}");
    // Rows beyond what any buffer may take are refused as that.
    for (width, height) in [(1 << 30, 2), (0x7FFF_FFFF, 0x7FFF_FFFF), (50_000_001, 1)] {
        let (error, peak) = refused(&png(width, height, &[]));
        assert!(matches!(error, Error::TooManyPixels { .. } | Error::TooMuchMemory { .. }), "{error:?}");
        assert!(peak < 1 << 20, "{peak}");
    }
    // A GIF's frame may be larger than its screen, a WebP's bitstream larger than its canvas.
    let mut gif = file("still.gif");
    let descriptor = gif.windows(10).position(|at| at[0] == b',' && at[5..9] == [48, 0, 32, 0]).unwrap();
    gif[descriptor + 5..descriptor + 9].fill(0xFF);
    let (error, peak) = refused(&gif);
    assert!(matches!(error, Error::TooMuchMemory { .. }), "{error:?}");
    assert!(peak < 1 << 20, "{peak}");
    let mut webp = file("lossy.webp");
    webp[12..16].copy_from_slice(b"VP8X");
    let (error, peak) = refused(&webp);
    assert!(matches!(error, Error::Unreadable { .. } | Error::Truncated { .. } | Error::TooManyPixels { .. }), "{error:?}");
    assert!(peak < 1 << 20, "{peak}");
}

/// A real bomb: 112 MB of zeros compress to some hundred kilobytes.
#[test]
fn a_bomb_is_refused_with_memory_flat() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 30_000, 30_000);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&vec![0; 30_000 * 30_000 / 8]).unwrap();
    writer.finish().unwrap();
    let (error, peak) = peak_of(|| decode(&bytes, &sized(32, 32), &Limits::default()).map(|_| "was read").unwrap_err());
    assert_eq!(error, Error::TooManyPixels { width: 30_000, height: 30_000, limit: 50_000_000 });
    assert!(peak < 1 << 20, "{peak}");
}

/// What a header says decoding takes is what it takes at most, and not many times that.
#[test]
fn memory_stays_within_what_the_header_says() {
    for entry in std::fs::read_dir(data().join("odd/large")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let Header { width, height, memory, .. } = probe(&bytes).unwrap();
        // Its own size, so that nothing is resized.
        let (picture, peak) = peak_of(|| decode(&bytes, &sized(width as usize, height as usize), &Limits::default()).unwrap());
        assert_eq!(picture.pixels.len(), (width * height * 3) as usize);
        assert!(peak as u64 <= memory && memory <= 4 * peak as u64, "{}: {peak} bytes, {memory} announced", path.display());
    }
}

/// Nothing in `bytes`, whatever they are, panics or takes more than the limits.
fn withstand(bytes: &[u8]) {
    let limits = Limits { pixels: 1 << 20, memory: 24 << 20 };
    let (result, peak) = peak_of(|| decode(bytes, &sized(32, 32), &limits));
    // What a decoder holds beside pixels is bounded by the file: it is at most read twice.
    assert!(peak as u64 <= limits.memory + 2 * bytes.len() as u64, "{peak} bytes for {result:?}");
    if let Err(Error::Unreadable { reason, .. }) = &result {
        assert!(!reason.is_empty());
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let names = ["alpha.png", "palette.png", "sixteen.png", "plain.jpg", "progressive.jpg", "ycck.jpg", "orientation-6.jpg"];
    let more = ["animated-gif.gif", "lossless.webp", "lossy.webp", "animated-webp.webp", "bitmap.bmp", "bitmap-palette.bmp"];
    names.iter().chain(&more).map(|name| file(name)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_withstood(start in 0..6_usize, rest in proptest::collection::vec(any::<u8>(), 0..400)) {
        let magic: [&[u8]; 6] = [b"", b"\x89PNG\r\n\x1a\n", b"\xFF\xD8\xFF", b"GIF89a", b"RIFF\x80\0\0\0WEBP", b"BM"];
        withstand(&[magic[start], &rest].concat());
    }

    #[test]
    fn mutated_images_are_withstood(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        early in any::<bool>(),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = which.get(&seeds()).clone();
        // Headers are short: half of the cases change nothing else.
        let reach = if early { bytes.len().min(96) } else { bytes.len() };
        for (at, value) in changes {
            bytes[at.index(reach)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        withstand(&bytes);
    }
}
