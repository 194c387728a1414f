//! Which version of a model somebody chose to answer, kept in one file, so that a restart keeps it. Without a choice the highest
//! version answers. This module does not know whether what was chosen is there, or works.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic;
use super::error::Error;

/// The choice of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// The version that answers.
    pub version: u64,
    /// When it was chosen, as RFC 3339 has it.
    pub at: String,
    /// The model and version it is a copy of, where it was copied to be activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
}

/// Where a version was copied from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The model's name.
    pub name: String,
    /// Its version.
    pub version: u64,
}

/// Choices by model.
pub type Activations = BTreeMap<String, Activation>;

/// Where the choices made on a server are kept: beside the folder of its models.
pub fn place(data_dir: &Path) -> PathBuf {
    data_dir.join("active.json")
}

/// The choices in the file at `path`; none where there is no file.
pub fn read(path: &Path) -> Result<Activations, Error> {
    let failed = |fault| Error::Io { doing: "read", path: path.into(), fault };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed(e.into())),
        Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(Activations::new()),
        Err(fault) => Err(failed(fault)),
    }
}

/// Writes `choices` to the file at `path`: wholly or not at all, and synced.
pub fn write(path: &Path, choices: &Activations) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(choices).unwrap_or_else(|e| unreachable!("plain data: {e}"));
    atomic::write_file(path, &text).map_err(|fault| Error::Io { doing: "write", path: path.into(), fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_read_back_and_a_file_that_is_none_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = place(folder.path());
        assert_eq!(read(&path).unwrap(), Activations::new());
        let from = Some(Origin { name: "run-1".into(), version: 7 });
        let choices = [("m", None), ("n", from)]
            .map(|(name, from)| (name.to_owned(), Activation { version: 2, at: "2026-01-01T00:00:00Z".into(), from }));
        write(&path, &choices.clone().into()).unwrap();
        assert_eq!(read(&path).unwrap(), choices.into());
        std::fs::write(&path, "{\"m\":").unwrap();
        let sentence = read(&path).unwrap_err().to_string();
        assert!(sentence.contains("active.json"), "{sentence}");
    }
}
