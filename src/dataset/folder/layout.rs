//! Where the classes of a folder lie, found out by looking.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use super::files;
use super::litter::is_litter;
use crate::dataset::error::Error;

/// What a folder of training images is called, in any case.
const TRAIN: [&str; 2] = ["train", "training"];
/// What a test set beside it is called, the first of them that is sorted by class.
const TEST: [&str; 5] = ["test", "testing", "val", "valid", "validation"];
/// Folders in which everything else lies, as archives make them.
const WRAPPINGS: usize = 4;

/// Which folders hold what.
pub(super) struct Layout {
    pub(super) train: Classes,
    pub(super) test: Option<Classes>,
    /// What was found, where it was not to be expected.
    pub(super) notes: Vec<String>,
}

/// The classes in a folder.
pub(super) struct Classes {
    pub(super) folder: PathBuf,
    /// A class's name (composed, so that one name is one class however a system spells its accents) and its folders.
    by_name: BTreeMap<String, Vec<PathBuf>>,
}

impl Classes {
    fn of(folder: &Path, folders: Vec<(String, PathBuf)>) -> Self {
        let mut by_name = BTreeMap::<String, Vec<PathBuf>>::new();
        for (name, path) in folders {
            by_name.entry(name.nfc().collect()).or_default().push(path);
        }
        Self { folder: folder.into(), by_name }
    }

    /// Their names, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    /// Each class's folders, in the order of the names.
    pub(super) fn folders(&self) -> impl Iterator<Item = &[PathBuf]> {
        self.by_name.values().map(Vec::as_slice)
    }
}

impl Layout {
    /// Looks at `path`, and into a folder that is alone there.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        let mut root = path.to_path_buf();
        let mut notes = Vec::new();
        for _ in 0..WRAPPINGS {
            let folders = folders(&root)?;
            if let Some(train) = one(&root, &folders, &TRAIN)? {
                return Self::split(&root, &folders, train, notes);
            }
            match folders.as_slice() {
                [(name, only)] => {
                    notes.push(format!("the images lie in `{name}`"));
                    root.clone_from(only);
                }
                _ => return Self::plain(path, &root, folders, notes),
            }
        }
        Err(Error::Unrecognised(path.into()))
    }

    /// `train/CLASS/…` and perhaps a test set.
    fn split(root: &Path, beside: &[(String, PathBuf)], train: &Path, mut notes: Vec<String>) -> Result<Self, Error> {
        let mut test = None;
        for name in TEST {
            let Some(folder) = one(root, beside, &[name])? else { continue };
            let shown = folder.file_name().unwrap_or_default().display();
            let sorted = folders(folder)?;
            if test.is_some() {
                notes.push(format!("{shown}/ is not used: there is a test set already"));
            } else if sorted.is_empty() || matches!(sorted.as_slice(), [(only, _)] if only == "images") {
                notes.push(format!("{shown}/ is not used: its images do not lie in a folder a class"));
            } else {
                if name != "test" {
                    notes.push(format!("{shown}/ is the test set"));
                }
                test = Some(Classes::of(folder, sorted));
            }
        }
        Ok(Self { train: Classes::of(train, folders(train)?), test, notes })
    }

    /// `CLASS/…` alone: every folder that has images is a class.
    fn plain(path: &Path, root: &Path, folders: Vec<(String, PathBuf)>, mut notes: Vec<String>) -> Result<Self, Error> {
        let (mut classes, mut others) = (Vec::new(), Vec::new());
        for (name, folder) in folders {
            if files::has_images(&folder)? { classes.push((name, folder)) } else { others.push(format!("{name}/")) }
        }
        if classes.len() < 2 {
            return Err(Error::Unrecognised(path.into()));
        }
        notes.push(format!("there is no train/: {} is read as a folder a class", root.display()));
        if !others.is_empty() {
            let (one, several) = ("folder without images was left out", "folders without images were left out");
            notes.push(crate::dataset::listed(others.len(), one, several, &others));
        }
        Ok(Self { train: Classes::of(root, classes), test: None, notes })
    }
}

/// The folder among `folders` that has one of `names`, in whatever case.
fn one<'a>(root: &Path, folders: &'a [(String, PathBuf)], names: &[&str]) -> Result<Option<&'a Path>, Error> {
    let mut found = folders.iter().filter(|(name, _)| names.contains(&name.to_lowercase().as_str()));
    match (found.next(), found.next()) {
        (Some((first, _)), Some((second, _))) => {
            let reason = format!("both `{first}` and `{second}` are there: leave one of them");
            Err(Error::Folder { path: root.into(), reason })
        }
        (found, _) => Ok(found.map(|(_, path)| path.as_path())),
    }
}

/// Names and paths of the folders in `folder`, sorted by name; hidden ones and systems' left out.
fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut found = Vec::new();
    for path in files::entries(folder)? {
        if !path.is_dir() {
            continue;
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::Folder { path, reason: "its name is not UTF-8, as a class's must be: rename it".into() });
        };
        if !is_litter(name) {
            found.push((name.to_owned(), path));
        }
    }
    found.sort_unstable();
    Ok(found)
}
