//! What people call runs, and what of them is kept: the supervisor says what can be spared, and others remove it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{JobState, Supervisor, blocking};
use crate::training::error::Error;
use crate::training::job::Job;
use crate::training::queue::Refusal;
use crate::training::{name, retention, state};

impl Supervisor {
    /// Calls the run called `id` by `name` as well, or by no name.
    pub async fn rename(&self, id: &str, name: Option<&str>) -> Result<Job, Error> {
        let name = name.map(name::checked).transpose()?.flatten();
        let id = id.to_owned();
        let rename = move |shared: &Arc<super::Shared>, shelf: &mut super::Shelf| {
            shared.runs().queue.state(&id).ok_or(Refusal::Unknown).map_err(|refusal| Error::refused(&id, refusal))?;
            shelf.rename(&id, name.as_deref())?;
            shared.runs().entry_mut(&id)?.name = name;
            shared.told(&id)
        };
        self.shared.change(rename).await
    }

    /// The models of runs that have more epochs than about `most`, and which of these to keep. Whatever is newer than the newest of
    /// them was not known here.
    pub async fn kept_epochs(&self, most: u32) -> Vec<(String, BTreeSet<u64>)> {
        let shared = Arc::clone(&self.shared);
        let look = move || {
            let long: Vec<_> = {
                let runs = shared.runs();
                let over = |id: &str| runs.job(id).filter(|job| job.epoch > most).map(|job| job.epoch);
                let long = runs.queue.ids().filter_map(|id| Some((id.to_owned(), over(id)?)));
                long.filter_map(|(id, epoch)| {
                    runs.entries.get(&id).map(|entry| (id, epoch, entry.folder.clone(), entry.kept.clone()))
                })
                .collect()
            };
            let mut all = Vec::new();
            for (id, epoch, folder, before) in long {
                let kept = match before {
                    Some((then, kept)) if then == epoch => kept,
                    // A state that cannot be read spares nothing; going on with the run will say what is wrong.
                    _ => match state::records(&folder.state()) {
                        Ok(records) => retention::kept(&records, most),
                        Err(_) => BTreeSet::new(),
                    },
                };
                if let Ok(entry) = shared.runs().entry_mut(&id) {
                    entry.kept = Some((epoch, kept.clone()));
                }
                if !kept.is_empty() {
                    all.push((folder.model(), kept));
                }
            }
            Ok(all)
        };
        blocking(look).await.unwrap_or_default()
    }

    /// The runs that are over for good beyond the newest `most`, the oldest first; one that was interrupted is to go on.
    pub fn beyond(&self, most: Option<usize>) -> Vec<String> {
        let Some(most) = most else { return Vec::new() };
        let over = |job: &Job| matches!(job.state, JobState::Done | JobState::Failed | JobState::Cancelled);
        let mut over: Vec<String> = self.jobs().into_iter().filter(over).map(|job| job.id).collect();
        over.truncate(over.len().saturating_sub(most));
        over
    }
}
