//! Which models there are, by name and version, behind one swap: readers never wait, and a request that found a model keeps
//! it to its end, whatever is swapped in meanwhile.
//!
//! The folders are looked at again when a name or version is asked for that is not known, and otherwise when the last look
//! is older than [`FRESH`]. There is no watcher: notifications do not come from network file systems, and nobody asks an
//! idle server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::OwnedMutexGuard;

use super::scan::{self, Catalog, Stamp};
use crate::checkpoint::{self, Store};
use crate::network::{Metadata, Model};

/// How long a look at the folders counts as new.
pub const FRESH: Duration = Duration::from_millis(500);
/// Models kept in memory; of the others only what they say of themselves.
const LOADED: usize = 8;

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such name, or no such version of it.
    #[error(transparent)]
    Unknown(checkpoint::Error),
    /// Its file was fine when it was listed and is not any more. Logged where it was found.
    #[error("version {version} of the model `{name}` cannot be read any more")]
    Broken {
        /// The model.
        name: String,
        /// Its version.
        version: u64,
    },
    /// The program is stopping.
    #[error("the look at the model folders was given up")]
    Stopped,
}

/// A model that answers requests.
#[derive(Debug)]
pub struct Served {
    /// The name it is asked for by: its file's.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The model.
    pub model: Model,
}

/// One line of the list of models.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The model's name.
    pub name: String,
    /// What is served when no version is asked for.
    pub active: u64,
    /// What each version says of itself, ascending.
    pub versions: BTreeMap<u64, Arc<Metadata>>,
}

/// All models.
#[derive(Debug)]
pub struct Registry {
    store: Store,
    default_name: String,
    catalog: ArcSwap<Catalog>,
    /// Held by whoever looks at the folders.
    looking: Arc<tokio::sync::Mutex<()>>,
    /// Most recently used last.
    loaded: Mutex<Vec<(Stamp, Arc<Served>)>>,
}

impl Registry {
    /// Looks at every folder of `store` once. Blocks. A model that cannot be read is logged and left out.
    pub fn open(store: Store, default_name: String) -> Self {
        let catalog = ArcSwap::from_pointee(scan::scan(&store, &Catalog::empty()));
        Self { store, default_name, catalog, looking: Arc::default(), loaded: Mutex::new(Vec::new()) }
    }

    /// The model that is used where none is named.
    pub fn default_name(&self) -> &str {
        &self.default_name
    }

    /// Every model there is, by name.
    pub async fn list(self: &Arc<Self>) -> Result<Vec<Listed>, Error> {
        self.look_if_stale().await?;
        let catalog = self.catalog.load();
        let list = catalog.models.iter().filter_map(|(name, versions)| {
            let known = versions.iter().map(|(&version, known)| (version, Arc::clone(&known.metadata))).collect();
            Some(Listed { name: name.clone(), active: active(versions)?, versions: known })
        });
        Ok(list.collect())
    }

    /// `name` (else the default) at `version` (else the active one), loaded.
    pub async fn find(self: &Arc<Self>, name: Option<&str>, version: Option<u64>) -> Result<Arc<Served>, Error> {
        let asked = Instant::now();
        self.look_if_stale().await?;
        let name = name.unwrap_or(&self.default_name);
        loop {
            if self.resolve(name, version).is_err() {
                self.look_since(asked).await?;
            }
            let resolved = self.resolve(name, version).map_err(Error::Unknown)?;
            if let Some(served) = self.loaded(name, resolved) {
                return Ok(served);
            }
            let (this, owned) = (Arc::clone(self), name.to_owned());
            match tokio::task::spawn_blocking(move || this.load(&owned, resolved)).await.map_err(|_| Error::Stopped)? {
                Ok(Some(served)) => return Ok(served),
                // It is out of the catalog now, so the next turn ends in another version or in an error.
                Ok(None) => {}
                Err(Error::Broken { .. }) if version.is_none() => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Looks at the folders again if that has not been done for a while; where somebody is at it, what is known does meanwhile.
    async fn look_if_stale(self: &Arc<Self>) -> Result<(), Error> {
        if self.catalog.load().looked.elapsed() >= FRESH
            && let Ok(turn) = Arc::clone(&self.looking).try_lock_owned()
        {
            self.look(turn).await?;
        }
        Ok(())
    }

    /// Makes sure that the folders have been looked at since `moment`.
    async fn look_since(self: &Arc<Self>, moment: Instant) -> Result<(), Error> {
        let turn = Arc::clone(&self.looking).lock_owned().await;
        if self.catalog.load().looked < moment {
            self.look(turn).await?;
        }
        Ok(())
    }

    async fn look(self: &Arc<Self>, turn: OwnedMutexGuard<()>) -> Result<(), Error> {
        let this = Arc::clone(self);
        let work = move || {
            // Held by the work itself: a caller who gives up does not let a second one in beside it.
            let _turn = turn;
            let catalog = scan::scan(&this.store, &this.catalog.load());
            let mut loaded = this.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.retain(|(stamp, served)| catalog.known(&served.name, served.version).is_some_and(|now| now.stamp == *stamp));
            drop(loaded);
            this.catalog.store(Arc::new(catalog));
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)
    }

    fn resolve(&self, name: &str, version: Option<u64>) -> Result<u64, checkpoint::Error> {
        let catalog = self.catalog.load();
        let versions = catalog.models.get(name).ok_or_else(|| checkpoint::Error::UnknownModel {
            name: name.into(),
            known: catalog.models.keys().cloned().collect(),
        })?;
        let known = || versions.keys().copied().collect();
        let wanted = version.or_else(|| active(versions)).filter(|version| versions.contains_key(version));
        let unknown = || checkpoint::Error::UnknownVersion { name: name.into(), version: version.unwrap_or(1), known: known() };
        wanted.ok_or_else(unknown)
    }

    /// The model, if it is in memory and still what its name and version mean.
    fn loaded(&self, name: &str, version: u64) -> Option<Arc<Served>> {
        let catalog = self.catalog.load();
        let stamp = catalog.known(name, version)?.stamp;
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let at = loaded.iter().position(|(of, served)| *of == stamp && served.version == version && served.name == name)?;
        let entry = loaded.remove(at);
        let served = Arc::clone(&entry.1);
        loaded.push(entry);
        Some(served)
    }

    /// Brings the model into memory; none where its file has gone since the last look.
    fn load(&self, name: &str, version: u64) -> Result<Option<Arc<Served>>, Error> {
        let catalog = self.catalog.load();
        let Some(known) = catalog.known(name, version) else { return Ok(None) };
        let model = match known.source.load() {
            Ok(model) => model,
            Err(fault) => {
                self.catalog.rcu(|catalog| catalog.without(name, version));
                if known.source.is_gone() {
                    return Ok(None);
                }
                tracing::error!(model = name, version, error = %fault, "the model is left out: it cannot be loaded");
                return Err(Error::Broken { name: name.into(), version });
            }
        };
        // Two requests may have loaded it at the same time: the first one's stays, or batches would not join.
        if let Some(earlier) = self.loaded(name, version) {
            return Ok(Some(earlier));
        }
        let served = Arc::new(Served { name: name.into(), version, model });
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|(_, other)| other.version != version || other.name != name);
        if loaded.len() == LOADED {
            loaded.remove(0);
        }
        loaded.push((known.stamp, Arc::clone(&served)));
        Ok(Some(served))
    }
}

/// The highest version. An activated one will take its place here.
fn active<T>(versions: &BTreeMap<u64, T>) -> Option<u64> {
    versions.last_key_value().map(|(&version, _)| version)
}
