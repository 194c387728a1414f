//! What happens without being asked: the folders are looked at, and what is new of a model that answers is brought into memory,
//! warmed and has its canary answered before it takes the place of what was there. No request waits for any of it.

use std::sync::Arc;
use std::time::Instant;

use super::catalog::Known;
use super::models::{Error, Models};

impl Models {
    /// Looks at the folders now, and returns once what is new of models in memory, and the default model, answers or was left out.
    pub async fn refresh(self: &Arc<Self>) -> Result<(), Error> {
        self.look_since(Instant::now()).await?;
        // One after the other: who is answered meanwhile needs the processor too.
        for known in self.overdue() {
            if let Ok(served) = self.fly(&known).land().await.ok_or(Error::Stopped)? {
                self.exchange(&served);
            }
        }
        Ok(())
    }

    /// What should be in memory and is not, or is another file's by now.
    fn overdue(&self) -> Vec<Arc<Known>> {
        let found = self.catalog.found();
        let current = |known: &Known| self.cache.peek(&known.key).filter(|served| served.known.stamp == known.stamp);
        let mut overdue: Vec<Arc<Known>> = Vec::new();
        for name in found.models.keys() {
            let Some(wanted) = self.active.wanted(&found, name) else { continue };
            if let Some(served) = current(&wanted) {
                // Asked for by number until now, or brought here by a request that did not wait.
                if self.active.answering(&found, name).is_some() {
                    self.exchange(&served);
                }
                continue;
            }
            // One that made room for others is brought back by whoever asks for it.
            let needed = match self.active.answering(&found, name) {
                Some(answering) => self.cache.peek(&answering.key).is_some(),
                None => name == self.default_name(),
            };
            if needed {
                overdue.push(wanted);
            }
        }
        for loaded in self.cache.all() {
            let now = found.known(&loaded.key.name, loaded.key.version).filter(|now| now.stamp != loaded.stamp);
            if let Some(now) = now.filter(|now| overdue.iter().all(|other| other.key != now.key)) {
                overdue.push(Arc::clone(now));
            }
        }
        overdue
    }
}
