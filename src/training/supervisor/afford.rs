//! Whether there is room for a run, before anything of it is begun.

use std::sync::Arc;

use super::{JobState, Shared, blocking};
use crate::dataset::disk;
use crate::network::{LayerShape, infer};
use crate::training::error::Error;
use crate::training::queue::Refusal;
use crate::training::request::Request;
use crate::training::room::{self, Available, Needs};

/// Of the models that a run keeps, those that are not spread over it: its best and its last.
const BESIDE: u64 = 2;

impl Shared {
    /// Refuses a run of the network of these `layers`, `epochs` of which are over, for which there is no room: with what it needs
    /// and what there is.
    pub(super) async fn afford(self: &Arc<Self>, layers: &[LayerShape], request: &Request, epochs: u32) -> Result<(), Error> {
        let (shared, layers, request) = (Arc::clone(self), layers.to_vec(), request.clone());
        blocking(move || shared.check_room(&layers, &request, epochs)).await
    }

    /// The run called `id` and its epochs that are over, where it is over itself.
    pub(super) fn resumable(&self, id: &str) -> Result<Option<(Request, u32)>, Error> {
        let runs = self.runs();
        let state = runs.queue.state(id).ok_or(Refusal::Unknown).map_err(|refusal| Error::refused(id, refusal))?;
        let entry = runs.entry(id)?;
        let over = !state.is_live() && state != JobState::Done;
        Ok(over.then(|| (entry.request.clone(), entry.progress.last.as_ref().map_or(0, |last| last.epoch))))
    }

    fn check_room(&self, layers: &[LayerShape], request: &Request, epochs: u32) -> Result<(), Error> {
        let data = self.settings.data_dir.join(&request.data_path);
        let images = room::images(&data).unwrap_or(request.recipe.batch_size as u64);
        let needs = Needs::of(&request.arch, layers, &request.recipe, images);
        let at_once = self.runs().queue.has_place();
        // One that waits will have what others have now. Memory of a card is not asked for, and what a network is fitted to not yet
        // known: the run itself asks again.
        let on_processor = self.settings.device == "cpu" || !cfg!(feature = "cuda");
        let memory = room::memory().filter(|_| on_processor && !request.fit_data);
        needs.check_memory(memory.map(|there| if at_once { there } else { Available { free: there.all, ..there } }))?;
        let needed = self.to_write(&needs, request, epochs) + self.promised();
        match disk::free(&self.settings.data_dir) {
            Some(free) if free < needed => Err(Error::disk(needed, free)),
            _ => Ok(()),
        }
    }

    fn to_write(&self, needs: &Needs, request: &Request, over: u32) -> u64 {
        let kept = |epochs: u32| u64::from(epochs).min(u64::from(self.settings.keep_epochs) + BESIDE);
        needs.disk(kept(request.recipe.epochs), kept(over))
    }

    /// What the runs that wait or are at work have yet to write.
    fn promised(&self) -> u64 {
        let runs = self.runs();
        let live = runs.queue.ids().filter(|id| runs.queue.state(id).is_some_and(JobState::is_live));
        let left = |id: &str| {
            let entry = runs.entries.get(id)?;
            // It was inferred when it was asked for.
            let layers = infer(&entry.request.arch).ok()?;
            let over = entry.progress.last.as_ref().map_or(0, |last| last.epoch);
            Some(self.to_write(&Needs::of(&entry.request.arch, &layers, &entry.request.recipe, 1), &entry.request, over))
        };
        live.filter_map(left).sum()
    }
}
