//! What is known of sets in memory: those that are coming, and what was seen of those that are there.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use crate::dataset;
use crate::dataset::survey::{Survey, survey};

/// Whoever follows a set that is coming is told no more often, but of every stage.
const EVERY: Duration = Duration::from_millis(500);

/// All of it.
#[derive(Debug, Default)]
pub struct Desk {
    coming: Arc<Mutex<BTreeMap<String, Stand>>>,
    /// When the folder was made, and what is in it.
    seen: Mutex<HashMap<PathBuf, (SystemTime, Survey)>>,
}

/// How far a set that is coming is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stand {
    /// What is done with it now.
    pub stage: Stage,
    /// Bytes that have come.
    pub received_bytes: u64,
    /// Bytes that will come, where the sender said so.
    pub total_bytes: Option<u64>,
    /// Bytes that were unpacked.
    pub unpacked_bytes: u64,
}

/// What is done with a set that is coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being sent.
    Receiving,
    /// Out of its archive.
    Unpacking,
    /// Its classes and images are counted.
    Looking,
}

/// A set that is coming, until this is dropped.
#[derive(Debug)]
pub struct Ticket {
    coming: Arc<Mutex<BTreeMap<String, Stand>>>,
    name: String,
    follower: Mutex<Follower>,
}

/// Who is told how far it is, if anybody.
#[derive(Debug, Default)]
struct Follower {
    lines: Option<UnboundedSender<Stand>>,
    /// When that was done last, and of which stage.
    last: Option<(Instant, Stage)>,
}

impl Desk {
    /// Notes that the set called `name` is coming; none where another one of this name is.
    pub fn begin(&self, name: &str, total_bytes: Option<u64>) -> Option<Ticket> {
        let mut coming = locked(&self.coming);
        if coming.contains_key(name) {
            return None;
        }
        let stand = Stand { stage: Stage::Receiving, received_bytes: 0, total_bytes, unpacked_bytes: 0 };
        coming.insert(name.into(), stand);
        Some(Ticket { coming: Arc::clone(&self.coming), name: name.into(), follower: Mutex::default() })
    }

    /// Names of those that are coming.
    pub fn coming(&self) -> Vec<String> {
        locked(&self.coming).keys().cloned().collect()
    }

    /// How far the one called `name` is, if it is coming.
    pub fn stand(&self, name: &str) -> Option<Stand> {
        locked(&self.coming).get(name).copied()
    }

    /// What is in the set at `place`; looked at once.
    pub fn survey(&self, place: &Path) -> Result<Survey, dataset::Error> {
        let made = place.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        if let Some((known, survey)) = locked(&self.seen).get(place)
            && *known == made
        {
            return Ok(survey.clone());
        }
        let seen = survey(place, &mut || ControlFlow::Continue(()))?;
        locked(&self.seen).insert(place.into(), (made, seen.clone()));
        Ok(seen)
    }
}

impl Ticket {
    /// Tells `lines` from here on how far it is.
    pub fn followed_by(&self, lines: UnboundedSender<Stand>) {
        *locked(&self.follower) = Follower { lines: Some(lines), last: None };
    }

    /// Changes what is known of it.
    pub fn note(&self, change: impl FnOnce(&mut Stand)) {
        let now = locked(&self.coming).get_mut(&self.name).map(|stand| {
            change(stand);
            *stand
        });
        if let Some(stand) = now {
            locked(&self.follower).see(stand);
        }
    }
}

impl Follower {
    fn see(&mut self, stand: Stand) {
        let Some(lines) = &self.lines else { return };
        let due = self.last.is_none_or(|(told, stage)| stage != stand.stage || told.elapsed() >= EVERY);
        if due {
            self.last = Some((Instant::now(), stand.stage));
            // Nobody listens any more where this fails.
            let _ = lines.send(stand);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        locked(&self.coming).remove(&self.name);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is a single assignment: nothing is left half changed by a panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
