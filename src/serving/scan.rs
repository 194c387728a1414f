//! A look at the model folders: what is new is read, what is unchanged is kept, what is no model is left out and named. A model
//! in memory stays until there is a whole file in its place, or none for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::catalog::{FRESH, Fault, Found, GRACE, InMemory, Key, Known, Untold};
use crate::checkpoint::store::{Entry, Source};
use crate::checkpoint::{Error, Store};

/// Looks at every folder of `store`. Blocks.
pub(super) fn scan(store: &Store, before: &Found, in_memory: &InMemory<'_>) -> Found {
    let mut look = Look { before, in_memory, now: Found::nothing() };
    let listing = store.list();
    listing.faults.iter().for_each(|fault| look.untold(fault));
    for entry in listing.models {
        // One that cannot be told leaves the highest.
        match entry.preferred() {
            Ok(preferred) => look.now.preferred.extend(preferred.map(|preferred| (entry.name.clone(), preferred))),
            Err(fault) => look.untold(&fault),
        }
        let Entry { name, versions } = entry;
        let shared: Arc<str> = name.as_str().into();
        let known = versions
            .into_iter()
            .filter_map(|(version, source)| Some((version, look.version(Key { name: Arc::clone(&shared), version }, source)?)));
        let known: BTreeMap<u64, Arc<Known>> = known.collect();
        if !known.is_empty() {
            look.now.models.insert(name, known);
        }
    }
    look.departed();
    look.now
}

struct Look<'a> {
    before: &'a Found,
    in_memory: &'a InMemory<'a>,
    now: Found,
}

impl Look<'_> {
    fn untold(&mut self, fault: &Error) {
        let sentence = fault.to_string();
        if !self.before.faults.contains_key(&sentence) {
            tracing::warn!(error = sentence, "a model is left out");
        }
        let name = if let Error::TwoPlaces { name, .. } = fault { Some(name.clone()) } else { None };
        self.now.faults.insert(sentence, Untold { name, reason: fault.without_place() });
    }

    /// What is known of a version from now on, if it is a model.
    fn version(&mut self, key: Key, source: Source) -> Option<Arc<Known>> {
        let stamp = source.stamp();
        if self.before.doubted.get(&key) == Some(&stamp) {
            self.now.doubted.insert(key.clone(), stamp);
        }
        let fault = self.before.broken.get(&key).filter(|fault| fault.stamp == stamp);
        if let Some(fault) = fault.filter(|fault| fault.certain || fault.since.elapsed() < FRESH) {
            self.now.broken.insert(key.clone(), fault.clone());
            return (self.in_memory)(&key);
        }
        if let Some(known) = self.before.known(&key.name, key.version).filter(|known| known.stamp == stamp) {
            return Some(Arc::clone(known));
        }
        let standing = (self.in_memory)(&key);
        match source.describe() {
            // A copy that is being written in its place may have the right length and header and be half the old numbers. Where no
            // digest will tell, two looks must have seen the same file.
            Ok(told) if standing.is_some() && !told.digest && self.before.settling.get(&key) != Some(&stamp) => {
                self.now.settling.insert(key, stamp);
                standing
            }
            Ok(told) => {
                // One that was loaded in vain is tried again, and named until that is done.
                if let Some(fault) = fault.filter(|_| self.now.doubted.contains_key(&key)) {
                    self.now.broken.insert(key.clone(), fault.clone());
                }
                tracing::debug!(model = &*key.name, key.version, "a model is there");
                Some(Arc::new(Known { key, source, metadata: Arc::new(told.metadata), stamp }))
            }
            Err(e) => {
                let (since, certain) = fault.map_or((Instant::now(), false), |fault| (fault.since, true));
                // While it changes it is being written, which is not worth a line.
                if certain {
                    let instead = if standing.is_some() { "the model in memory serves on" } else { "it is left out" };
                    tracing::warn!(model = &*key.name, key.version, error = %e, instead, "a file is no model");
                }
                self.now.broken.insert(key, Fault { stamp, reason: e.without_place(), since, certain });
                standing
            }
        }
    }

    /// Models in memory that were there before and have not been found now: they stay while their file may be on its way, while
    /// nothing can be told of their name, and until what hides them is in memory.
    fn departed(&mut self) {
        let before = self.before;
        for (name, versions) in &before.models {
            let found = self.now.models.get(name);
            let not_found = versions.values().filter(|known| found.is_none_or(|found| !found.contains_key(&known.key.version)));
            let in_memory = |known: &Arc<Known>| (self.in_memory)(&known.key);
            let replaced = found.is_some_and(|found| found.values().any(|known| in_memory(known).is_some()));
            let provided = found.is_some();
            for standing in not_found.filter_map(in_memory).collect::<Vec<_>>() {
                let key = standing.key.clone();
                if standing.source.is_gone() {
                    let since = before.missing.get(&key).copied().unwrap_or(self.now.looked);
                    if since.elapsed() >= GRACE {
                        continue;
                    }
                    self.now.missing.insert(key.clone(), since);
                } else if provided {
                    if replaced {
                        continue;
                    }
                    self.now.leaving.insert(key.clone());
                }
                self.now.models.entry(name.clone()).or_default().insert(key.version, standing);
            }
        }
    }
}
