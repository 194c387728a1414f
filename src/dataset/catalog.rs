//! The datasets there are: folders and archives in one folder, by name.

use std::path::{Path, PathBuf};

use super::cifar10;

/// `data_dir/datasets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    folder: PathBuf,
}

/// Why a dataset is not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for is no plain name, and would lead out of the folder.
    #[error("`{0}` is no dataset's name: those are letters, digits, `_`, `-` and `.`")]
    NoName(String),
    /// There is none of this name.
    #[error("there is no dataset `{name}`; {}. `convscope fetch-data` downloads CIFAR-10", there_are(.known))]
    Unknown {
        /// As asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
}

fn there_are(known: &[String]) -> String {
    if known.is_empty() { "there are none yet".into() } else { format!("there are {}", known.join(", ")) }
}

impl Catalog {
    /// Those in `folder`, which need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Every dataset's name, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|n| is_name(n)).collect();
        names.sort_unstable();
        names
    }

    /// Where the dataset called `name` is.
    pub fn find(&self, name: &str) -> Result<PathBuf, Error> {
        if !is_name(name) {
            return Err(Error::NoName(name.into()));
        }
        self.there(self.folder.join(name), name)
    }

    /// As [`Catalog::find`]; what is no name is a path, wherever it leads.
    pub fn find_or_path(&self, data: &str) -> Result<PathBuf, Error> {
        if is_name(data) { self.find(data) } else { self.there(PathBuf::from(data), data) }
    }

    /// Where the dataset called `name` will be once it is fetched; none where it is none that can be.
    pub fn fetchable(&self, name: &str) -> Option<PathBuf> {
        matches!(name, "cifar-10" | "cifar10" | cifar10::FOLDER).then(|| self.folder.join(cifar10::FOLDER))
    }

    fn there(&self, path: PathBuf, asked: &str) -> Result<PathBuf, Error> {
        if path.exists() { Ok(path) } else { Err(Error::Unknown { name: asked.into(), known: self.names() }) }
    }
}

/// Whether `text` can only mean something inside the folder; hidden files are nobody's datasets.
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && !text.starts_with('.') && text.chars().all(plain) && Path::new(text).components().count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_paths_only_where_they_are_meant() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::new(folder.path().join("datasets"));
        assert!(catalog.find("cats").unwrap_err().to_string().contains("there are none yet"));
        for name in ["pets", "cats", ".fetch"] {
            std::fs::create_dir_all(folder.path().join("datasets").join(name)).unwrap();
        }
        assert_eq!(catalog.names(), ["cats", "pets"]);
        assert_eq!(catalog.find("cats").unwrap(), folder.path().join("datasets/cats"));
        let missing = catalog.find_or_path("dogs").unwrap_err().to_string();
        assert!(missing.starts_with("there is no dataset `dogs`; there are cats, pets."), "{missing}");

        let place = folder.path().join("datasets/cifar-10-batches-bin");
        assert_eq!(["cifar-10", "cifar-10-batches-bin"].map(|name| catalog.fetchable(name).unwrap()), [place.clone(), place]);
        assert_eq!(catalog.fetchable("dogs"), None);

        let path = folder.path().to_str().unwrap();
        assert_eq!(catalog.find_or_path(path).unwrap(), folder.path());
        assert!(matches!(catalog.find_or_path(&format!("{path}/none")), Err(Error::Unknown { .. })));
        for way_out in [path, "..", ".fetch", "", "cats/..", "a\\b", "ü"] {
            assert!(matches!(catalog.find(way_out), Err(Error::NoName(_))), "{way_out}");
        }
    }
}
