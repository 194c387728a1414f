//! Models in memory: as many as fit a number of bytes, the one asked for longest ago making room, and each brought there once
//! however many ask for it at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use tokio::sync::watch;

use super::catalog::{Key, Known};
use super::served::Served;

/// Why a model was not brought into memory. The reason was logged there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Its file is not there any more.
    Gone,
    /// It is no model, or its canary failed.
    Broken,
}

type Outcome = Result<Arc<Served>, Failure>;

/// A model on its way into memory. Whoever hangs up while waiting for it does not end it.
#[derive(Debug, Clone)]
pub(super) struct Flight(watch::Receiver<Option<Outcome>>);

/// Models in memory, and those on their way there.
#[derive(Debug)]
pub(super) struct Cache {
    bytes: u64,
    kept: Mutex<LruCache<Key, Kept>>,
    flights: Mutex<HashMap<Key, Flight>>,
}

/// A model in memory.
#[derive(Debug)]
struct Kept {
    served: Arc<Served>,
    /// Somebody has asked for this version in particular, and may again.
    by_number: bool,
}

impl Cache {
    /// For models of `bytes` together. A single one that is larger is kept all the same, alone.
    pub(super) fn new(bytes: u64) -> Self {
        Self { bytes, kept: Mutex::new(LruCache::unbounded()), flights: Mutex::default() }
    }

    /// That version as it is in memory, its file may have changed since; it was asked for now, perhaps `by_number`.
    pub(super) fn get(&self, key: &Key, by_number: bool) -> Option<Arc<Served>> {
        let mut kept = lock(&self.kept);
        let found = kept.get_mut(key)?;
        found.by_number |= by_number;
        Some(Arc::clone(&found.served))
    }

    /// The same, without asking for it.
    pub(super) fn peek(&self, key: &Key) -> Option<Arc<Served>> {
        lock(&self.kept).peek(key).map(|found| Arc::clone(&found.served))
    }

    /// Every version in memory, and what it was read from.
    pub(super) fn all(&self) -> Vec<Arc<Known>> {
        lock(&self.kept).iter().map(|(_, kept)| Arc::clone(&kept.served.known)).collect()
    }

    /// Forgets a version that does not answer any more, unless it was asked for by number. What is given back takes a moment to drop.
    pub(super) fn release(&self, key: &Key) -> Option<Arc<Served>> {
        let mut kept = lock(&self.kept);
        let over = if kept.peek(key).is_some_and(|found| !found.by_number) { kept.pop(key) } else { None };
        over.map(|over| over.served)
    }

    /// What each model in memory takes there, in bytes.
    pub(super) fn sizes(&self) -> Vec<(Key, u64)> {
        lock(&self.kept).iter().map(|(key, kept)| (key.clone(), kept.served.bytes())).collect()
    }

    /// Forgets the models that are not `wanted`. Requests that have one keep it to their end.
    pub(super) fn retain(&self, wanted: impl Fn(&Key) -> bool) {
        let mut kept = lock(&self.kept);
        let over: Vec<Key> = kept.iter().map(|(key, _)| key).filter(|key| !wanted(key)).cloned().collect();
        let over: Vec<_> = over.iter().filter_map(|key| kept.pop(key)).collect();
        drop(kept);
        // Memory is given back where nobody waits for it.
        drop(over);
    }

    /// Brings a model into memory by `work`, which blocks and runs on a thread of its own; or joins whoever is at it already.
    pub(super) fn fly(self: &Arc<Self>, key: &Key, work: impl FnOnce() -> Outcome + Send + 'static) -> Flight {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(key) {
            return flight.clone();
        }
        let (tell, told) = watch::channel(None);
        let flight = Flight(told);
        flights.insert(key.clone(), flight.clone());
        let (this, key) = (Arc::clone(self), key.clone());
        tokio::task::spawn_blocking(move || {
            let outcome = work();
            if let Ok(served) = &outcome {
                this.keep(&key, served);
            }
            // Kept before it is forgotten here: who comes between finds one or the other.
            lock(&this.flights).remove(&key);
            tell.send_replace(Some(outcome));
        });
        flight
    }

    fn keep(&self, key: &Key, served: &Arc<Served>) {
        let mut kept = lock(&self.kept);
        let by_number = kept.peek(key).is_some_and(|found| found.by_number);
        let mut over: Vec<_> = kept.put(key.clone(), Kept { served: Arc::clone(served), by_number }).into_iter().collect();
        let mut bytes: u64 = kept.iter().map(|(_, kept)| kept.served.bytes()).sum();
        while bytes > self.bytes && kept.len() > 1 {
            let Some((_, oldest)) = kept.pop_lru() else { break };
            bytes -= oldest.served.bytes();
            over.push(oldest);
        }
        drop(kept);
        drop(over);
    }
}

impl Flight {
    /// What became of it; none where the program ends.
    pub(super) async fn land(mut self) -> Option<Outcome> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps of whole entries: a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
