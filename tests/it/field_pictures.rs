//! Pictures that were read wrong, or refused in words nobody understands, by programs like this one.

use convscope::picture::decode::{Error, Limits, decode};
use image::codecs::webp::WebPEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, RgbImage};

use crate::pictures::{file, rgb_png, sized};
use crate::support::Server;

/// The picture that `tests/data/odd-images.py` starts from, upright.
fn base() -> Vec<u8> {
    file("bitmap.rgb")
}

fn read(bytes: &[u8], width: usize, height: usize) -> Result<Vec<u8>, Error> {
    decode(bytes, &sized(width, height), &Limits::default()).map(|picture| picture.pixels.values().to_vec())
}

fn sentence(bytes: &[u8]) -> String {
    read(bytes, 48, 32).map(|_| "was read").unwrap_err().to_string()
}

/// A TIFF header and an orientation of the TIFF type `kind`.
fn exif(kind: u16, value: u32, little: bool) -> Vec<u8> {
    let short = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let long = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let value = if kind == 3 { [short(value as u16), [0, 0]].concat() } else { long(value).to_vec() };
    let start = if little { b"II*\0" } else { b"MM\0*" };
    [start, &long(8)[..], &short(1), &short(0x0112), &short(kind), &long(1), &value, &long(0)].concat()
}

fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&kind);
    crc.update(data);
    [&(data.len() as u32).to_be_bytes()[..], &kind, data, &crc.sum().to_be_bytes()].concat()
}

/// `png` with `chunk` before the chunk called `kind`.
fn with_chunk(png: &[u8], kind: [u8; 4], chunk: &[u8]) -> Vec<u8> {
    let at = png.windows(4).position(|at| at == kind).unwrap() - 4;
    [&png[..at], chunk, &png[at..]].concat()
}

/// How the upright picture is stored for each orientation: what undoes it.
fn stored(orientation: u8) -> RgbImage {
    let undone = match orientation {
        6 => Orientation::Rotate270,
        8 => Orientation::Rotate90,
        other => Orientation::from_exif(other).unwrap(),
    };
    let mut image = DynamicImage::from(RgbImage::from_raw(48, 32, base()).unwrap());
    image.apply_orientation(undone);
    image.into_rgb8()
}

#[test]
fn an_orientation_is_found_in_every_container_and_as_every_number() {
    for orientation in 1..=8 {
        let image = stored(orientation);
        let png = rgb_png(image.width() as usize, image.height() as usize, &image);
        for (kind, little) in [(3, true), (3, false), (4, true), (4, false)] {
            let exif = exif(kind, orientation.into(), little);
            let mut webp = Vec::new();
            let mut encoder = WebPEncoder::new_lossless(&mut webp);
            encoder.set_exif_metadata(exif.clone()).unwrap();
            encoder.write_image(&image, image.width(), image.height(), ExtendedColorType::Rgb8).unwrap();
            let containers = [
                ("before the pixels", with_chunk(&png, *b"IDAT", &chunk(*b"eXIf", &exif))),
                ("behind the pixels", with_chunk(&png, *b"IEND", &chunk(*b"eXIf", &exif))),
                ("WebP", webp),
            ];
            for (name, bytes) in containers {
                assert!(read(&bytes, 48, 32).unwrap() == base(), "{name}: {orientation} as {kind}, {little}");
            }
        }
    }
    // The orientation of JPEGs is a SHORT in `orientation-N.jpg`; here it is a LONG.
    let jpeg = file("orientation-6.jpg");
    let entry = jpeg.windows(8).position(|at| at[..2] == [1, 0x12] && at[2..8] == [0, 3, 0, 0, 0, 1]).unwrap();
    let mut long = jpeg.clone();
    long[entry + 3] = 4;
    long[entry + 8..entry + 12].copy_from_slice(&[0, 0, 0, 6]);
    assert!(read(&long, 48, 32) == read(&jpeg, 48, 32));
}

#[test]
fn apples_png_is_named() {
    let apple = with_chunk(&file("alpha.png"), *b"IHDR", &chunk(*b"CgBI", &[0x50, 0, 0x20, 6]));
    let sentence = sentence(&apple);
    assert!(sentence.contains("Apple's variant CgBI") && !sentence.contains('"') && !sentence.contains("ChunkType"), "{sentence}");
}

/// What the decoders' own libraries say is words as well, not the names of their types.
#[test]
fn no_refusal_shows_what_is_inside() {
    let mut seen = 0;
    for name in
        ["alpha.png", "palette.png", "plain.jpg", "progressive.jpg", "still.gif", "lossy.webp", "lossless.webp", "bitmap.bmp"]
    {
        let bytes = file(name);
        for at in (12..bytes.len().min(400)).step_by(3) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0xFF;
            if let Err(error) = read(&bytes, 48, 32) {
                let sentence = error.to_string();
                for inside in ["Some(", "Err(", "Error {", "Kind", "::", ".rs", "{ "] {
                    assert!(!sentence.contains(inside), "{name} at {at}: {sentence}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

/// A bitmap of 32 bits with a mask for alpha, `alpha` in every pixel.
fn bitmap(alpha: impl Fn(usize) -> u8) -> Vec<u8> {
    let pixels = 48 * 32;
    let mut header = vec![0; 124];
    header[..4].copy_from_slice(&124_u32.to_le_bytes());
    header[4..8].copy_from_slice(&48_i32.to_le_bytes());
    // From the top down.
    header[8..12].copy_from_slice(&(-32_i32).to_le_bytes());
    header[12..16].copy_from_slice(&[1, 0, 32, 0]);
    header[16] = 3;
    for (place, mask) in [0x00FF_0000_u32, 0x0000_FF00, 0x0000_00FF, 0xFF00_0000].into_iter().enumerate() {
        header[40 + 4 * place..44 + 4 * place].copy_from_slice(&mask.to_le_bytes());
    }
    let mut bytes = b"BM".to_vec();
    bytes.extend((138 + 4 * pixels as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(138_u32.to_le_bytes());
    bytes.extend(header);
    for (index, [red, green, blue]) in base().as_chunks().0.iter().enumerate() {
        bytes.extend([*blue, *green, *red, alpha(index)]);
    }
    bytes
}

#[test]
fn a_bitmap_whose_alpha_is_zero_throughout_has_none() {
    assert!(read(&bitmap(|_| 0), 48, 32).unwrap() == base());
    assert!(read(&bitmap(|_| 255), 48, 32).unwrap() == base());
    // One pixel that says something, and the others are meant.
    let mixed = read(&bitmap(|index| if index == 5 { 255 } else { 0 }), 48, 32).unwrap();
    assert!(mixed[15..18] == base()[15..18] && mixed[..15] == [255; 15]);
}

#[test]
fn of_a_gif_larger_than_its_screen_the_part_on_the_screen_is_read() {
    let mut gif = file("still.gif");
    gif[6..10].copy_from_slice(&[20, 0, 10, 0]);
    let expected: Vec<u8> = file("still.rgb").chunks_exact(48 * 3).take(10).flat_map(|row| row[..60].to_vec()).collect();
    assert!(read(&gif, 20, 10).unwrap() == expected);
    // Much larger than it, as they are found.
    gif[6..10].copy_from_slice(&[1, 0, 1, 0]);
    assert!(read(&gif, 1, 1).unwrap() == expected[..3]);
}

const FORMATS: [&str; 6] = ["alpha.png", "plain.jpg", "progressive.jpg", "still.gif", "lossy.webp", "bitmap.bmp"];

/// What `curl -d @FILE` sends of a file.
fn as_form(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !matches!(byte, 0 | b'\r' | b'\n')).collect()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |part: &[u8]| {
        let bits = part.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        (0..4)
            .map(move |at| if at > part.len() { '=' } else { LETTERS[(bits >> (18 - 6 * at) & 63) as usize] as char })
            .collect::<Vec<_>>()
    };
    bytes.chunks(3).flat_map(group).collect()
}

#[test]
fn images_sent_as_text_are_told_how_to_be_sent() {
    for name in FORMATS {
        let bytes = file(name);
        let said = sentence(&as_form(&bytes));
        assert!(said.contains("--data-binary"), "{name}: {said}");
        let text = base64(&bytes);
        let wrapped = text.as_bytes().chunks(76).collect::<Vec<_>>().join(&b"\n"[..]);
        for text in [
            text.clone().into_bytes(),
            wrapped,
            format!("data:image/png;base64,{text}").into_bytes(),
            format!("\"{text}\"").into_bytes(),
        ] {
            let said = sentence(&text);
            assert!(said.contains("base64"), "{name}: {said}");
        }
    }
    // Line ends changed, and Latin-1 or UTF-8 made of it.
    let png = file("alpha.png");
    for start in [&b"\x89PNG\n\x1A\n"[..], b"\x89PNG\r\r\n\x1A", b"\xC2\x89PNG\r\n", b"\xEF\xBF\xBDPNG\r\n\x1A\n"] {
        let said = sentence(&[start, &png[8..]].concat());
        assert!(said.contains("--data-binary"), "{start:?}: {said}");
    }
    assert_eq!(read(&png, 48, 32).map(|pixels| pixels.len()), Ok(48 * 32 * 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_wire_they_are_bad_images_with_a_sentence() {
    let server = Server::start().await;
    let png = file("alpha.png");
    let said = server.post("/classify", as_form(&png)).await.refused(400, "bad_image");
    assert!(said.contains("--data-binary"), "{said}");
    let said = server.post("/classify", base64(&png)).await.refused(400, "bad_image");
    assert!(said.contains("base64 -d"), "{said}");
    let apple = with_chunk(&png, *b"IHDR", &chunk(*b"CgBI", &[0x50, 0, 0x20, 6]));
    let said = server.post("/classify", apple).await.refused(400, "bad_image");
    assert!(said.contains("CgBI"), "{said}");
    server.post("/classify", file("jpeg/420-each.jpg")).await.ok();
    server.stop().await;
}
