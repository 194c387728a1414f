//! What runs tell of themselves to others than their owners: how fast they trained, and what they need.

use std::path::Path;

use super::Supervisor;
use crate::network::Architecture;
use crate::training::queue::JobState;

/// How fast a run trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// The run.
    pub id: String,
    /// Its network.
    pub architecture: Architecture,
    /// Of its last epoch.
    pub images_per_second: f64,
}

impl Supervisor {
    /// Runs that wait or are at work on what lies at `path` or under it; one that has said its last word reads nothing any more.
    pub fn users_of(&self, path: &Path) -> Vec<String> {
        let runs = self.shared.runs();
        let live = |id: &&str| runs.queue.state(id).is_some_and(JobState::is_live);
        let uses = |id: &&str| {
            let data = runs.entries.get(*id).map(|entry| self.shared.settings.data_dir.join(&entry.request.data_path));
            data.is_some_and(|data| data.starts_with(path))
        };
        runs.queue.ids().filter(live).filter(uses).map(str::to_owned).collect()
    }

    /// How fast runs trained here, those that have an epoch and a network that was not fitted, in the order in which they were asked for.
    pub fn rates(&self) -> Vec<Rate> {
        let runs = self.shared.runs();
        let rate = |id: &str| {
            let entry = runs.entries.get(id)?;
            let images_per_second = entry.progress.last.as_ref().filter(|_| !entry.request.fit_data)?.images_per_second;
            Some(Rate { id: id.into(), architecture: entry.request.arch.clone(), images_per_second })
        };
        runs.queue.ids().filter_map(rate).collect()
    }
}
