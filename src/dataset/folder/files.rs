//! Which files of a class are its images. Their content decides; an ending only says that a file was meant to be one.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::layout::Classes;
use super::litter::is_litter;
use crate::dataset::error::Error;
use crate::dataset::listed;
use crate::picture::{Format, decode};

/// Endings of the formats that are read: such a file is an image, or a fault to be named.
const ENDINGS: [&str; 9] = ["png", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "bmp", "dib"];
/// What tells a format apart.
const START: u64 = 1024;

/// What is not read, so that it can be said.
pub(super) struct LeftOut {
    root: PathBuf,
    litter: usize,
    litter_names: BTreeSet<String>,
    others: Vec<String>,
}

impl LeftOut {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.into(), litter: 0, litter_names: BTreeSet::new(), others: Vec::new() }
    }

    /// What stands beside the classes' folders.
    pub(super) fn beside(&mut self, classes: &Classes) -> Result<(), Error> {
        for path in entries(&classes.folder)? {
            if self.takes_litter(&path) || path.is_dir() {
                continue;
            }
            self.other(&path, "in no class's folder");
        }
        Ok(())
    }

    fn takes_litter(&mut self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let litter = is_litter(&name);
        if litter {
            self.litter += 1;
            self.litter_names.insert(name.into_owned());
        }
        litter
    }

    fn other(&mut self, path: &Path, what: &str) {
        let shown = path.strip_prefix(&self.root).unwrap_or(path).display();
        self.others.push(format!("{shown} ({what})"));
    }

    /// One sentence for litter, one for the rest.
    pub(super) fn notes(self) -> impl Iterator<Item = String> {
        let names: Vec<String> = self.litter_names.into_iter().collect();
        let (one, several) = ("hidden or system file was left out", "hidden and system files were left out");
        let litter = (self.litter > 0).then(|| listed(self.litter, one, several, &names));
        let (one, several) = ("file that is no image read here was left out", "files that are no images read here were left out");
        let others = (!self.others.is_empty()).then(|| listed(self.others.len(), one, several, &self.others));
        litter.into_iter().chain(others)
    }
}

/// The image files in `folders` and below, sorted by path.
pub(super) fn images(folders: &[PathBuf], left_out: &mut LeftOut) -> Result<Vec<PathBuf>, Error> {
    let (mut images, mut seen) = (Vec::new(), HashSet::new());
    let mut waiting = folders.to_vec();
    while let Some(folder) = waiting.pop() {
        // A link may lead back up.
        if !seen.insert(folder.canonicalize().map_err(|cause| Error::io(&folder, cause))?) {
            continue;
        }
        for path in entries(&folder)? {
            if left_out.takes_litter(&path) {
                continue;
            }
            if path.is_dir() {
                waiting.push(path);
            } else {
                match kind(&path) {
                    Kind::Image => images.push(path),
                    Kind::Other(what) => left_out.other(&path, &what),
                }
            }
        }
    }
    images.sort_unstable();
    Ok(images)
}

/// Whether an image lies in `folder` or a folder in it.
pub(super) fn has_images(folder: &Path) -> Result<bool, Error> {
    let hidden = |path: &PathBuf| is_litter(&path.file_name().unwrap_or_default().to_string_lossy());
    let is_image = |path: &PathBuf| !hidden(path) && !path.is_dir() && matches!(kind(path), Kind::Image);
    let here = entries(folder)?;
    if here.iter().any(is_image) {
        return Ok(true);
    }
    for below in here.iter().filter(|path| path.is_dir() && !hidden(path)) {
        if entries(below)?.iter().any(is_image) {
            return Ok(true);
        }
    }
    Ok(false)
}

enum Kind {
    /// To be decoded.
    Image,
    /// What it is instead.
    Other(String),
}

fn kind(path: &Path) -> Kind {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(ending)) {
        return Kind::Image;
    }
    if !path.is_file() {
        return Kind::Other("no file".into());
    }
    let mut start = Vec::new();
    if let Err(error) = File::open(path).and_then(|file| file.take(START).read_to_end(&mut start)) {
        return Kind::Other(error.to_string());
    }
    match Format::of(&start) {
        Ok(_) => Kind::Image,
        Err(decode::Error::Empty) => Kind::Other("empty".into()),
        Err(decode::Error::UnknownFormat { name: Some(name) }) => Kind::Other(name.into()),
        Err(_) => Kind::Other("no image".into()),
    }
}

/// What lies in `folder`.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |cause| Error::io(folder, cause);
    folder.read_dir().map_err(failed)?.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}
