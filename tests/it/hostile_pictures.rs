//! Images made to hurt: what they claim, what they unpack to, what breaks their decoders.

use convscope::picture::decode::{Error, Limits, cost, decode, probe};
use convscope::picture::header::{decode_bytes, most_bytes};
use convscope::picture::{Fit, Format, Header, Target};
use proptest::prelude::*;

use crate::allocations::peak_of;
use crate::pictures::{data, file, sized};

/// A grey PNG whose header claims `width` × `height`, with `data` as its compressed pixels.
fn png(width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    png_of(width, height, [8, 0, 0, 0, 0], data)
}

/// The same of any kind: depth, colour, and three methods, the last of which is the interlacing.
fn png_of(width: u32, height: u32, kind: [u8; 5], data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend(kind);
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
    // A GIF's frame may be far larger than its screen, a WebP's bitstream larger than its canvas.
    let mut gif = file("still.gif");
    let descriptor = gif.windows(10).position(|at| at[0] == b',' && at[5..9] == [48, 0, 32, 0]).unwrap();
    gif[descriptor + 5..descriptor + 9].fill(0xFF);
    let (error, peak) = refused(&gif);
    assert!(matches!(error, Error::TooMuchMemory { .. }), "{error:?}");
    assert!(peak < 1 << 20, "{peak}");
    let (error, peak) = refused(&on_canvas(16, 16, &file("lossy.webp")));
    let reason = "a frame of 48×32 on a canvas of 16×16".to_owned();
    assert_eq!(error, Error::Unreadable { format: Format::WebP, reason });
    assert!(peak < 1 << 20, "{peak}");
    // With a canvas of its own size the same file is sound.
    assert!(decode(&on_canvas(48, 32, &file("lossy.webp")), &sized(48, 32), &limits).is_ok());
}

/// The WebP file `simple`, its picture on a canvas of another size than its own.
fn on_canvas(width: u32, height: u32, simple: &[u8]) -> Vec<u8> {
    let side = |pixels: u32| (pixels - 1).to_le_bytes()[..3].to_vec();
    let chunk = [b"VP8X".to_vec(), 10_u32.to_le_bytes().to_vec(), vec![0; 4], side(width), side(height)].concat();
    let length = (4 + chunk.len() + simple.len() - 12) as u32;
    [b"RIFF".as_slice(), &length.to_le_bytes(), b"WEBP", &chunk, &simple[12..]].concat()
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

/// Bits, the lowest first, as lossless WebP has them.
#[derive(Default)]
struct Bits(Vec<u8>, u32);

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.1.is_multiple_of(8) {
                self.0.push(0);
            }
            *self.0.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (self.1 % 8);
            self.1 += 1;
        }
    }
}

/// A lossless WebP of 4×4 pixels with `groups` groups of five code tables, of 4 KB each in memory.
pub(crate) fn table_bomb(groups: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    // Signature, sides less one, alpha, version; no transform, no colour cache; an entropy image of one 4×4 block.
    for (value, count) in [(0x2F, 8), (3, 14), (3, 14), (0, 1), (0, 3), (0, 1), (0, 1), (1, 1), (0, 3), (0, 1)] {
        bits.put(value, count);
    }
    // Its only pixel is the number of the last group, in green and red; a code of one symbol each.
    for symbol in [(groups - 1) & 0xFF, (groups - 1) >> 8, 0, 0, 0] {
        for (value, count) in [(1, 1), (0, 1), (1, 1), (symbol, 8)] {
            bits.put(value, count);
        }
    }
    for _ in 0..groups * 5 {
        // Code lengths 0 to 15 in four bits each, then eleven symbols of lengths 1 to 10 and 10.
        bits.put(0, 1);
        bits.put(15, 4);
        for symbol in [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
            bits.put(if symbol < 16 { 4 } else { 0 }, 3);
        }
        for (value, count) in [(1, 1), (2, 3), (9, 6)] {
            bits.put(value, count);
        }
        for length in (1..=10_u32).chain([10]) {
            bits.put(length.reverse_bits() >> 28, 4);
        }
    }
    (0..50).for_each(|_| bits.put(0, 32));
    let mut data = bits.0;
    data.resize(data.len().next_multiple_of(2), 0);
    let length = |length: usize| (length as u32).to_le_bytes();
    [b"RIFF", &length(data.len() + 12)[..], b"WEBPVP8L", &length(data.len()), &data].concat()
}

/// Tables are built for as many groups as a file says, whatever its picture: 290 times its size in memory.
#[test]
fn a_webp_of_code_tables_is_refused_by_what_it_would_take() {
    let few = table_bomb(1000);
    let (picture, peak) = peak_of(|| decode(&few, &sized(4, 4), &Limits::default()).map(|picture| picture.pixels.values().len()));
    assert_eq!(picture, Ok(48));
    assert!(peak > 20_000_000 && peak as u64 <= probe(&few).unwrap().memory, "{peak} for {} bytes", few.len());
    let many = table_bomb(65_536);
    let (error, peak) = peak_of(|| decode(&many, &sized(4, 4), &Limits::default()).map(|_| "was read").unwrap_err());
    assert!(matches!(error, Error::TooMuchMemory { .. }), "{error:?}");
    assert!(peak < 1 << 20, "{peak}");
}

/// What a header says decoding takes is what it takes at most, and not many times that.
#[test]
fn memory_stays_within_what_the_header_says() {
    for entry in std::fs::read_dir(data().join("odd/large")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let Header { width, height, format, memory, .. } = probe(&bytes).unwrap();
        let budget = decode_bytes(format, u64::from(width) * u64::from(height));
        // Its own size, so that nothing is resized.
        let (picture, peak) = peak_of(|| decode(&bytes, &sized(width as usize, height as usize), &Limits::default()).unwrap());
        assert_eq!(picture.pixels.values().len(), (width * height * 3) as usize);
        eprintln!("{}: {:.1} bytes a pixel", path.display(), peak as f64 / f64::from(width * height));
        assert!(peak as u64 <= memory && memory <= 4 * peak as u64, "{}: {peak} bytes, {memory} announced", path.display());
        // What a budget is told by format and pixels alone is enough as well.
        assert!(peak as u64 <= budget, "{}: {peak} bytes of {budget}", path.display());
    }
}

/// The dearest PNG: 16 bits, four channels, interlaced, all black.
#[test]
fn an_interlaced_png_stays_within_what_the_header_says() {
    let (width, height) = (800_usize, 600_usize);
    let passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
    let rows =
        |(x, y, across, down): (usize, usize, usize, usize)| (height - y).div_ceil(down) * (1 + 8 * (width - x).div_ceil(across));
    let mut data = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut data, &vec![0; passes.into_iter().map(rows).sum()]).unwrap();
    let bytes = png_of(width as u32, height as u32, [16, 6, 0, 0, 1], &data.finish().unwrap());
    let memory = probe(&bytes).unwrap().memory;
    let (columns, peak) = peak_of(|| decode(&bytes, &sized(width, height), &Limits::default()).map(|picture| picture.source_width));
    assert_eq!(columns, Ok(800));
    assert!(
        peak as u64 <= memory && memory <= decode_bytes(Format::Png, (width * height) as u64),
        "{peak} bytes, {memory} announced"
    );
}

/// However many pixels a user allows, the memory for them is allowed with them.
#[test]
fn limits_of_more_pixels_allow_the_memory_that_they_take() {
    for pixels in [1, 50_000_000, 400_000_000] {
        assert!(Limits::of(pixels).memory >= most_bytes(pixels));
    }
    let header = Header { width: 20_000, height: 20_000, format: Format::WebP, grey: false, memory: 15 * 400_000_000, kept: 0 };
    assert!(Limits::default().check(&header).is_err());
    assert_eq!(Limits::of(400_000_000).check(&header), Ok(()));
}

/// An ordinary image of the most pixels that are allowed is read with the memory that there must be for it, in every format, and
/// resized with it by every network of up to half its rows.
#[test]
fn the_memory_that_there_must_be_is_enough_for_every_format_and_for_resizing() {
    use image::{DynamicImage, ImageFormat};
    let (width, height) = (1500, 1400);
    // Blank: a lossless WebP is counted by its bytes as well, see `table_bomb`.
    let image = DynamicImage::new_rgba8(width, height);
    for (image, format) in [
        (DynamicImage::from(image.to_rgba16()), ImageFormat::Png),
        (DynamicImage::from(image.to_luma8()), ImageFormat::Png),
        (image.clone(), ImageFormat::WebP),
        (image.clone(), ImageFormat::Gif),
        (image.clone(), ImageFormat::Bmp),
        (DynamicImage::from(image.to_rgb8()), ImageFormat::Jpeg),
        (DynamicImage::from(image.to_luma8()), ImageFormat::Jpeg),
    ] {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        let limits = Limits::within(u64::from(width * height), most_bytes(u64::from(width * height))).unwrap();
        for (side, fit) in [32, 224, 700].into_iter().flat_map(|side| [Fit::Crop, Fit::Stretch, Fit::Pad].map(|fit| (side, fit))) {
            let target = Target { fit, ..sized(side, side) };
            let cost = cost(bytes.get_ref(), &target, &limits).unwrap();
            let (picture, peak) = peak_of(|| decode(bytes.get_ref(), &target, &limits).unwrap());
            assert_eq!(picture.pixels.values().len(), side * side * 3);
            assert!(peak as u64 <= cost, "{format:?} to {side} by {fit:?}: {peak} bytes, {cost} announced");
        }
    }
    assert_eq!(Limits::within(1_000_000_000, 1 << 30), Err(most_bytes(1_000_000_000)));
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
    let jpegs =
        ["jpeg/420-each.jpg", "jpeg/420-each-restart.jpg", "jpeg/422-pair.jpg", "jpeg/fine-colour.jpg", "jpeg/threefold.jpg"];
    let more = ["animated-gif.gif", "lossless.webp", "lossy.webp", "animated-webp.webp", "bitmap.bmp", "bitmap-palette.bmp"];
    names.iter().chain(&jpegs).chain(&more).map(|name| file(name)).collect()
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
