//! A folder of images: `train/CLASS/…` and `test/CLASS/…`. Without `test/`, a tenth of every class is held out.
//!
//! Which images are held out, and the order of the rest, are decided by the seed and the files' names.

use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;
use rayon::prelude::*;

use super::Dataset;
use super::error::Error;
use super::images::{Images, TestSet, TrainSet};
use super::random::{Purpose, generator};
use crate::network::Preprocessing;
use crate::picture::Limits;
use crate::picture::decode::decode;

const CHANNELS: usize = 3;
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "gif", "webp", "bmp"];

/// A file and its class.
type Labelled = (PathBuf, u32);

/// Reads the images under `path` at the size, fit and background of `preprocessing`.
pub(super) fn open(path: &Path, seed: u64, preprocessing: &Preprocessing) -> Result<Dataset, Error> {
    let train_folder = path.join("train");
    let classes = names(&train_folder)?;
    if classes.len() < 2 {
        let reason = format!("expected a folder for each of two classes or more, found {}", classes.len());
        return Err(Error::Folder { path: train_folder, reason });
    }
    let mut notes = Vec::new();
    let mut by_class = list(&train_folder, &classes, &mut notes)?;
    let test_folder = path.join("test");
    let mut test: Vec<Labelled> = if test_folder.is_dir() {
        if let Some(stranger) = names(&test_folder)?.iter().find(|name| !classes.contains(name)) {
            let reason = format!("its class `{stranger}` is not in train/: the classes there are {}", classes.join(", "));
            return Err(Error::Folder { path: test_folder, reason });
        }
        let present: Vec<_> = classes.iter().filter(|class| test_folder.join(class).is_dir()).cloned().collect();
        let files = list(&test_folder, &present, &mut notes)?;
        let label = |class: &String| classes.iter().position(|known| known == class).unwrap_or_default() as u32;
        files.into_iter().zip(&present).flat_map(|(files, class)| label_all(files, label(class))).collect()
    } else {
        hold_out(&mut by_class, seed, &mut notes)
    };
    let mut train: Vec<Labelled> = by_class.into_iter().zip(0..).flat_map(|(files, class)| label_all(files, class)).collect();
    if train.is_empty() || test.is_empty() {
        let reason = "no images are left to measure with: give every class ten images or more, or a test/ folder".into();
        return Err(Error::Folder { path: path.into(), reason });
    }
    // Not class by class: the last images are as good a sample as any.
    train.shuffle(&mut generator(seed, Purpose::Split, 1, 0));
    test.shuffle(&mut generator(seed, Purpose::Split, 2, 0));
    Ok(Dataset {
        train: TrainSet(read(&train, preprocessing)?),
        test: TestSet(read(&test, preprocessing)?),
        classes,
        height: preprocessing.height,
        width: preprocessing.width,
        channels: CHANNELS,
        notes,
    })
}

fn label_all(files: Vec<PathBuf>, class: u32) -> impl Iterator<Item = Labelled> {
    files.into_iter().map(move |file| (file, class))
}

/// A tenth of every class that has two images or more, rounded, at least one.
fn hold_out(by_class: &mut [Vec<PathBuf>], seed: u64, notes: &mut Vec<String>) -> Vec<Labelled> {
    let mut held = Vec::new();
    for (class, files) in by_class.iter_mut().enumerate().filter(|(_, files)| files.len() >= 2) {
        files.shuffle(&mut generator(seed, Purpose::Split, 0, class as u64));
        let count = ((files.len() + 5) / 10).max(1);
        held.extend(label_all(files.split_off(files.len() - count), class as u32));
    }
    notes.push(format!("there is no test/: {} of the images, a tenth of every class, are held out by seed {seed}", held.len()));
    held
}

/// Names of the folders in `folder`, sorted; hidden ones left out.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for path in entries(folder)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::Folder { path, reason: "its name is not UTF-8, as a class's must be: rename it".into() });
        };
        if path.is_dir() && !name.starts_with('.') {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The image files of every class, sorted by name.
fn list(folder: &Path, classes: &[String], notes: &mut Vec<String>) -> Result<Vec<Vec<PathBuf>>, Error> {
    let mut others = 0;
    let mut by_class = Vec::new();
    for class in classes {
        let path = folder.join(class);
        let (mut images, rest): (Vec<_>, Vec<_>) = entries(&path)?.into_iter().partition(|path| is_image(path));
        others += rest.len();
        if images.is_empty() {
            let reason = format!("it has no images: expected files ending in {}", ENDINGS.join(", "));
            return Err(Error::Folder { path, reason });
        }
        images.sort_unstable();
        by_class.push(images);
    }
    if others > 0 {
        notes.push(format!("{}: {others} entries that are no images were left out", folder.display()));
    }
    Ok(by_class)
}

fn is_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    path.is_file() && ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |cause| Error::io(folder, cause);
    folder.read_dir().map_err(failed)?.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// Decodes all `files`, or names every one that cannot be.
fn read(files: &[Labelled], preprocessing: &Preprocessing) -> Result<Images, Error> {
    let size = preprocessing.height * preprocessing.width * CHANNELS;
    let mut pixels = vec![0; files.len() * size];
    let faults: Vec<String> = files
        .par_iter()
        .zip(pixels.par_chunks_exact_mut(size))
        .filter_map(|((path, _), out)| {
            let bytes = std::fs::read(path).map_err(|error| error.to_string());
            let picture =
                bytes.and_then(|bytes| decode(&bytes, preprocessing, &Limits::default()).map_err(|error| error.to_string()));
            match picture {
                Ok(picture) => {
                    out.copy_from_slice(&picture.pixels);
                    None
                }
                Err(reason) => Some(format!("{}: {reason}", path.display())),
            }
        })
        .collect();
    if faults.is_empty() {
        Ok(Images::new(pixels, files.iter().map(|(_, class)| *class).collect(), size, CHANNELS))
    } else {
        Err(Error::Images(faults))
    }
}
