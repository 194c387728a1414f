//! A look at the model folders: what is new is read, what is unchanged is kept, what is broken is logged once and left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::checkpoint::Store;
use crate::checkpoint::store::Source;
use crate::network::Metadata;

/// What tells a file from the one that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    Embedded,
    File { length: u64, modified: SystemTime },
    Unreadable,
}

/// One version of one model.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) source: Source,
    pub(super) metadata: Arc<Metadata>,
    pub(super) stamp: Stamp,
}

/// Everything that was found at one moment.
#[derive(Debug, Clone)]
pub(super) struct Catalog {
    /// When the look began: what was written later may be missing.
    pub(super) looked: Instant,
    pub(super) models: BTreeMap<String, BTreeMap<u64, Known>>,
    broken: BTreeMap<(String, u64), Stamp>,
    faults: BTreeSet<String>,
}

impl Catalog {
    /// Nothing found, as of now.
    pub(super) fn empty() -> Self {
        Self { looked: Instant::now(), models: BTreeMap::new(), broken: BTreeMap::new(), faults: BTreeSet::new() }
    }

    /// That version of that model.
    pub(super) fn known(&self, name: &str, version: u64) -> Option<&Known> {
        self.models.get(name)?.get(&version)
    }

    /// The same, with one version known to be broken.
    pub(super) fn without(&self, name: &str, version: u64) -> Self {
        let mut catalog = self.clone();
        if let Some(known) = catalog.models.get_mut(name).and_then(|versions| versions.remove(&version)) {
            catalog.broken.insert((name.to_owned(), version), known.stamp);
        }
        catalog.models.retain(|_, versions| !versions.is_empty());
        catalog
    }
}

/// Looks at every folder of `store`. Blocks.
pub(super) fn scan(store: &Store, before: &Catalog) -> Catalog {
    let mut catalog = Catalog::empty();
    let listing = store.list();
    for fault in listing.faults.iter().map(ToString::to_string) {
        if !before.faults.contains(&fault) {
            tracing::warn!(error = fault, "a model is left out");
        }
        catalog.faults.insert(fault);
    }
    for entry in listing.models {
        let mut versions = BTreeMap::new();
        for (version, source) in entry.versions {
            let stamp = stamp(&source);
            let key = (entry.name.clone(), version);
            if before.broken.get(&key) == Some(&stamp) {
                catalog.broken.insert(key, stamp);
            } else if let Some(known) = before.known(&entry.name, version).filter(|known| known.stamp == stamp) {
                versions.insert(version, known.clone());
            } else {
                match source.describe() {
                    Ok(metadata) => {
                        tracing::debug!(model = entry.name, version, "a model is there");
                        versions.insert(version, Known { source, metadata: Arc::new(metadata), stamp });
                    }
                    Err(e) => {
                        tracing::warn!(model = entry.name, version, error = %e, "a model is left out");
                        catalog.broken.insert(key, stamp);
                    }
                }
            }
        }
        if !versions.is_empty() {
            catalog.models.insert(entry.name, versions);
        }
    }
    catalog
}

fn stamp(source: &Source) -> Stamp {
    let Source::File(path) = source else { return Stamp::Embedded };
    let looked = std::fs::metadata(path).and_then(|found| Ok((found.len(), found.modified()?)));
    looked.map_or(Stamp::Unreadable, |(length, modified)| Stamp::File { length, modified })
}
