//! Models by name and version, for those who ask: what a request finds it keeps to its end, whatever is exchanged meanwhile.
//!
//! A version answers only once it is in memory, warm, and its own canary image is answered; that happens on a thread of its own
//! while another version, or the same one from the file that was there before, goes on answering. A file that is no model, or
//! fails its canary, is logged and left out until it is another file.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use candle_core::Device;
use tokio::sync::OwnedMutexGuard;

use super::active::Active;
use super::cache::{Cache, Failure};
use super::catalog::{Catalog, Known};
use super::served::{Served, panic_text};
use crate::checkpoint::{self, Store};
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
    /// The program is stopping.
    #[error("the look at the model folders was given up")]
    Stopped,
}

/// What models are served, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where they are.
    pub store: Store,
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
    /// What each version says of itself, ascending.
    pub versions: BTreeMap<u64, Arc<Metadata>>,
}

/// All models.
#[derive(Debug)]
pub struct Models {
    default_name: String,
    device: Device,
    catalog: Catalog,
    cache: Arc<Cache>,
    active: Active,
}

impl Models {
    /// Looks at every folder once. Blocks. A model that cannot be read is logged and left out.
    pub fn open(settings: Settings) -> Self {
        let Settings { store, default_name, device, bytes } = settings;
        let (catalog, cache) = (Catalog::open(store), Arc::new(Cache::new(bytes)));
        Self { default_name, device, catalog, cache, active: Active::default() }
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
        self.look_if_stale().await?;
        let found = self.catalog.found();
        let list = found.models.iter().filter_map(|(name, versions)| {
            let active = self.active.answering(&found, name).or_else(|| Active::wanted(versions))?.key.version;
            let versions = versions.iter().map(|(&version, known)| (version, Arc::clone(&known.metadata))).collect();
            Some(Listed { name: name.clone(), active, versions })
        });
        Ok(list.collect())
    }

    /// `name` (else the default) at `version` (else the active one), ready to answer.
    pub async fn find(self: &Arc<Self>, name: Option<&str>, version: Option<u64>) -> Result<Arc<Served>, Error> {
        let asked = Instant::now();
        self.look_if_stale().await?;
        let name = name.unwrap_or(&self.default_name);
        loop {
            let wanted = if let Ok(wanted) = self.wanted(name, version) {
                wanted
            } else {
                self.look_since(asked).await?;
                self.wanted(name, version)?
            };
            let at_hand = self.cache.get(&wanted.key);
            if let Some(served) = at_hand.as_ref().filter(|served| served.known.stamp == wanted.stamp) {
                return Ok(self.answer(Arc::clone(served), version));
            }
            let standing = at_hand.or_else(|| self.answering(name).filter(|_| version.is_none()));
            let (this, known) = (Arc::clone(self), Arc::clone(&wanted));
            let flight = self.cache.fly(&wanted.key, move || this.load(&known));
            if let Some(served) = standing {
                return Ok(served);
            }
            match flight.land().await.ok_or(Error::Stopped)? {
                Ok(served) => return Ok(self.answer(served, version)),
                // It is out of the catalog now, so the next turn ends in another version or in an error.
                Err(Failure::Gone) => {}
                Err(Failure::Broken) if version.is_none() => {}
                Err(Failure::Broken) => return Err(Error::Broken { name: name.into(), version: wanted.key.version }),
            }
        }
    }

    /// `served` answers; as the active version, unless another was asked for by number.
    fn answer(&self, served: Arc<Served>, version: Option<u64>) -> Arc<Served> {
        if version.is_none() {
            self.active.exchange(&served.name, served.version);
        }
        served
    }

    /// The version of `name` that has answered so far, if it is in memory.
    fn answering(&self, name: &str) -> Option<Arc<Served>> {
        self.cache.get(&self.active.answering(&self.catalog.found(), name)?.key)
    }

    async fn look_if_stale(self: &Arc<Self>) -> Result<(), Error> {
        match self.catalog.turn_if_stale() {
            Some(turn) => self.look(turn).await,
            None => Ok(()),
        }
    }

    async fn look_since(self: &Arc<Self>, moment: Instant) -> Result<(), Error> {
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

    fn wanted(&self, name: &str, version: Option<u64>) -> Result<Arc<Known>, Error> {
        let found = self.catalog.found();
        let Some(versions) = found.models.get(name) else {
            if found.broken.keys().any(|key| &*key.name == name) {
                return Err(Error::Unusable { name: name.into() });
            }
            let known = found.models.keys().cloned().collect();
            return Err(Error::Unknown(checkpoint::Error::UnknownModel { name: name.into(), known }));
        };
        let wanted = match version {
            Some(version) => versions.get(&version),
            None => Active::wanted(versions),
        };
        let known = || versions.keys().copied().collect();
        let unknown = || checkpoint::Error::UnknownVersion { name: name.into(), version: version.unwrap_or(1), known: known() };
        wanted.cloned().ok_or_else(|| Error::Unknown(unknown()))
    }

    /// Brings a model into memory and has it answer its canary. Blocks.
    fn load(&self, known: &Arc<Known>) -> Result<Arc<Served>, Failure> {
        // What a crafted or damaged file can make panic must not be tried again for every request.
        let loaded = catch_unwind(AssertUnwindSafe(|| {
            let model = read(known)?;
            Served::prepare(Arc::clone(known), model, &self.device)
        }));
        let fault = match loaded {
            Ok(Ok(served)) => return Ok(Arc::new(served)),
            Ok(Err(fault)) => fault,
            Err(panic) => format!("it panicked: {}", panic_text(panic.as_ref())),
        };
        let gone = known.source.is_gone();
        let standing = self.cache.peek(&known.key).filter(|_| !gone);
        self.catalog.leave_out(known, standing.as_ref().map(|served| &served.known));
        if gone {
            return Err(Failure::Gone);
        }
        tracing::error!(model = &*known.key.name, known.key.version, error = fault, "a model is left out: it cannot answer");
        Err(Failure::Broken)
    }
}

/// The model in the file that is `known`, wholly of that file.
fn read(known: &Known) -> Result<Model, String> {
    let model = known.source.load().map_err(|fault| fault.to_string())?;
    if known.source.stamp() == known.stamp { Ok(model) } else { Err("its file changed while it was read".into()) }
}

#[cfg(test)]
mod tests;
