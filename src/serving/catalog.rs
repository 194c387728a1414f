//! Which models there are, by name and version: what was found in the folders, behind one swap, so that readers never wait.
//!
//! The folders are looked at again and again by whoever keeps house, and at once when a name or version is asked for that is not
//! known. Notifications are not asked for: they do not come from network file systems.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::OwnedMutexGuard;

use super::scan::scan;
use crate::checkpoint::store::Source;
use crate::checkpoint::{Preferred, Store};
use crate::network::Metadata;

/// How long a look at the folders counts as new, and how long a file must stay as it is to be called no model for good.
pub const FRESH: Duration = Duration::from_millis(500);
/// How long a model in memory outlives its file, which may be on its way: not everybody replaces a file by renaming another.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// A version of a model, whatever its file holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) name: Arc<str>,
    pub(super) version: u64,
}

/// What tells a file from the one that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stamp {
    Embedded,
    /// A file in another's place has another number, and one that was written to another time of change: unlike its length
    /// and the time of modification, nobody can set them.
    File {
        length: u64,
        modified: (i64, i64),
        changed: (i64, i64),
        number: (u64, u64),
    },
    Unreadable,
}

/// One version of one model.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) key: Key,
    pub(super) source: Source,
    pub(super) metadata: Arc<Metadata>,
    pub(super) stamp: Stamp,
}

/// Everything that was found at one moment.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// When the look began: what was written later may be missing.
    pub(super) looked: Instant,
    pub(super) models: BTreeMap<String, BTreeMap<u64, Arc<Known>>>,
    /// Versions that are there and that their models' writers would have answer.
    pub(super) preferred: BTreeMap<String, Preferred>,
    /// Files that are no models.
    pub(super) broken: BTreeMap<Key, Fault>,
    /// Files in the place of one that is in memory, which may still be written to.
    pub(super) settling: BTreeMap<Key, Stamp>,
    /// Files that could not be brought into memory once, and may when they are read again.
    pub(super) doubted: BTreeMap<Key, Stamp>,
    /// Models in memory whose file has not been there since.
    pub(super) missing: BTreeMap<Key, Instant>,
    /// Models in memory that another folder's of the same name hide, once one of those is in memory.
    pub(super) leaving: BTreeSet<Key>,
    /// Names that cannot be told, and folders: sentences for the log and for everybody.
    pub(super) faults: BTreeMap<String, Untold>,
}

/// A file that is no model, or cannot answer.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// The file, as it was then.
    pub(super) stamp: Stamp,
    /// What is wrong with it, without its place.
    pub(super) reason: String,
    pub(super) since: Instant,
    /// It was found so twice: only another file will be looked at.
    pub(super) certain: bool,
}

/// What is there and cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Untold {
    /// The model, where it is one.
    pub(super) name: Option<String>,
    /// What is wrong, without its place.
    pub(super) reason: String,
}

/// Says of a version what was known of it when it was brought into memory, if it is there.
pub(super) type InMemory<'a> = dyn Fn(&Key) -> Option<Arc<Known>> + 'a;

/// The folders, and what was last found in them.
#[derive(Debug)]
pub(super) struct Catalog {
    store: Store,
    found: ArcSwap<Found>,
    /// Held by whoever looks at the folders.
    looking: Arc<tokio::sync::Mutex<()>>,
}

impl Source {
    pub(super) fn stamp(&self) -> Stamp {
        match self {
            Self::File(path) => Stamp::of(path),
            Self::Embedded(_) => Stamp::Embedded,
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Self {
        std::fs::metadata(path).map_or(Self::Unreadable, |found| Self::from(&found))
    }
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(found: &std::fs::Metadata) -> Self {
        Self::File {
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
            number: (found.dev(), found.ino()),
        }
    }
}

impl Found {
    /// Nothing, as of now.
    pub(super) fn nothing() -> Self {
        Self {
            looked: Instant::now(),
            models: BTreeMap::new(),
            preferred: BTreeMap::new(),
            broken: BTreeMap::new(),
            settling: BTreeMap::new(),
            doubted: BTreeMap::new(),
            missing: BTreeMap::new(),
            leaving: BTreeSet::new(),
            faults: BTreeMap::new(),
        }
    }

    /// That version of that model.
    pub(super) fn known(&self, name: &str, version: u64) -> Option<&Arc<Known>> {
        self.models.get(name)?.get(&version)
    }

    /// Whether the file that `known` tells of could not be brought into memory once.
    pub(super) fn doubts(&self, known: &Known) -> bool {
        self.doubted.get(&known.key) == Some(&known.stamp)
    }

    /// The same, with the file that `known` was read from known to be no model, for `reason`; `instead` stands in its place.
    fn without(&self, known: &Known, reason: &str, instead: Option<Arc<Known>>) -> Self {
        let mut found = self.clone();
        let (name, version) = (&*known.key.name, known.key.version);
        if found.known(name, version).is_some_and(|now| now.stamp == known.stamp) {
            let certain = found.doubted.insert(known.key.clone(), known.stamp) == Some(known.stamp);
            let fault = Fault { stamp: known.stamp, reason: reason.into(), since: Instant::now(), certain };
            found.broken.insert(known.key.clone(), fault);
            let versions = found.models.entry(name.to_owned()).or_default();
            match instead {
                Some(other) => versions.insert(version, other),
                None => versions.remove(&version),
            };
            found.models.retain(|_, versions| !versions.is_empty());
        }
        found
    }
}

impl Catalog {
    /// Looks at every folder of `store` once. Blocks. A model that cannot be read is logged and left out.
    pub(super) fn open(store: Store) -> Self {
        let found = ArcSwap::from_pointee(scan(&store, &Found::nothing(), &|_| None));
        Self { store, found, looking: Arc::default() }
    }

    /// What the last look found.
    pub(super) fn found(&self) -> Arc<Found> {
        self.found.load_full()
    }

    /// The turn to look at the folders, if that has not been done for a while; where somebody is at it, what is known does
    /// meanwhile.
    pub(super) fn turn_if_stale(&self) -> Option<OwnedMutexGuard<()>> {
        let stale = self.found.load().looked.elapsed() >= FRESH;
        stale.then(|| Arc::clone(&self.looking).try_lock_owned().ok()).flatten()
    }

    /// The turn to look at the folders, unless they have been looked at since `moment`.
    pub(super) async fn turn_since(&self, moment: Instant) -> Option<OwnedMutexGuard<()>> {
        let turn = Arc::clone(&self.looking).lock_owned().await;
        (self.found.load().looked < moment).then_some(turn)
    }

    /// Looks at the folders. A version whose file is no model now, or may still be written to, stays what it is in memory.
    /// Blocks.
    pub(super) fn look(&self, in_memory: &InMemory<'_>) -> Arc<Found> {
        let found = Arc::new(scan(&self.store, &self.found.load(), in_memory));
        self.found.store(Arc::clone(&found));
        found
    }

    /// Leaves a file out for `reason`: until it is read once more, and then until it is another one. `instead` stands in its place.
    pub(super) fn leave_out(&self, known: &Known, reason: &str, instead: Option<&Arc<Known>>) {
        self.found.rcu(|found| found.without(known, reason, instead.cloned()));
    }

    /// Where models lie.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }
}
