//! JPEGs of layouts that decoders get wrong: the right pixels or a refusal, never others. `tests/data/odd-jpegs.py` makes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use convscope::picture::decode::{Error, Limits, decode, probe};

use crate::pictures::{data, difference, file, sized};

fn jpegs(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ending| ending == "jpg")).collect();
    found.sort();
    found
}

/// The pixels at the file's own size.
fn pixels(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let header = probe(bytes)?;
    let picture = decode(bytes, &sized(header.width as usize, header.height as usize), &Limits::default())?;
    Ok(picture.pixels.values().to_vec())
}

#[test]
fn every_layout_is_read_as_pillow_reads_it() {
    let mut read = 0;
    for path in jpegs(&data().join("odd/jpeg")).iter().filter(|path| !path.ends_with("misread.jpg")) {
        let got = pixels(&std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (most, mean) = difference(&got, &std::fs::read(path.with_extension("rgb")).unwrap());
        assert!(most <= 4, "{}: {most} at most, {mean:.3} in the mean", path.display());
        read += 1;
    }
    assert_eq!(read, 21);
}

#[test]
fn a_layout_that_no_decoder_here_reads_right_is_refused() {
    let error = pixels(&file("jpeg/misread.jpg")).unwrap_err().to_string();
    assert!(error.contains("its colours are subsampled in a way that is not read here"), "{error}");
}

/// Every browser reads them; strictness is for what is missing, not for what is too much.
#[test]
fn stray_bytes_between_segments_change_nothing() {
    for name in ["plain.jpg", "progressive.jpg", "orientation-6.jpg", "jpeg/420-each.jpg", "jpeg/photoshop-grey-baseline.jpg"] {
        let bytes = file(name);
        let expected = pixels(&bytes).unwrap();
        // Behind the first segment; between SOI and that no browser takes anything but fill bytes.
        let second = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let strays = [&[0_u8, 0] as &[u8], &[0; 5000], &[0xFF; 3], b"\xFF\xD8", b"rubbish\xFF\0"];
        for (at, stray) in strays.into_iter().map(|stray| (second, stray)).chain([(2, &[0xFF_u8; 3] as &[u8])]) {
            let odd = [&bytes[..at], stray, &bytes[at..]].concat();
            let got = pixels(&odd).unwrap_or_else(|error| panic!("{name} at {at}, {} bytes: {error}", stray.len()));
            assert!(got == expected, "{name}: other pixels");
        }
        // Behind the end, where cameras put more.
        assert!(pixels(&[&bytes, b"\xFF\xD8\xFF trailing".as_slice()].concat()).unwrap() == expected);
    }
}

#[test]
fn what_no_decoder_here_knows_is_said_in_words() {
    let plain = file("plain.jpg");
    let frame = plain.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = plain.clone();
        change(&mut bytes);
        pixels(&bytes).map(|_| "was read").unwrap_err().to_string()
    };
    for (marker, words) in [(0xC3, "lossless"), (0xC9, "arithmetically"), (0xC5, "hierarchical")] {
        let sentence = refused(&|bytes| bytes[frame + 1] = marker);
        assert!(sentence.contains(words), "{sentence}");
    }
    assert!(refused(&|bytes| bytes[frame + 4] = 12).contains("12 bits a sample"));
    assert!(refused(&|bytes| bytes[frame + 5..frame + 7].fill(0)).contains("its size is not in its header"));
    assert!(refused(&|bytes| bytes[frame + 9] = 2).contains("neither one nor three nor four"));
    // A scan a few bytes long, hundreds of times over, costs its decoder a whole pass each.
    let scan = plain.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let sentence = refused(&|bytes| drop(bytes.splice(scan..scan, plain[scan..scan + 14].repeat(600))));
    assert!(sentence.contains("more than 500 scans"), "{sentence}");
}

/// Extended sequential JPEG differs from baseline in what tables it may have; these files' are baseline's.
#[test]
fn an_extended_jpeg_is_read() {
    let plain = file("plain.jpg");
    let mut extended = plain.clone();
    let frame = plain.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    extended[frame + 1] = 0xC1;
    assert!(difference(&pixels(&extended).unwrap(), &pixels(&plain).unwrap()).0 <= 3);
}

/// `JPEG_MATRIX=DIR cargo test --test it jpeg_matrix -- --ignored --nocapture`, DIR made by tests/data/odd-jpegs.py.
#[test]
#[ignore = "needs some 2,400 files that a script makes"]
fn jpeg_matrix() {
    let folder = PathBuf::from(std::env::var_os("JPEG_MATRIX").expect("JPEG_MATRIX names a folder"));
    let (mut refused, mut wrong, mut worst) = (BTreeMap::<String, usize>::new(), Vec::new(), BTreeMap::<u8, usize>::new());
    for path in jpegs(&folder) {
        match pixels(&std::fs::read(&path).unwrap()) {
            Err(error) => *refused.entry(error.to_string()).or_default() += 1,
            Ok(got) => {
                let (most, mean) = difference(&got, &std::fs::read(path.with_extension("rgb")).unwrap());
                *worst.entry(most).or_default() += 1;
                // Rounding of upsampled colours at hard edges reaches 14; other pixels are tens in the mean, of more than a few.
                if most > 16 || mean > 3.0 && got.len() > 100 {
                    wrong.push(format!("{}: {most} at most, {mean:.3} in the mean", path.display()));
                }
            }
        }
    }
    println!("largest difference: files {worst:?}\nrefused {refused:?}");
    assert!(wrong.is_empty() && !worst.is_empty(), "{}", wrong.join("\n"));
}
