//! Which of its versions the writer of a model would have answer: a small file beside them. Where there is none, and nobody has chosen
//! otherwise ([`super::activation`]), the highest does. This module does not know whether that version is there, or who wrote it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic;
use super::error::Error;

/// A version, and why it is better than the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferred {
    /// The version.
    pub version: u64,
    /// Why, as part of a sentence: `the best on 50 validation images (60.00 %)`.
    pub because: String,
}

/// Where it is said in `folder`, which holds a model's versions.
fn place(folder: &Path) -> PathBuf {
    folder.join("preferred.json")
}

/// What the file in `folder` says; none where there is no file.
pub fn read(folder: &Path) -> Result<Option<Preferred>, Error> {
    let path = place(folder);
    let failed = |fault| Error::Io { doing: "read", path: path.clone(), fault };
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(e.into())),
        Err(fault) if matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(fault) => Err(failed(fault)),
    }
}

/// Writes it to `folder`: wholly or not at all, and synced.
pub fn write(folder: &Path, preferred: &Preferred) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(preferred).unwrap_or_else(|e| unreachable!("plain data: {e}"));
    let path = place(folder);
    atomic::write_file(&path, &text).map_err(|fault| Error::Io { doing: "write", path, fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_preferred_reads_back_and_a_file_that_says_nothing_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        assert_eq!(read(&folder.path().join("nothing")).unwrap(), None);
        let preferred = Preferred { version: 3, because: "the best".into() };
        write(folder.path(), &preferred).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(preferred));
        std::fs::write(place(folder.path()), "{").unwrap();
        let sentence = read(folder.path()).unwrap_err().to_string();
        assert!(sentence.contains("preferred.json"), "{sentence}");
    }
}
