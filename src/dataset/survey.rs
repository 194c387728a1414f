//! A set looked at before anything is done with it: its kind, its classes and how many images each has, the images' size.

use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;

use super::census::Part;
use super::cifar10::SIDE;
use super::error::Error;
use super::{Dataset, cifar10, folder, is_gzip, open};

/// Asked whether to go on, often.
pub type Look<'a> = dyn FnMut() -> ControlFlow<()> + 'a;

/// What kind of set it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In its official binary layout.
    Cifar10,
    /// A folder a class.
    Folder,
}

/// A class and its images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// What it is called.
    pub name: String,
    /// Images to train on.
    pub train: usize,
    /// Images to measure with; none anywhere where a part of the others will be held out.
    pub test: usize,
}

/// What is in a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Its kind.
    pub kind: Kind,
    /// In the order of the labels.
    pub classes: Vec<ClassCount>,
    /// Images to train on.
    pub train_images: usize,
    /// Images to measure with.
    pub test_images: usize,
    /// Rows and columns that all images have; none where they differ.
    pub size: Option<[usize; 2]>,
    /// Whether no image has colours.
    pub grey: bool,
    /// What to know of it, a sentence each.
    pub notes: Vec<String>,
}

/// Looks at the set at `path`. Images are not decoded: only their headers are read.
pub fn survey(path: &Path, goes_on: &mut Look<'_>) -> Result<Survey, Error> {
    let metadata = path.metadata().map_err(|cause| Error::io(path, cause))?;
    let cifar = if metadata.is_file() { is_gzip(path)? } else { cifar10::find(path).is_some() };
    if cifar {
        return Ok(of_cifar(&open(path, 0)?));
    }
    if metadata.is_file() {
        return Err(Error::Unrecognised(path.into()));
    }
    folder::survey::survey(path, goes_on)
}

fn of_cifar(set: &Dataset) -> Survey {
    let counts = |labels: &[u32]| Part { labels: labels.into(), ..Part::default() }.counts(set.classes.len());
    let counts = counts(set.train.labels()).into_iter().zip(counts(set.test.labels()));
    let count = |(name, (train, test)): (&String, _)| ClassCount { name: name.clone(), train, test };
    Survey {
        kind: Kind::Cifar10,
        classes: set.classes.iter().zip(counts).map(count).collect(),
        train_images: set.train.len(),
        test_images: set.test.len(),
        size: Some([SIDE, SIDE]),
        grey: false,
        notes: set.notes.iter().cloned().chain(set.census()).collect(),
    }
}
