//! Which version of a model answers where none is asked for: the one that was chosen, else the one that its writer prefers (a run's best
//! epoch on its validation images), else the highest there is, from the moment
//! that it is in memory and its own canary has been answered. Until then, the one that answered before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::catalog::{Found, Key, Known};
use crate::checkpoint;
use crate::checkpoint::activation::{self, Activation, Activations};

/// The version of each model that answers.
#[derive(Debug)]
pub(super) struct Active {
    /// Where choices are kept.
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answering: BTreeMap<String, u64>,
    chosen: Activations,
}

impl Active {
    /// With the choices that are kept in `file`. Blocks. A file that cannot be read is logged, and counts as none.
    pub(super) fn open(file: PathBuf) -> Self {
        let chosen = activation::read(&file).unwrap_or_else(|fault| {
            tracing::error!(%fault, "which versions were activated cannot be told: the highest answer");
            Activations::new()
        });
        Self { file, state: Mutex::new(State { chosen, ..State::default() }) }
    }

    /// The version of `name` that is to answer.
    pub(super) fn wanted(&self, found: &Found, name: &str) -> Option<Arc<Known>> {
        wanted(&self.lock().chosen, found, name).cloned()
    }

    /// The version that has answered so far, if it is still there.
    pub(super) fn answering(&self, found: &Found, name: &str) -> Option<Arc<Known>> {
        let version = *self.lock().answering.get(name)?;
        found.known(name, version).cloned()
    }

    /// What was chosen for `name`.
    pub(super) fn chosen(&self, name: &str) -> Option<Activation> {
        self.lock().chosen.get(name).cloned()
    }

    /// Every choice.
    pub(super) fn choices(&self) -> Activations {
        self.lock().chosen.clone()
    }

    /// Chooses for `name`, or no more. It is on disk when this returns. Blocks; one at a time.
    pub(super) fn choose(&self, name: &str, choice: Option<Activation>) -> Result<(), checkpoint::Error> {
        let mut choices = self.choices();
        match choice {
            Some(choice) => choices.insert(name.into(), choice),
            None => choices.remove(name),
        };
        activation::write(&self.file, &choices)?;
        self.lock().chosen = choices;
        Ok(())
    }

    /// From now on `known` answers for its name, if it is what is to: whoever looked before a choice was made does not undo it. Only
    /// for what is in memory and has answered its canary. Gives the version that answered before, if it was another.
    pub(super) fn exchange(&self, found: &Found, known: &Known) -> Option<Key> {
        let (name, version) = (&*known.key.name, known.key.version);
        let mut state = self.lock();
        if state.answering.get(name) == Some(&version) {
            return None;
        }
        if wanted(&state.chosen, found, name)?.key.version != version {
            return None;
        }
        let before = state.answering.insert(name.to_owned(), version)?;
        drop(state);
        tracing::info!(model = name, from = before, to = version, "another version answers");
        Some(Key { name: Arc::clone(&known.key.name), version: before })
    }

    /// Forgets models that are not there any more. What was chosen stays so: it may come back.
    pub(super) fn retain(&self, found: &Found) {
        self.lock().answering.retain(|name, version| found.known(name, *version).is_some());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted<'a>(chosen: &Activations, found: &'a Found, name: &str) -> Option<&'a Arc<Known>> {
    let versions = found.models.get(name)?;
    let choice = chosen.get(name).and_then(|choice| versions.get(&choice.version));
    let preferred = || found.preferred.get(name).and_then(|preferred| versions.get(&preferred.version));
    let stays = || versions.values().rev().find(|known| !found.leaving.contains(&known.key));
    choice.or_else(preferred).or_else(stays).or_else(|| versions.values().next_back())
}
