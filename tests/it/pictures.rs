//! Images as they really come: odd and broken. Hostile ones are `hostile_pictures`'.

use std::path::{Path, PathBuf};

use convscope::picture::decode::{Error, Limits, decode, probe};
use convscope::picture::{Channels, Dimensions, Filter, Fit, Format, Pixels, Target, encode};

pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(data().join("odd").join(name)).unwrap()
}

pub(crate) fn sized(width: usize, height: usize) -> Target {
    Target { height, width, channels: Channels::Rgb, fit: Fit::Crop, filter: Filter::Triangle, background: [255; 3] }
}

/// A PNG of `pixels`, height × width × RGB.
pub(crate) fn rgb_png(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    let dimensions = Dimensions { height, width, channels: Channels::Rgb };
    encode::pixels(&Pixels::new(dimensions, pixels).unwrap()).unwrap()
}

/// Largest and mean difference between two pictures' samples.
pub(crate) fn difference(one: &[u8], other: &[u8]) -> (u8, f64) {
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
    let (most, mean) = difference(picture.pixels.values(), &expected);
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
        let mut target = sized(32, 32);
        target.fit = fit;
        let picture = decode(&file("photo.png"), &target, &Limits::default()).unwrap();
        assert_eq!((picture.source_width, picture.source_height), (120, 90));
        let (most, mean) = difference(picture.pixels.values(), &file(&format!("resized/{name}.rgb")));
        assert!(most <= 1 && mean < 0.2, "{name}: {most} at most, {mean:.3} in the mean");
    }
    let horse = std::fs::read(data().join("horse.png")).unwrap();
    let mut target = sized(50, 70);
    target.fit = Fit::Stretch;
    let picture = decode(&horse, &target, &Limits::default()).unwrap();
    assert!(difference(picture.pixels.values(), &file("resized/enlarged.rgb")).0 <= 1);
}

#[test]
fn an_image_of_the_right_size_is_untouched() {
    let horse = std::fs::read(data().join("horse.png")).unwrap();
    let batch = std::fs::read(data().join("cifar-10-batches-bin/data_batch_1.bin")).unwrap();
    let record = &batch[7 * 3073 + 1..8 * 3073];
    let expected: Vec<u8> = (0..1024).flat_map(|at| [record[at], record[1024 + at], record[2048 + at]]).collect();
    for fit in [Fit::Crop, Fit::Stretch, Fit::Pad] {
        let mut target = sized(32, 32);
        target.fit = fit;
        assert_eq!(decode(&horse, &target, &Limits::default()).unwrap().pixels.values(), expected);
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
    for entry in ["odd", "odd/jpeg"].iter().flat_map(|folder| std::fs::read_dir(data().join(folder)).unwrap()) {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().unwrap() == "rgb" || path.ends_with("misread.jpg") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let header = probe(&bytes).unwrap();
        let target = sized(header.width as usize, header.height as usize);
        let whole = decode(&bytes, &target, &Limits::default()).unwrap();
        for keep in (1..bytes.len()).step_by(1 + bytes.len() / 97) {
            match decode(&bytes[..keep], &target, &Limits::default()) {
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
    for (name, part) in [("plain.jpg", 2), ("progressive.jpg", 2), ("jpeg/420-each.jpg", 2), ("jpeg/fine-colour.jpg", 4)] {
        let mut bytes = file(name);
        let middle = bytes.len() - bytes.len() / part;
        // Ones only: no code of JPEG's Huffman tables is all ones.
        bytes[middle..middle + 40].as_chunks_mut().0.fill([0xFF, 0x00]);
        let error = decode(&bytes, &sized(48, 32), &Limits::default()).map(|_| "was read").unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{name}: {error:?}");
    }
}

/// A scan that ends early is refused also where the end marker follows, in both decoders.
#[test]
fn a_scan_cut_short_before_the_end_marker_is_refused() {
    for name in
        ["plain.jpg", "progressive.jpg", "jpeg/420-each.jpg", "jpeg/444-pair.jpg", "jpeg/fine-colour.jpg", "jpeg/threefold.jpg"]
    {
        let bytes = file(name);
        for part in [3, 5] {
            let mut cut = bytes[..bytes.len() - bytes.len() / part].to_vec();
            cut.extend([0xFF, 0xD9]);
            let result = decode(&cut, &sized(48, 32), &Limits::default()).map(|_| "was read");
            assert!(matches!(result, Err(Error::Unreadable { .. } | Error::Truncated { .. })), "{name} less {part}: {result:?}");
        }
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
