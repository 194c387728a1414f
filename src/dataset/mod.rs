//! Labelled images to train on and to measure with, held as 8-bit pixels.
//!
//! [`open`] finds out by looking what a path is: CIFAR-10 in its official layout ([`cifar10`]) or a folder of images
//! (`folder`). Training and test images are of two types, so that no code can train on what it measures with. [`shuffle`]
//! and [`augment`] are seeded; [`fetch`] downloads, [`catalog`] knows what there is by name. This module knows neither networks' layers nor how a run is organised.

pub mod augment;
pub mod catalog;
pub mod cifar10;
mod download;
pub mod error;
pub mod fetch;
mod folder;
pub mod images;
mod random;
pub mod shuffle;
mod unpack;

use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use augment::{Augmentation, Augmenter};
pub use error::Error;
pub use images::{Images, Statistics, TestSet, TrainSet};

use crate::network::Preprocessing;
use crate::network::spec::Input;

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

/// Opens the images at `path`, at CIFAR-10's size. `seed` decides what is held out of a folder without `test/`.
pub fn open(path: &Path, seed: u64) -> Result<Dataset, Error> {
    let input = Input { channels: cifar10::CHANNELS, height: cifar10::SIDE, width: cifar10::SIDE };
    open_at(path, seed, &Preprocessing::unit(input))
}

/// Opens the images at `path` at the size, fit and background of `preprocessing`; its mean and deviation are not used.
/// CIFAR-10's own images are never resized: another size is an error that names both.
pub fn open_at(path: &Path, seed: u64, preprocessing: &Preprocessing) -> Result<Dataset, Error> {
    let metadata = path.metadata().map_err(|cause| Error::io(path, cause))?;
    if metadata.is_file() {
        return if is_gzip(path)? { cifar10::archive(path, preprocessing) } else { Err(Error::Unrecognised(path.into())) };
    }
    if let Some(inner) = cifar10::find(path) {
        return cifar10::folder(&inner, preprocessing);
    }
    if path.join("train").is_dir() {
        return folder::open(path, seed, preprocessing);
    }
    Err(Error::Unrecognised(path.into()))
}

fn is_gzip(path: &Path) -> Result<bool, Error> {
    let mut magic = [0; 2];
    let read = File::open(path).and_then(|mut file| file.read(&mut magic)).map_err(|cause| Error::io(path, cause))?;
    Ok(magic[..read] == [0x1F, 0x8B])
}
