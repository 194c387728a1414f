//! A look at the model folders: what is new is read, what is unchanged is kept, what is broken is logged once and left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::{Found, InMemory, Key, Known};
use crate::checkpoint::Store;
use crate::checkpoint::store::{Entry, Source};

/// Looks at every folder of `store`. Blocks.
pub(super) fn scan(store: &Store, before: &Found, in_memory: &InMemory<'_>) -> Found {
    let mut look = Look { before, in_memory, now: Found::nothing() };
    let listing = store.list();
    for fault in listing.faults.iter().map(ToString::to_string) {
        if !before.faults.contains(&fault) {
            tracing::warn!(error = fault, "a model is left out");
        }
        look.now.faults.insert(fault);
    }
    for Entry { name, versions } in listing.models {
        let shared: Arc<str> = name.as_str().into();
        let known = versions
            .into_iter()
            .filter_map(|(version, source)| Some((version, look.version(Key { name: Arc::clone(&shared), version }, source)?)));
        let known: BTreeMap<u64, Arc<Known>> = known.collect();
        if !known.is_empty() {
            look.now.models.insert(name, known);
        }
    }
    look.now
}

struct Look<'a> {
    before: &'a Found,
    in_memory: &'a InMemory<'a>,
    now: Found,
}

impl Look<'_> {
    /// What is known of a version from now on, if it is a model.
    fn version(&mut self, key: Key, source: Source) -> Option<Arc<Known>> {
        let stamp = source.stamp();
        if self.before.broken.get(&key) == Some(&stamp) {
            self.now.broken.insert(key.clone(), stamp);
            return (self.in_memory)(&key);
        }
        if let Some(known) = self.before.known(&key.name, key.version).filter(|known| known.stamp == stamp) {
            return Some(Arc::clone(known));
        }
        // A model that answers is exchanged for a file only once two looks have seen the same one: a copy that is being written
        // in its place may have the right length and header and be half the old numbers.
        if let Some(standing) = (self.in_memory)(&key).filter(|_| self.before.settling.get(&key) != Some(&stamp)) {
            self.now.settling.insert(key, stamp);
            return Some(standing);
        }
        match source.describe() {
            Ok(metadata) => {
                tracing::debug!(model = &*key.name, key.version, "a model is there");
                Some(Arc::new(Known { key, source, metadata: Arc::new(metadata), stamp }))
            }
            Err(e) => {
                let standing = (self.in_memory)(&key);
                let instead = if standing.is_some() { "the model in memory serves on" } else { "it is left out" };
                tracing::warn!(model = &*key.name, key.version, error = %e, instead, "a file is no model");
                self.now.broken.insert(key, stamp);
                standing
            }
        }
    }
}
