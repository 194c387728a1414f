//! A model's file as it is, for those who want to take it along. It is never read as a whole, and its model need not be in memory.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use super::catalog::{Known, Stamp};
use super::models::{Error, Models};
use crate::checkpoint::store::Source;

/// How often a file may turn out to have been replaced while it was being opened.
const TRIES: usize = 4;

/// The file of one version, opened.
#[derive(Debug)]
pub struct ModelFile {
    /// The model.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Another one for every other content.
    pub tag: u64,
    /// What it holds.
    pub content: Content,
}

/// Where the bytes of a model file are.
#[derive(Debug)]
pub enum Content {
    /// Inside the program.
    Embedded(&'static [u8]),
    /// On disk, so many of them.
    Opened(File, u64),
}

impl Models {
    /// The file of `version` (else the one that answers) of the model called `name`.
    pub async fn file(self: &Arc<Self>, name: &str, version: Option<u64>) -> Result<ModelFile, Error> {
        for _ in 0..TRIES {
            let asked = Instant::now();
            let found = self.catalog.found();
            let answering = self.active.answering(&found, name).filter(|_| version.is_none());
            let known = match answering.map_or_else(|| self.wanted(name, version), Ok) {
                Ok(known) => known,
                Err(_) => {
                    self.look_since(asked).await?;
                    self.wanted(name, version)?
                }
            };
            let opened = tokio::task::spawn_blocking(move || open(&known)).await.map_err(|_| Error::Stopped)?;
            if let Some(file) = opened {
                return Ok(file);
            }
            self.look_since(asked).await?;
        }
        Err(Error::Changing { name: name.into() })
    }
}

/// The file that is `known`; none where another one has taken its place. Blocks.
fn open(known: &Known) -> Option<ModelFile> {
    let mut hasher = DefaultHasher::new();
    let content = match &known.source {
        Source::Embedded(bytes) => {
            bytes.hash(&mut hasher);
            Content::Embedded(bytes)
        }
        Source::File(path) => {
            let file = File::open(path).ok()?;
            let metadata = file.metadata().ok()?;
            if Stamp::from(&metadata) != known.stamp {
                return None;
            }
            known.stamp.hash(&mut hasher);
            Content::Opened(file, metadata.size())
        }
    };
    Some(ModelFile { name: known.key.name.to_string(), version: known.key.version, tag: hasher.finish(), content })
}
