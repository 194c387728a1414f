//! What was asked for, and what is wanted of it now: the two files in a run's folder that are the server's. The first is written
//! once and is all that the run's process needs; the second changes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::error::Error;
use super::folder::RunFolder;
use super::recipe::Recipe;
use super::trainer::{Models, Output, Run};
use crate::checkpoint::atomic;
use crate::dataset::Rules;
use crate::network::{Architecture, DeviceChoice};

/// A run, as `job.json` has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The network.
    pub arch: Architecture,
    /// How it is trained, with every key.
    pub recipe: Recipe,
    /// The images, as they were asked for: for people.
    pub data: String,
    /// Where they are; a path that is not absolute begins at the folder that holds `runs/`, so that this may be moved.
    pub data_path: PathBuf,
    /// Whether the network is fitted to the images.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fit_data: bool,
    /// Whether images that cannot be read are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_unreadable: bool,
    /// When it was asked for, as RFC 3339 has it.
    pub created: String,
}

/// What is wanted of a run, as `wanted.json` has it; without the file it is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "wanted", rename_all = "snake_case")]
pub enum Wanted {
    /// That it runs.
    Run {
        /// Bytes of whole lines that its journal had when this was asked: more means that it has begun since.
        after: u64,
        /// Epochs that were over when this was asked for: more means that it got further since.
        #[serde(default)]
        epochs: u32,
    },
    /// That it ends, whether or not its process lived to say so.
    Cancelled,
}

impl Request {
    /// Reads it from `folder`.
    pub fn read(folder: &RunFolder) -> Result<Self, Error> {
        read(&folder.request())?.ok_or_else(|| Error::NoRun(folder.path().into()))
    }

    /// Writes it to the `job.json` at `path`.
    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        write(path, self)
    }

    /// What a trainer does of it, in `folder`, on `device` and by `rules`; it goes on from where the run has got to.
    pub fn run(self, folder: &RunFolder, device: DeviceChoice, rules: Rules) -> Result<Run, Error> {
        // Its numbers were checked when it was written, and anybody may have changed them since.
        let recipe = self.recipe.fitted(&self.arch, &Map::new())?;
        let (state, models) = (folder.state(), Models::Every(folder.models()));
        Ok(Run {
            architecture: self.arch,
            data: folder.data_dir().join(&self.data_path),
            rules: Rules { skip_unreadable: rules.skip_unreadable || self.skip_unreadable, ..rules },
            recipe,
            device,
            output: Output { name: folder.model(), state, models },
            resume: true,
            fit_data: self.fit_data,
        })
    }
}

impl Wanted {
    /// Reads it from `folder`.
    pub(super) fn read(folder: &RunFolder) -> Result<Self, Error> {
        Ok(read(&folder.wanted())?.unwrap_or(Self::Run { after: 0, epochs: 0 }))
    }

    /// Writes it to `folder`.
    pub(super) fn write(self, folder: &RunFolder) -> Result<(), Error> {
        write(&folder.wanted(), &self)
    }
}

/// None where there is no file.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(Error::io("read", path)(fault)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|fault| Error::io("read", path)(fault.into()))
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(value).unwrap_or_else(|e| unreachable!("plain data: {e}"));
    atomic::write_file(path, &text).map_err(Error::io("write", path))
}
