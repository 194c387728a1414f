//! Which version of a model answers where none is asked for: the highest there is, from the moment that it is in memory and its
//! own canary has been answered. Until then, the one that answered before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::catalog::{Found, Known};

/// The version of each model that answers.
#[derive(Debug, Default)]
pub(super) struct Active {
    answering: Mutex<BTreeMap<String, u64>>,
}

impl Active {
    /// The version that is to answer: the highest. An activated one will take its place here.
    pub(super) fn wanted(versions: &BTreeMap<u64, Arc<Known>>) -> Option<&Arc<Known>> {
        versions.last_key_value().map(|(_, known)| known)
    }

    /// The version that has answered so far, if it is still there.
    pub(super) fn answering<'a>(&self, found: &'a Found, name: &str) -> Option<&'a Arc<Known>> {
        let version = *self.lock().get(name)?;
        found.known(name, version)
    }

    /// From now on `version` answers for `name`. Only for what is in memory and has answered its canary.
    pub(super) fn exchange(&self, name: &str, version: u64) {
        let mut answering = self.lock();
        match answering.get_mut(name) {
            Some(now) if *now == version => {}
            Some(now) => {
                tracing::info!(model = name, from = *now, to = version, "another version answers");
                *now = version;
            }
            None => drop(answering.insert(name.to_owned(), version)),
        }
    }

    /// Forgets models that are not there any more.
    pub(super) fn retain(&self, found: &Found) {
        self.lock().retain(|name, version| found.known(name, *version).is_some());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        // Every change is one assignment: a panic elsewhere leaves nothing half done.
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
