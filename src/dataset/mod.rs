//! Labelled images to train on and to measure with, held as 8-bit pixels.
//!
//! [`open`] finds out by looking what a path is: CIFAR-10 in its official layout ([`cifar10`]) or a folder of images
//! (`folder`). Training and test images are of two types, so that no code can train on what it measures with. [`shuffle`]
//! and [`augment`] are seeded; [`fetch`] downloads, [`mod@archive`] unpacks what somebody sent, [`catalog`] knows what there is by name
//! and [`mod@survey`] what is in it. This module knows neither networks nor how a run is organised.

pub mod archive;
pub mod augment;
pub mod catalog;
mod census;
pub mod cifar10;
mod digest;
pub mod disk;
mod download;
pub mod error;
pub mod fetch;
mod folder;
pub mod images;
pub mod mixup;
mod random;
pub mod shelf;
pub mod shuffle;
mod source;
mod split;
pub mod survey;
mod unpack;

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest, Sha256};

pub use augment::{Augmentation, Augmenter, Placement};
pub use error::Error;
pub use images::{Images, Statistics, TestSet, TrainSet};

use crate::picture::decode::Limits;
use crate::picture::{Channels, Filter, Fit, Target};

/// Names in a note.
const LISTED: usize = 10;

/// Images of both kinds, and what their labels mean.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// To train on.
    pub train: TrainSet,
    /// To measure with.
    pub test: TestSet,
    /// What label 0, 1, … is called.
    pub classes: Vec<String>,
    /// Rows of every image.
    pub height: usize,
    /// Columns of every image.
    pub width: usize,
    /// Samples a pixel.
    pub channels: usize,
    /// What whoever uses it should know: an incomplete set, files left out.
    pub notes: Vec<String>,
}

impl Dataset {
    /// SHA-256 over both sets' images and labels and the classes, in hexadecimal: equal for equal sets at the same size and in the
    /// same order, whatever they were read from.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.train.digest());
        digest.update(self.test.digest());
        for class in &self.classes {
            digest.update((class.len() as u64).to_le_bytes());
            digest.update(class);
        }
        digest::hex(&digest.finalize())
    }
}

/// How the images of a set are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Decides what is held out of a folder without a test set, and the order of the images.
    pub seed: u64,
    /// What every image becomes.
    pub target: Target,
    /// What it may cost, and what is done where it cannot be read.
    pub rules: Rules,
}

/// What a set's images may cost and lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Of each image.
    pub limits: Limits,
    /// Whether images of a folder that cannot be read are left out, with a note; otherwise they are an error that names them.
    pub skip_unreadable: bool,
}

/// Told how many of how many images are read, a few times a second; ends the reading by breaking, with [`Error::Stopped`].
pub type Progress<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// Opens the images at `path`, at CIFAR-10's size and in colour. `seed` decides what is held out of a folder without a test set.
pub fn open(path: &Path, seed: u64) -> Result<Dataset, Error> {
    let target = Target {
        height: cifar10::SIDE,
        width: cifar10::SIDE,
        channels: Channels::Rgb,
        fit: Fit::default(),
        filter: Filter::default(),
        background: [255; 3],
    };
    open_at(path, &Reading { seed, target, rules: Rules::default() })
}

/// Opens the images at `path` as `reading` says. CIFAR-10's own images are never resized: another size is an error that names
/// both.
pub fn open_at(path: &Path, reading: &Reading) -> Result<Dataset, Error> {
    open_watched(path, reading, &mut |_, _| ControlFlow::Continue(()))
}

/// [`open_at`], with somebody who follows and may end it.
pub fn open_watched(path: &Path, reading: &Reading, progress: &mut Progress<'_>) -> Result<Dataset, Error> {
    let metadata = path.metadata().map_err(|cause| Error::io(path, cause))?;
    if metadata.is_file() {
        return if is_gzip(path)? { cifar10::archive(path, reading, progress) } else { Err(Error::Unrecognised(path.into())) };
    }
    match cifar10::find(path) {
        Some(inner) => cifar10::folder(&inner, reading, progress),
        None => folder::open(path, reading, progress),
    }
}

/// How many things of which kind, and what the first of them are called.
fn listed(count: usize, one: &str, several: &str, names: &[String]) -> String {
    let shown = names[..names.len().min(LISTED)].join(", ");
    let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    format!("{count} {}: {shown}{more}", if count == 1 { one } else { several })
}

fn is_gzip(path: &Path) -> Result<bool, Error> {
    let mut magic = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read(&mut magic)).map_err(|cause| Error::io(path, cause))?;
    Ok(magic[..read] == [0x1F, 0x8B])
}
