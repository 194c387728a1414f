//! CIFAR-10 in its official binary layout, as a folder or as the archive it is published in.
//!
//! A batch is up to 10,000 records of 3,073 bytes: a label, then a red, a green and a blue plane of 32 × 32
//! (<https://www.cs.toronto.edu/~kriz/cifar.html>). A batch of the official length must have the official content; shorter
//! ones are taken as they are, with a note.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};

use super::digest::hex;
use super::error::Error;
use super::images::{Images, TestSet, TrainSet};
use super::{Dataset, Progress, Reading};
use crate::picture::pixels::luma;
use crate::picture::{Channels, Dimensions};

/// Rows and columns of an image.
pub const SIDE: usize = 32;
/// Red, green, blue.
pub const CHANNELS: usize = 3;
/// What the labels mean, in order.
pub const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// The batches and their SHA-256: five to train on, the last to measure with.
pub const FILES: [(&str, &str); 6] = [
    ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
    ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
    ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
    ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
    ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
];
/// The folder inside the official archive.
pub const FOLDER: &str = "cifar-10-batches-bin";

const PLANE: usize = SIDE * SIDE;
const IMAGE: usize = CHANNELS * PLANE;
const RECORD: usize = 1 + IMAGE;
const OFFICIAL_IMAGES: usize = 10_000;
const OFFICIAL_BYTES: u64 = (OFFICIAL_IMAGES * RECORD) as u64;
const TEST: &str = FILES[5].0;

/// The folder with the batches: `path` itself, or the archive's folder in it.
pub(super) fn find(path: &Path) -> Option<PathBuf> {
    let holds = |folder: &PathBuf| FILES.iter().any(|(name, _)| folder.join(name).is_file());
    [path.to_path_buf(), path.join(FOLDER)].into_iter().find(holds)
}

/// Reads the batches of a folder.
pub(super) fn folder(path: &Path, reading: &Reading, progress: &mut Progress<'_>) -> Result<Dataset, Error> {
    let mut batches = Batches::new(reading)?;
    for (place, (name, _)) in FILES.into_iter().enumerate() {
        goes_on(progress, place)?;
        let file = path.join(name);
        if file.is_file() {
            let length = file.metadata().map_err(|cause| Error::io(&file, cause))?.len();
            let reader = File::open(&file).map_err(|cause| Error::io(&file, cause))?;
            batches.read(name, length, reader).map_err(|error| error.located(&file))?;
        }
    }
    batches.finish(path)
}

/// Reads the batches out of a `.tar.gz` without unpacking it.
pub(super) fn archive(path: &Path, reading: &Reading, progress: &mut Progress<'_>) -> Result<Dataset, Error> {
    let mut batches = Batches::new(reading)?;
    let damaged = |cause| Error::io(path, cause);
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(path).map_err(damaged)?));
    for entry in archive.entries().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let (Some(name), length) = (batch_name(&entry.path().map_err(damaged)?), entry.size()) else { continue };
        goes_on(progress, batches.read.len())?;
        batches.read(name, length, entry).map_err(|error| error.located(path))?;
    }
    batches.finish(path)
}

/// Which batch a path in an archive is.
pub(super) fn batch_name(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    FILES.iter().find(|(known, _)| *known == name).map(|(known, _)| *known)
}

fn goes_on(progress: &mut Progress<'_>, batches: usize) -> Result<(), Error> {
    let images = |batches: usize| batches * OFFICIAL_IMAGES;
    if progress(images(batches), images(FILES.len())).is_break() { Err(Error::Stopped) } else { Ok(()) }
}

/// What has been read so far. Batches are unpacked one after the other, so that no pixel is held twice.
struct Batches {
    records: Vec<u8>,
    train: Unpacked,
    test: Unpacked,
    /// Place among [`FILES`] and number of images of what `train` holds, in its order.
    parts: Vec<(usize, usize)>,
    /// Name and digest of every batch.
    read: Vec<(&'static str, String)>,
}

/// image × row × column × channel, and an image's class.
struct Unpacked {
    channels: Channels,
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

/// An error that may still lack the place of the file.
enum Fault {
    Io(std::io::Error),
    Known(Error),
}

impl Fault {
    fn located(self, path: &Path) -> Error {
        match self {
            Self::Io(cause) => Error::io(path, cause),
            Self::Known(error) => error,
        }
    }
}

impl Batches {
    fn new(reading: &Reading) -> Result<Self, Error> {
        let Dimensions { height, width, channels } = reading.target.dimensions();
        if (height, width) != (SIDE, SIDE) {
            return Err(Error::ImageSize { height, width });
        }
        let empty = || Unpacked::new(channels);
        Ok(Self { records: Vec::new(), train: empty(), test: empty(), parts: Vec::new(), read: Vec::new() })
    }

    fn read(&mut self, name: &'static str, length: u64, mut reader: impl Read) -> Result<(), Fault> {
        if length == 0 || length > OFFICIAL_BYTES || !length.is_multiple_of(RECORD as u64) {
            return Err(Fault::Known(Error::Size { file: name.into(), bytes: length }));
        }
        self.records.resize(length as usize, 0);
        reader.read_exact(&mut self.records).map_err(Fault::Io)?;
        let place = FILES.iter().position(|(known, _)| *known == name).unwrap_or_default();
        let (found, expected) = (hex(&Sha256::digest(&self.records)), FILES[place].1);
        // Said before the digest is found to be wrong: it is what happened.
        if let Some((other, _)) = self.read.iter().find(|(_, digest)| *digest == found) {
            return Err(Fault::Known(Error::Duplicate { files: [(*other).into(), name.into()] }));
        }
        if length == OFFICIAL_BYTES && found != expected {
            return Err(Fault::Known(Error::Digest { file: name.into(), expected: expected.into(), found }));
        }
        self.read.push((name, found));
        let images = self.records.len() / RECORD;
        if name == TEST {
            self.test = Unpacked::new(self.test.channels);
            self.test.append(name, &self.records).map_err(Fault::Known)
        } else {
            self.parts.push((place, images));
            self.train.append(name, &self.records).map_err(Fault::Known)
        }
    }

    fn finish(mut self, path: &Path) -> Result<Dataset, Error> {
        let mut notes = Vec::new();
        for (place, (name, _)) in FILES.iter().enumerate() {
            let images = match self.parts.iter().find(|(part, _)| *part == place) {
                Some((_, images)) => *images,
                None if *name == TEST => self.test.labels.len(),
                None => 0,
            };
            match images {
                OFFICIAL_IMAGES => {}
                0 if *name == TEST || place == 0 => return Err(Error::Missing { path: path.into(), file: (*name).into() }),
                0 => notes.push(format!("{name} is missing: this is a part of CIFAR-10")),
                _ => notes.push(format!("{name} has {images} of the official 10,000 images")),
            }
        }
        if !self.parts.is_sorted() {
            self.train = self.train.reordered(&self.parts);
        }
        let dimensions = Dimensions { height: SIDE, width: SIDE, channels: self.train.channels };
        let images = |unpacked: Unpacked| Images::new(unpacked.pixels, unpacked.labels, dimensions);
        Ok(Dataset {
            train: TrainSet(images(self.train)),
            test: TestSet(images(self.test)),
            classes: CLASSES.map(String::from).to_vec(),
            height: SIDE,
            width: SIDE,
            channels: dimensions.channels.count(),
            notes,
        })
    }
}

impl Unpacked {
    fn new(channels: Channels) -> Self {
        Self { channels, pixels: Vec::new(), labels: Vec::new() }
    }

    /// Samples an image.
    fn size(&self) -> usize {
        PLANE * self.channels.count()
    }

    fn append(&mut self, file: &str, records: &[u8]) -> Result<(), Error> {
        let (start, size) = (self.pixels.len(), self.size());
        self.pixels.resize(start + records.len() / RECORD * size, 0);
        for (image, (record, out)) in records.chunks_exact(RECORD).zip(self.pixels[start..].chunks_exact_mut(size)).enumerate() {
            let (label, planes) = (record[0], &record[1..]);
            if usize::from(label) >= CLASSES.len() {
                return Err(Error::Label { file: file.into(), image, label });
            }
            self.labels.push(u32::from(label));
            let color = |at: usize| [planes[at], planes[PLANE + at], planes[2 * PLANE + at]];
            match self.channels {
                Channels::Grey => out.iter_mut().enumerate().for_each(|(at, value)| *value = luma(color(at))),
                Channels::Rgb => {
                    out.as_chunks_mut().0.iter_mut().enumerate().for_each(|(at, pixel): (usize, &mut [u8; 3])| *pixel = color(at));
                }
            }
        }
        Ok(())
    }

    /// The same images in the order of [`FILES`], when an archive had them in another.
    fn reordered(&self, parts: &[(usize, usize)]) -> Self {
        let starts = parts.iter().scan(0, |next, (_, images)| Some(std::mem::replace(next, *next + images)));
        let mut ranges: Vec<_> = parts.iter().zip(starts).map(|((place, images), start)| (*place, start..start + images)).collect();
        ranges.sort_unstable_by_key(|(place, _)| *place);
        let (size, mut sorted) = (self.size(), Self::new(self.channels));
        for (_, range) in ranges {
            sorted.labels.extend(&self.labels[range.clone()]);
            sorted.pixels.extend(&self.pixels[range.start * size..range.end * size]);
        }
        sorted
    }
}
