//! Models by name and version, for those who ask: what a request finds it keeps to its end, whatever is exchanged meanwhile.
//!
//! A version answers only once it is in memory, warm, and its own canary image is answered; that happens on a thread of its own
//! while another version, or the same one from the file that was there before, goes on answering. A file that is no model, or
//! fails its canary, is named, logged and left out until it is another file. What looks at the folders without being asked is in
//! `watch`; what an operator changes, in [`super::change`].

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use candle_core::Device;
use tokio::sync::OwnedMutexGuard;

use super::active::Active;
use super::cache::{Cache, Failure, Flight};
use super::catalog::{Catalog, Found, Known};
use super::served::{Served, panic_text};
use crate::checkpoint::store::Source;
use crate::checkpoint::{self, Activation, Preferred, Store, activation};
use crate::network::{Metadata, Model};

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such name, or no such version of it.
    #[error(transparent)]
    Unknown(checkpoint::Error),
    /// Its file looked fine when it was listed, and cannot answer. Logged where it was found.
    #[error("version {version} of the model `{name}` cannot be loaded")]
    Broken {
        /// The model.
        name: String,
        /// Its version.
        version: u64,
    },
    /// Files that claim the name are there, and none of them is a model that answers.
    #[error("the model `{name}` is there and cannot answer: the server's log says why")]
    Unusable {
        /// The model.
        name: String,
    },
    /// Its file is exchanged faster than it can be opened.
    #[error("the file of the model `{name}` is being replaced: ask again in a moment")]
    Changing {
        /// The model.
        name: String,
    },
    /// The program is stopping.
    #[error("the look at the model folders was given up")]
    Stopped,
}

/// What models are served, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where they are.
    pub store: Store,
    /// What is activated is copied into `models/` of this folder, and written down in it; it need not exist.
    pub data_dir: PathBuf,
    /// The one that is used where none is named.
    pub default_name: String,
    /// Where they are evaluated.
    pub device: Device,
    /// Memory for all of them.
    pub bytes: u64,
}

/// One line of the list of models.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The model's name.
    pub name: String,
    /// What answers when no version is asked for.
    pub active: u64,
    /// What was activated, whether or not it is there; with nothing chosen what is preferred answers, or the highest.
    pub chosen: Option<Activation>,
    /// What its writer would have answer, and why.
    pub preferred: Option<Preferred>,
    /// What each version says of itself, ascending.
    pub versions: BTreeMap<u64, Arc<Metadata>>,
    /// Versions that cannot be deleted: they are inside the program, or in a folder that is only read.
    pub read_only: BTreeSet<u64>,
}

/// A file that is no model, or a name that cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faulty {
    /// The model, where it is one's.
    pub name: Option<String>,
    /// The version, where it is one's.
    pub version: Option<u64>,
    /// What is wrong with it, without its place on this machine.
    pub reason: String,
}

/// All models.
#[derive(Debug)]
pub struct Models {
    default_name: String,
    device: Device,
    pub(super) data_dir: PathBuf,
    pub(super) catalog: Catalog,
    pub(super) cache: Arc<Cache>,
    pub(super) active: Active,
    /// Held by whoever changes files, or what is chosen.
    pub(super) changing: tokio::sync::Mutex<()>,
}

impl Models {
    /// Looks at every folder once. Blocks. A model that cannot be read is logged and left out.
    pub fn open(settings: Settings) -> Self {
        let Settings { store, data_dir, default_name, device, bytes } = settings;
        let (catalog, cache) = (Catalog::open(store), Arc::new(Cache::new(bytes)));
        let active = Active::open(activation::place(&data_dir));
        Self { default_name, device, data_dir, catalog, cache, active, changing: tokio::sync::Mutex::default() }
    }

    /// The model that is used where none is named.
    pub fn default_name(&self) -> &str {
        &self.default_name
    }

    /// What the models in memory take there, in bytes, by name and version.
    pub fn in_memory(&self) -> Vec<(String, u64, u64)> {
        self.cache.sizes().into_iter().map(|(key, bytes)| (key.name.to_string(), key.version, bytes)).collect()
    }

    /// Every model there is, by name.
    pub async fn list(self: &Arc<Self>) -> Result<Vec<Listed>, Error> {
        if let Some(turn) = self.catalog.turn_if_stale() {
            self.look(turn).await?;
        }
        let found = self.catalog.found();
        Ok(found.models.keys().filter_map(|name| self.listed(&found, name)).collect())
    }

    /// What was found and cannot answer, as of the last look.
    pub fn faults(&self) -> Vec<Faulty> {
        let found = self.catalog.found();
        let files = found.broken.iter().map(|(key, fault)| Faulty {
            name: Some(key.name.to_string()),
            version: Some(key.version),
            reason: fault.reason.clone(),
        });
        let untold =
            found.faults.values().map(|untold| Faulty { name: untold.name.clone(), version: None, reason: untold.reason.clone() });
        let gone = self.active.choices().into_iter().filter(|(name, choice)| found.known(name, choice.version).is_none());
        let gone = gone.map(|(name, choice)| Faulty {
            name: Some(name),
            version: Some(choice.version),
            reason: "it was activated and is not there: the highest version answers".into(),
        });
        files.chain(untold).chain(gone).collect()
    }

    pub(super) fn listed(&self, found: &Found, name: &str) -> Option<Listed> {
        let known = found.models.get(name)?;
        let active = self.active.answering(found, name).or_else(|| self.active.wanted(found, name))?.key.version;
        let versions = known.iter().map(|(&version, known)| (version, Arc::clone(&known.metadata))).collect();
        let fixed = known.iter().filter(|(_, known)| !self.owns(&known.source));
        let read_only = fixed.map(|(&version, _)| version).collect();
        let (chosen, preferred) = (self.active.chosen(name), found.preferred.get(name).cloned());
        Some(Listed { name: name.into(), active, chosen, preferred, versions, read_only })
    }

    /// Whether it lies in the folder that may be written to.
    pub(super) fn owns(&self, source: &Source) -> bool {
        matches!(source, Source::File(path) if path.starts_with(self.data_dir.join("models")))
    }

    /// `name` (else the default) at `version` (else the active one), ready to answer.
    pub async fn find(self: &Arc<Self>, name: Option<&str>, version: Option<u64>) -> Result<Arc<Served>, Error> {
        let asked = Instant::now();
        let name = name.unwrap_or(&self.default_name);
        loop {
            let wanted = if let Ok(wanted) = self.wanted(name, version) {
                wanted
            } else {
                self.look_since(asked).await?;
                self.wanted(name, version)?
            };
            let tried = self.catalog.found().doubts(&wanted);
            let at_hand = self.cache.get(&wanted.key, version.is_some());
            if let Some(served) = at_hand.as_ref().filter(|served| served.known.stamp == wanted.stamp) {
                return Ok(self.answer(Arc::clone(served), version));
            }
            let standing = at_hand.or_else(|| self.answering(name).filter(|_| version.is_none()));
            let flight = self.fly(&wanted);
            if let Some(served) = standing {
                return Ok(served);
            }
            match flight.land().await.ok_or(Error::Stopped)? {
                Ok(served) => return Ok(self.answer(served, version)),
                // It is out of the catalog now, so the next turn ends in another version or in an error.
                Err(Failure::Gone) => {}
                // So it does where it was tried in vain before: that it is no model has been said.
                Err(Failure::Broken) if version.is_none() || tried => {}
                Err(Failure::Broken) => return Err(Error::Broken { name: name.into(), version: wanted.key.version }),
            }
        }
    }

    /// `served` answers; as the active version, unless another was asked for by number.
    fn answer(&self, served: Arc<Served>, version: Option<u64>) -> Arc<Served> {
        match version {
            None => self.exchange(&served),
            Some(_) => drop(self.cache.get(&served.known.key, true)),
        }
        served
    }

    /// `served` answers from now on, if it is what is to; the version that did is forgotten where nobody waits for it.
    pub(super) fn exchange(&self, served: &Served) {
        let before = self.active.exchange(&self.catalog.found(), &served.known);
        if let Some(over) = before.and_then(|key| self.cache.release(&key)) {
            tokio::task::spawn_blocking(move || drop(over));
        }
    }

    /// Brings what is known into memory, or joins whoever is at it.
    pub(super) fn fly(self: &Arc<Self>, known: &Arc<Known>) -> Flight {
        let (this, known) = (Arc::clone(self), Arc::clone(known));
        self.cache.fly(&known.key.clone(), move || this.load(&known))
    }

    /// The version of `name` that has answered so far, if it is in memory.
    fn answering(&self, name: &str) -> Option<Arc<Served>> {
        self.cache.get(&self.active.answering(&self.catalog.found(), name)?.key, false)
    }

    pub(super) async fn look_since(self: &Arc<Self>, moment: Instant) -> Result<(), Error> {
        match self.catalog.turn_since(moment).await {
            Some(turn) => self.look(turn).await,
            None => Ok(()),
        }
    }

    async fn look(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> Result<(), Error> {
        let this = Arc::clone(self);
        let work = move || {
            // Held by the work itself: a caller who gives up does not let a second one in beside it.
            let _turn = turn;
            let found = this.catalog.look(&|key| this.cache.peek(key).map(|served| Arc::clone(&served.known)));
            this.cache.retain(|key| found.known(&key.name, key.version).is_some());
            this.active.retain(&found);
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)
    }

    pub(super) fn wanted(&self, name: &str, version: Option<u64>) -> Result<Arc<Known>, Error> {
        let found = self.catalog.found();
        let Some(versions) = found.models.get(name) else {
            if found.broken.keys().any(|key| &*key.name == name) {
                return Err(Error::Unusable { name: name.into() });
            }
            let known = found.models.keys().cloned().collect();
            return Err(Error::Unknown(checkpoint::Error::UnknownModel { name: name.into(), known }));
        };
        let wanted = match version {
            Some(version) => versions.get(&version).cloned(),
            None => self.active.wanted(&found, name),
        };
        let known = || versions.keys().copied().collect();
        let unknown = || checkpoint::Error::UnknownVersion { name: name.into(), version: version.unwrap_or(1), known: known() };
        wanted.ok_or_else(|| Error::Unknown(unknown()))
    }

    /// Brings a model into memory and has it answer its canary. Blocks.
    fn load(&self, known: &Arc<Known>) -> Result<Arc<Served>, Failure> {
        // What a crafted or damaged file can make panic must not be tried again for every request.
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            let model = read(known).map_err(|fault| (fault.without_place(), fault.to_string()))?;
            Served::prepare(Arc::clone(known), model, &self.device).map_err(|fault| (UNUSABLE.into(), fault))
        }));
        let (reason, fault) = match loaded {
            Ok(Ok(served)) => return Ok(Arc::new(served)),
            Ok(Err(faults)) => faults,
            Err(panic) => (UNUSABLE.into(), format!("it panicked: {}", panic_text(panic.as_ref()))),
        };
        let gone = known.source.is_gone();
        let standing = self.cache.peek(&known.key).filter(|_| !gone);
        self.catalog.leave_out(known, &reason, standing.as_ref().map(|served| &served.known));
        if gone {
            return Err(Failure::Gone);
        }
        tracing::error!(model = &*known.key.name, known.key.version, error = fault, "a model is left out: it cannot answer");
        Err(Failure::Broken)
    }
}

/// What people are told of a model that was read and does not work.
const UNUSABLE: &str = "it can be read and does not answer its canary image: the server's log says why";

/// The model in the file that is `known`, wholly of that file.
fn read(known: &Known) -> Result<Model, checkpoint::Error> {
    let model = known.source.load()?;
    if known.source.stamp() == known.stamp { Ok(model) } else { Err(checkpoint::Error::Changing) }
}

#[cfg(test)]
mod tests;
