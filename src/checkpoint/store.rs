//! Which file a model's name and version mean.
//!
//! `NAME.safetensors` is version 1 of NAME; `NAME/N.safetensors` are its versions, whole numbers from 1. Folders are looked
//! at in order, the embedded models last; the first that knows a name hides all later ones of that name. Files of other
//! names (temporary ones, notes) are passed over.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::preferred::{self, Preferred};
use super::{embedded, error::Error};
use crate::network::Model;

const EXTENSION: &str = "safetensors";

/// Folders of models, and the models inside the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    folders: Vec<PathBuf>,
}

/// One model's versions. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The model's name: its file's, not what its metadata says.
    pub name: String,
    /// Ascending.
    pub versions: BTreeMap<u64, Source>,
}

/// Where a version is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A model inside the program.
    Embedded(&'static [u8]),
}

impl Source {
    /// Reads the model.
    pub fn load(&self) -> Result<Model, Error> {
        match self {
            Self::File(path) => super::load(path),
            Self::Embedded(bytes) => super::read(bytes),
        }
    }

    /// The file's bytes, as they are.
    pub fn bytes(&self) -> Result<Vec<u8>, Error> {
        match self {
            Self::File(path) => fs::read(path).map_err(|fault| Error::Io { doing: "read", path: path.clone(), fault }),
            Self::Embedded(bytes) => Ok(bytes.to_vec()),
        }
    }
}

impl Entry {
    /// The version that its writer would have used, if that is there.
    pub fn preferred(&self) -> Result<Option<Preferred>, Error> {
        let Some((_, Source::File(path))) = self.highest() else { return Ok(None) };
        let (folder, single) = (path.parent(), path.file_stem().is_some_and(|stem| stem == self.name.as_str()));
        let Some(folder) = folder.filter(|_| !single) else { return Ok(None) };
        Ok(preferred::read(folder)?.filter(|preferred| self.versions.contains_key(&preferred.version)))
    }

    /// The version that is used unless another was asked for, or is preferred.
    pub fn highest(&self) -> Option<(u64, &Source)> {
        self.versions.last_key_value().map(|(&version, source)| (version, source))
    }

    /// `version`, or an error that lists those there are.
    pub fn version(&self, version: u64) -> Result<&Source, Error> {
        self.versions.get(&version).ok_or_else(|| Error::UnknownVersion {
            name: self.name.clone(),
            version,
            known: self.versions.keys().copied().collect(),
        })
    }
}

/// What is there, and what is there but cannot be told.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name, ascending.
    pub models: Vec<Entry>,
    /// Names claimed twice and folders that cannot be read; every other model is listed all the same.
    pub faults: Vec<Error>,
}

impl Store {
    /// `folders` in the order in which they are looked at. They need not exist.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// Every model there is.
    pub fn list(&self) -> Listing {
        let mut listing = Listing::default();
        let mut models = BTreeMap::new();
        for folder in &self.folders {
            match names(folder) {
                Ok(names) => {
                    for name in names {
                        // A name that is claimed twice hides later ones too: to serve another in its place would be worse.
                        models.entry(name.clone()).or_insert_with(|| versions(folder, &name));
                    }
                }
                Err(fault) => listing.faults.push(fault),
            }
        }
        for (name, bytes) in embedded::MODELS {
            let bundled = || Ok(BTreeMap::from([(1, Source::Embedded(bytes))]));
            models.entry((*name).to_owned()).or_insert_with(bundled);
        }
        for (name, versions) in models {
            match versions {
                Ok(versions) => listing.models.push(Entry { name, versions }),
                Err(fault) => listing.faults.push(fault),
            }
        }
        listing
    }

    /// The model called `name`, or an error that names those there are.
    pub fn find(&self, name: &str) -> Result<Entry, Error> {
        check_name(name)?;
        for folder in &self.folders {
            let versions = versions(folder, name)?;
            if !versions.is_empty() {
                return Ok(Entry { name: name.into(), versions });
            }
        }
        if let Some(bytes) = embedded::named(name) {
            return Ok(Entry { name: name.into(), versions: BTreeMap::from([(1, Source::Embedded(bytes))]) });
        }
        let known = self.list().models.into_iter().map(|entry| entry.name).collect();
        Err(Error::UnknownModel { name: name.into(), known })
    }
}

impl Store {
    /// The lowest number above those of every version called `name`, wherever it lies and whatever its file holds, hidden ones
    /// included: what is written as that version replaces nothing.
    pub fn next_version(&self, name: &str) -> Result<u64, Error> {
        check_name(name)?;
        let mut highest = u64::from(embedded::named(name).is_some());
        for folder in &self.folders {
            highest = highest.max(versions(folder, name)?.last_key_value().map_or(0, |(&version, _)| version));
        }
        Ok(highest.saturating_add(1))
    }
}

/// The file of `version` in a model's own folder under `folder`.
pub fn version_path(folder: &Path, name: &str, version: u64) -> PathBuf {
    folder.join(name).join(format!("{version}.{EXTENSION}"))
}

/// The name and version that the rules above give the file at `path`, wherever it is.
pub fn identity(path: &Path) -> (String, u64) {
    let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
    let stem = text(path.file_stem());
    let folder = text(path.parent().and_then(Path::file_name));
    match version_number(&stem) {
        Some(version) if !folder.is_empty() => (folder, version),
        _ => (stem, 1),
    }
}

/// Whether a model may be written to `path`: not where its name has another place beside it already, since both at once are
/// served by nobody.
pub fn check_place(path: &Path) -> Result<(), Error> {
    let (name, _) = identity(path);
    let above = path.parent().unwrap_or(Path::new(""));
    let is_version = path.file_stem().and_then(|stem| stem.to_str()) != Some(&name);
    let folder = if is_version { above.parent().unwrap_or(Path::new("")) } else { above };
    let (file, own) = (folder.join(format!("{name}.{EXTENSION}")), folder.join(&name));
    let taken = if is_version { file.is_file() } else { !own_versions(&own)?.is_empty() };
    if taken { Err(Error::TwoPlaces { name, file, folder: own }) } else { Ok(()) }
}

/// Whether `name` can be a model's: it is part of paths and URLs, and hidden files are nobody's models.
pub fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.len() <= 100 && name.chars().all(plain) { Ok(()) } else { Err(Error::Name(name.into())) }
}

/// Names that have a file or a folder with a version in `folder`, which need not exist.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for path in entries(folder)? {
        let name = if path.is_dir() { path.file_name() } else { model_stem(&path) };
        names.extend(name.and_then(|name| name.to_str()).filter(|name| check_name(name).is_ok()).map(str::to_owned));
    }
    names.sort_unstable();
    names.dedup();
    // A folder without a version is no model: it must not hide one.
    names.retain(|name| versions(folder, name).map_or(true, |versions| !versions.is_empty()));
    Ok(names)
}

/// The versions of `name` in `folder`: none if it is not there.
fn versions(folder: &Path, name: &str) -> Result<BTreeMap<u64, Source>, Error> {
    let (file, own) = (folder.join(format!("{name}.{EXTENSION}")), folder.join(name));
    let mut versions = own_versions(&own)?;
    if file.is_file() {
        if !versions.is_empty() {
            return Err(Error::TwoPlaces { name: name.into(), file, folder: own });
        }
        versions.insert(1, Source::File(file));
    }
    Ok(versions)
}

/// The versions in a model's own folder, which need not exist.
fn own_versions(own: &Path) -> Result<BTreeMap<u64, Source>, Error> {
    let mut versions = BTreeMap::new();
    for path in entries(own)? {
        let number = model_stem(&path).and_then(|stem| stem.to_str()).and_then(version_number);
        versions.extend(number.map(|number| (number, Source::File(path))));
    }
    Ok(versions)
}

/// A whole number from 1, written plainly: `007` and `+7` would make two files of one version.
fn version_number(stem: &str) -> Option<u64> {
    stem.parse().ok().filter(|number: &u64| *number > 0 && number.to_string() == stem)
}

fn model_stem(path: &Path) -> Option<&std::ffi::OsStr> {
    path.file_stem().filter(|_| path.extension().is_some_and(|extension| extension == EXTENSION))
}

/// What is in `folder`; nothing if it is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |fault| Error::Io { doing: "list", path: folder.into(), fault };
    match fs::read_dir(folder) {
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(e) => Err(failed(e)),
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    fn store(folders: &[&tempfile::TempDir]) -> Store {
        Store::new(folders.iter().map(|folder| folder.path().to_owned()).collect())
    }

    #[test]
    fn files_and_folders_become_versions() {
        let models = folder(&["a.safetensors", "b/2.safetensors", "b/10.safetensors", "b/x.safetensors", "b/03.safetensors"]);
        let also = folder(&["notes.txt", ".a.tmp", ".hidden.safetensors", "empty/readme", "b/0.safetensors"]);
        let listing = store(&[&models, &also]).list();
        assert!(listing.faults.is_empty());
        let own = |entry: &&Entry| embedded::named(&entry.name).is_none();
        let found: Vec<_> =
            listing.models.iter().filter(own).map(|e| (e.name.as_str(), e.versions.keys().copied().collect())).collect();
        assert_eq!(found, [("a", vec![1]), ("b", vec![2, 10])]);
        let b = store(&[&models]).find("b").unwrap();
        assert_eq!(b.highest(), Some((10, &Source::File(version_path(models.path(), "b", 10)))));
        assert_eq!(identity(&version_path(models.path(), "b", 10)), ("b".into(), 10));
        assert_eq!(identity(Path::new("models/mine.safetensors")), ("mine".into(), 1));
        assert_eq!(b.version(3).unwrap_err().to_string(), "the model `b` has no version 3; it has 2, 10");
    }

    #[test]
    fn what_is_preferred_is_a_version_that_is_there_of_a_model_with_versions() {
        let models = folder(&["a.safetensors", "b/2.safetensors", "b/3.safetensors"]);
        let entry = |name| store(&[&models]).find(name).unwrap();
        let says = |version| {
            let preferred = Preferred { version, because: "it is".into() };
            for folder in [models.path(), &models.path().join("b")] {
                preferred::write(folder, &preferred).unwrap();
            }
            entry("b").preferred().unwrap().map(|preferred| preferred.version)
        };
        assert_eq!(entry("b").preferred().unwrap(), None);
        assert_eq!([2, 3, 1].map(says), [Some(2), Some(3), None]);
        says(1);
        assert_eq!(entry("a").preferred().unwrap(), None, "a single file has no versions to choose from");
        assert_eq!(entry("tutorial").preferred().unwrap(), None);
    }

    #[test]
    fn an_earlier_folder_hides_all_versions_of_a_later_one() {
        let (first, second) = (folder(&["m/1.safetensors"]), folder(&["m/7.safetensors", "n.safetensors"]));
        let store = store(&[&first, &second]);
        assert_eq!(store.find("m").unwrap().highest().unwrap().0, 1);
        assert!(store.list().models.iter().any(|entry| entry.name == "n"));
        let message = store.find("o").unwrap_err().to_string();
        assert!(message.starts_with("there is no model `o`; there are") && message.contains("`m`, `n`"), "{message}");
    }

    #[test]
    fn both_at_once_is_an_error_that_names_them_and_spares_the_others() {
        let models = folder(&["m.safetensors", "m/1.safetensors", "n.safetensors"]);
        let store = store(&[&models, &folder(&["m.safetensors"])]);
        let message = store.find("m").unwrap_err().to_string();
        assert!(message.contains("m.safetensors and ") && message.contains("move one of them away"), "{message}");
        let listing = store.list();
        assert_eq!(listing.faults.len(), 1);
        assert!(listing.models.iter().any(|entry| entry.name == "n") && listing.models.iter().all(|entry| entry.name != "m"));
    }

    #[test]
    fn a_second_place_is_refused_before_it_is_written() {
        let models = folder(&["m.safetensors", "n/2.safetensors", "o/notes.txt"]);
        for (path, free) in [
            ("m/2.safetensors", false),
            ("n.safetensors", false),
            ("m.safetensors", true),
            ("n/3.safetensors", true),
            ("o.safetensors", true),
            ("p.safetensors", true),
            ("p/1.safetensors", true),
        ] {
            assert_eq!(check_place(&models.path().join(path)).is_ok(), free, "{path}");
        }
        let message = check_place(&models.path().join("m/2.safetensors")).unwrap_err().to_string();
        assert!(message.contains("m.safetensors and ") && message.contains("move one of them away"), "{message}");
    }

    #[test]
    fn the_next_version_is_above_all_there_are() {
        let (first, second) = (folder(&["m/1.safetensors"]), folder(&["m/7.safetensors", "n.safetensors"]));
        let store = store(&[&first, &second]);
        let next = |name| store.next_version(name).unwrap();
        assert_eq!((next("m"), next("n"), next("tutorial"), next("o")), (8, 2, 2, 1));
        assert!(store.next_version("../m").is_err());
    }

    #[test]
    fn no_name_leaves_its_folder() {
        let store = store(&[&folder(&[])]);
        for name in ["", "..", "../m", "a/b", ".m", "a\\b", "ü"] {
            assert!(matches!(store.find(name), Err(Error::Name(_))), "{name}");
        }
    }
}
