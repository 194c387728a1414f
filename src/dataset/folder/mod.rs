//! A folder of images, a folder a class: `train/CLASS/…` with a test set beside it, or `CLASS/…` alone. Without a test set, a
//! tenth of every class is held out.
//!
//! `layout` finds out what lies where, `files` which files are images, `read` decodes them. Which images are held out, and the
//! order of the rest, are decided by the seed and the files' names.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rand::seq::SliceRandom;

use self::files::LeftOut;
use self::layout::{Classes, Layout};
use self::read::Labelled;
use super::error::Error;
use super::images::{Images, TestSet, TrainSet};
use super::random::{Purpose, generator};
use super::{Dataset, Progress, Reading};

mod files;
mod layout;
mod litter;
mod read;
pub(super) mod survey;

/// Reads the images under `path`; an error where there is no such layout.
pub(super) fn open(path: &Path, reading: &Reading, progress: &mut Progress<'_>) -> Result<Dataset, Error> {
    let mut layout = Layout::find(path)?;
    let mut notes = std::mem::take(&mut layout.notes);
    let mut left_out = LeftOut::new(path);
    let classes = layout.train.names();
    if classes.len() < 2 {
        let reason = format!("expected a folder for each of two classes or more, found {}", classes.len());
        return Err(Error::Folder { path: layout.train.folder, reason });
    }
    let mut by_class = list(&layout.train, &mut left_out)?;
    let mut test = match &layout.test {
        Some(test) => test_images(test, &classes, &mut left_out)?,
        None => hold_out(&mut by_class, reading.seed, &mut notes),
    };
    let mut train: Vec<Labelled> = by_class.into_iter().zip(0..).flat_map(|(files, class)| label_all(files, class)).collect();
    check(path, &train, &test)?;
    // Not class by class: the last images are as good a sample as any.
    train.shuffle(&mut generator(reading.seed, Purpose::Split, 1, 0));
    test.shuffle(&mut generator(reading.seed, Purpose::Split, 2, 0));
    notes.extend(left_out.notes());
    let dimensions = reading.target.dimensions();
    // Both at once: whoever has to mend a set wants to know of all its faults.
    let read = read::read(&[&train, &test], reading, progress)?;
    if !read.faults.is_empty() {
        if !reading.rules.skip_unreadable {
            return Err(Error::Images(read.faults));
        }
        notes.push(super::listed(
            read.faults.len(),
            "image that cannot be read was left out",
            "images that cannot be read were left out",
            &read.faults,
        ));
        for (set, labels) in [("train on", &read.labels[0]), ("measure with", &read.labels[1])] {
            if labels.is_empty() {
                let reason = format!("of its images to {set} none can be read");
                return Err(Error::Folder { path: path.into(), reason });
            }
        }
    }
    let [train_pixels, test_pixels] = read.pixels;
    let [train_labels, test_labels] = read.labels;
    let [train_names, test_names] = read.files.map(|files| files.iter().map(|file| within(path, file)).collect());
    Ok(Dataset {
        train: TrainSet(Images::named(train_pixels, train_labels, train_names, dimensions)),
        test: TestSet(Images::named(test_pixels, test_labels, test_names, dimensions)),
        classes,
        height: dimensions.height,
        width: dimensions.width,
        channels: dimensions.channels.count(),
        notes,
    })
}

/// What a file is called within the set at `root`.
fn within(root: &Path, file: &Path) -> String {
    file.strip_prefix(root).unwrap_or(file).display().to_string()
}

fn check(path: &Path, train: &[Labelled], test: &[Labelled]) -> Result<(), Error> {
    if train.is_empty() || test.is_empty() {
        let reason = "no images are left to measure with: give every class ten images or more, or a test/ folder".into();
        return Err(Error::Folder { path: path.into(), reason });
    }
    Ok(())
}

/// The images of a test set, which may lack a class but not have another.
fn test_images(test: &Classes, classes: &[String], left_out: &mut LeftOut) -> Result<Vec<Labelled>, Error> {
    if let Some(stranger) = test.names().iter().find(|name| !classes.contains(name)) {
        let reason = format!("its class `{stranger}` is not in train/: the classes there are {}", classes.join(", "));
        return Err(Error::Folder { path: test.folder.clone(), reason });
    }
    let label = |class: &String| classes.iter().position(|known| known == class).unwrap_or_default() as u32;
    let names = test.names();
    let files = list(test, left_out)?;
    Ok(files.into_iter().zip(&names).flat_map(|(files, class)| label_all(files, label(class))).collect())
}

/// The image files of every class, sorted by name.
fn list(classes: &Classes, left_out: &mut LeftOut) -> Result<Vec<Vec<PathBuf>>, Error> {
    let mut by_class = Vec::new();
    left_out.beside(classes)?;
    for folders in classes.folders() {
        let images = files::images(folders, left_out)?;
        if let (true, Some(folder)) = (images.is_empty(), folders.first()) {
            let reason = "it has no images: put this class's PNG, JPEG, GIF, WebP or BMP files there, or remove it".into();
            return Err(Error::Folder { path: folder.clone(), reason });
        }
        by_class.push(images);
    }
    Ok(by_class)
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
    notes.push(format!("there is no test set: {} of the images, a tenth of every class, are held out by seed {seed}", held.len()));
    held
}

/// Whether whoever follows wants to go on.
fn goes_on(flow: ControlFlow<()>) -> Result<(), Error> {
    if flow.is_break() { Err(Error::Stopped) } else { Ok(()) }
}
