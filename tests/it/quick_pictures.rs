//! Which pictures are read between other requests, and that the others do not keep them waiting.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use convscope::picture::decode::{Limits, decode, decode_quickly};
use image::{DynamicImage, ImageFormat, RgbImage};
use reqwest::Method;
use tokio::task::JoinSet;

use crate::hostile_pictures::table_bomb;
use crate::pictures::{file, sized};
use crate::support::{Answer, Server, eventually, horse};

fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    written(RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8])), format)
}

fn written(pixels: RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(pixels).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// `bytes` of a PNG with `count` chunks of `kind` before its pixels, each with `content`.
fn with_chunks(bytes: &[u8], kind: [u8; 4], count: usize, content: &[u8]) -> Vec<u8> {
    let chunk = [&(content.len() as u32).to_be_bytes()[..], &kind, content, &[0; 4]].concat();
    // Signature and IHDR are 33 bytes.
    [&bytes[..33], &chunk.repeat(count), &bytes[33..]].concat()
}

fn is_quick(bytes: &[u8]) -> bool {
    decode_quickly(bytes, &sized(32, 32), &Limits::default()).is_some()
}

#[test]
fn a_small_picture_of_any_format_is_read_quickly_and_as_otherwise() {
    let target = sized(32, 32);
    let small = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::Bmp].map(|format| encoded(200, 150, format));
    let files =
        ["alpha.png", "progressive.jpg", "orientation-6.jpg", "lossy.webp", "lossless.webp", "bitmap-palette.bmp"].map(file);
    for bytes in small.iter().chain(&files) {
        let quickly = decode_quickly(bytes, &target, &Limits::default()).expect("a small one");
        assert_eq!(quickly, decode(bytes, &target, &Limits::default()));
    }
    assert!(is_quick(&encoded(256, 256, ImageFormat::Bmp)));
    // What is no picture is soon found out.
    assert!(decode_quickly(b"hello", &target, &Limits::default()).unwrap().is_err());
}

#[test]
fn what_announces_much_or_hides_much_is_not_read_quickly() {
    for (width, height) in [(257, 256), (65_000, 2)] {
        assert!(!is_quick(&encoded(width, height, ImageFormat::Png)), "{width}×{height}");
    }
    let png = encoded(8, 8, ImageFormat::Png);
    assert!(is_quick(&with_chunks(&png, *b"tEXt", 20, b"Comment\0nothing")));
    assert!(!is_quick(&with_chunks(&png, *b"tEXt", 300, b"Comment\0nothing")), "many texts");
    assert!(!is_quick(&with_chunks(&png, *b"tEXt", 2, &vec![b'x'; 40 << 10])), "long texts");
    assert!(!is_quick(&with_chunks(&png, *b"iCCP", 1, &[b'x'; 5 << 10])), "a profile that may unpack to five million bytes");
    let jpeg = file("progressive.jpg");
    let scan = jpeg.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let scans = jpeg[scan..jpeg.len() - 2].repeat(17);
    assert!(!is_quick(&[&jpeg[..scan], &scans, &[0xFF, 0xD9]].concat()), "many scans");
    let jpeg = encoded(64, 64, ImageFormat::Jpeg);
    let comment = [&[0xFF, 0xFE, 0xF0, 0][..], &vec![b'x'; 0xF000 - 2]].concat();
    assert!(is_quick(&jpeg) && !is_quick(&[&jpeg[..2], &comment.repeat(2), &jpeg[2..]].concat()), "a long JPEG");
    assert!(!is_quick(&table_bomb(200)), "code tables");
    assert!(!is_quick(&[&png[..], &vec![0; 300 << 10]].concat()), "a long file");
    // Nor beyond the caller's own limits.
    let limits = Limits { pixels: 63, ..Limits::default() };
    assert!(decode_quickly(&png, &sized(32, 32), &limits).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_picture_never_waits_behind_large_ones() {
    // Three large ones fill the memory.
    let server = Server::with(|config| config.limits.decode_bytes = 256 << 20).await;
    let (large, middling) = (written(RgbImage::new(5000, 5000), ImageFormat::Png), encoded(300, 300, ImageFormat::Png));
    assert!(!is_quick(&middling));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut asking = JoinSet::new();
    for _ in 0..12 {
        let request = server.request(Method::POST, "/classify").body(large.clone());
        let answered = Arc::clone(&answered);
        asking.spawn(async move {
            Answer::of(request).await.ok();
            answered.fetch_add(1, Ordering::SeqCst);
        });
    }
    eventually("the first large one", async || (answered.load(Ordering::SeqCst) > 0).then_some(())).await;
    for picture in [horse(), middling] {
        let before = answered.load(Ordering::SeqCst);
        server.post("/classify", picture).await.ok();
        let meanwhile = answered.load(Ordering::SeqCst) - before;
        assert!(meanwhile < 4, "{meanwhile} of the large ones that came before went first");
    }
    asking.join_all().await;
    server.stop().await;
}
