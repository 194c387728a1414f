//! What can be wrong with a dataset, in sentences that say what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Everything this module refuses.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why. Part of the sentence, and so no `source` that would be told twice.
        cause: io::Error,
    },
    /// A path that holds no dataset.
    #[error(
        "{} holds no dataset: expected CIFAR-10's data_batch_1.bin and test_batch.bin, its .tar.gz, or images in a folder \
         for each of two classes or more, as in train/CLASS/… or CLASS/…",
        .0.display()
    )]
    Unrecognised(PathBuf),
    /// A file of the set is not there.
    #[error("{file} is missing from {}: download the set again with `convscope fetch-data`", .path.display())]
    Missing {
        /// The folder or archive.
        path: PathBuf,
        /// What it lacks.
        file: String,
    },
    /// A batch that is no whole number of records, or too long.
    #[error("{file} has {bytes} bytes, which is not 1 to 10,000 records of 3,073: download it again")]
    Size {
        /// The batch.
        file: String,
        /// Its length.
        bytes: u64,
    },
    /// A label that is no class.
    #[error("{file}: image {image} has label {label}, and CIFAR-10's go from 0 to 9: this is another set, or a damaged file")]
    Label {
        /// The batch.
        file: String,
        /// Counted from 0.
        image: usize,
        /// As read.
        label: u8,
    },
    /// A batch of the official length with other content.
    #[error("{file} is damaged: its SHA-256 is {found}, the official one is {expected}; download it again")]
    Digest {
        /// The batch.
        file: String,
        /// As it should be.
        expected: String,
        /// As it is.
        found: String,
    },
    /// Batches that should differ and do not.
    #[error("{} and {} hold the same images, which would be counted twice: download the set again", .files[0], .files[1])]
    Duplicate {
        /// Two batches.
        files: [String; 2],
    },
    /// CIFAR-10 for a network of another size.
    #[error(
        "CIFAR-10's images are 32×32 and the network takes {height}×{width}: use a network with a 32×32 input, or fit it with --fit-data (`fit_data` in a request)"
    )]
    ImageSize {
        /// Rows wanted.
        height: usize,
        /// Columns wanted.
        width: usize,
    },
    /// A folder that cannot be used as a set.
    #[error("{}: {reason}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong and what is expected.
        reason: String,
    },
    /// Images that cannot be decoded, each with the reason.
    #[error("{}\n  {}", unreadable(.0.len()), first(.0))]
    Images(Vec<String>),
    /// More images asked for than there are.
    #[error("{wanted} images cannot be held out of {images}: some must be left to train on")]
    HoldOut {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        images: usize,
    },
    /// No class has an image to spare for choosing an epoch.
    #[error(
        "none of {images} training images can be held out to choose an epoch by: `validation_share` needs a class of two or more"
    )]
    Split {
        /// How many there are.
        images: usize,
    },
    /// Whoever followed the reading ended it.
    #[error("the reading was stopped")]
    Stopped,
    /// A download that did not come through.
    #[error("{url}: {reason}")]
    Download {
        /// What was asked for.
        url: String,
        /// What happened, and what to do.
        reason: String,
    },
}

/// Lines of a list.
const SHOWN: usize = 100;

/// The first lines, and how many more there are.
fn first(lines: &[String]) -> String {
    let shown = lines[..lines.len().min(SHOWN)].join("\n  ");
    if lines.len() > SHOWN { format!("{shown}\n  … and {} more", lines.len() - SHOWN) } else { shown }
}

fn unreadable(count: usize) -> String {
    match count {
        1 => "1 image cannot be read; mend or remove it, or leave it out with --skip-unreadable (`skip_unreadable` in a request):"
            .into(),
        _ => format!(
            "{count} images cannot be read; mend or remove them, or leave them out with --skip-unreadable (`skip_unreadable` in a request):"
        ),
    }
}

impl Error {
    pub(super) fn io(path: &Path, cause: io::Error) -> Self {
        Self::Io { path: path.into(), cause }
    }
}
