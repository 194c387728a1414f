//! What is noted of a request while it is answered, on whatever task: its id, its model, and how long its images took.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;

tokio::task_local! {
    /// Of the request at hand.
    static NOTES: Arc<Notes>;
}

/// One request's.
#[derive(Debug)]
pub struct Notes {
    /// What it is called, here and by its caller.
    pub id: HeaderValue,
    noted: Mutex<Noted>,
}

/// What its handler found out.
#[derive(Debug, Default)]
pub struct Noted {
    /// Name and version of the model that answers.
    pub model: Option<(String, u64)>,
    /// The images that were evaluated for it.
    pub images: Vec<Stages>,
}

/// What one image took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stages {
    /// From the encoded bytes to pixels, waiting for memory included.
    pub decode: Duration,
    /// From then to the start of its batch.
    pub queue: Duration,
    /// Its batch.
    pub inference: Duration,
    /// Images in that batch.
    pub batch: usize,
}

impl Notes {
    /// Nothing yet, of the request called `id`.
    pub fn new(id: HeaderValue) -> Arc<Self> {
        Arc::new(Self { id, noted: Mutex::default() })
    }

    /// Does `work` as a part of this request.
    pub fn scope<F: Future>(self: &Arc<Self>, work: F) -> impl Future<Output = F::Output> + use<F> {
        NOTES.scope(Arc::clone(self), work)
    }

    /// The same, of work that waits for nothing.
    pub fn within<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        NOTES.sync_scope(Arc::clone(self), work)
    }

    /// Looks at what is noted, or adds to it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Noted) -> T) -> T {
        look(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Outside a request, as at the start, there is nothing to note anything of.
fn note(look: impl FnOnce(&mut Noted)) {
    let _ = NOTES.try_with(|notes| notes.with(look));
}

/// The request at hand is answered by this model.
pub fn note_model(name: &str, version: u64) {
    note(|noted| noted.model = Some((name.to_owned(), version)));
}

/// An image of the request at hand was evaluated.
pub fn note_image(stages: Stages) {
    note(|noted| noted.images.push(stages));
}

/// The id of the request at hand, if there is one.
pub fn current_id() -> Option<String> {
    let id = NOTES.try_with(|notes| notes.id.to_str().unwrap_or_default().to_owned());
    id.ok().filter(|id| !id.is_empty())
}

/// `work` as a part of the request at hand, for a task of its own: a task knows nothing of the one that started it.
pub fn along<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    let notes = NOTES.try_with(Arc::clone).unwrap_or_else(|_| Notes::new(HeaderValue::from_static("")));
    NOTES.scope(notes, work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_another_task_finds_out_is_noted_of_the_request_it_works_for() {
        let stages = Stages { decode: Duration::from_millis(1), queue: Duration::ZERO, inference: Duration::ZERO, batch: 2 };
        let notes = Notes::new(HeaderValue::from_static("trace-7"));
        let work = async {
            let other = tokio::spawn(along(async move {
                note_model("tutorial", 3);
                note_image(stages);
                current_id()
            }));
            other.await.unwrap()
        };
        assert_eq!(notes.scope(work).await.as_deref(), Some("trace-7"));
        notes.with(|noted| {
            assert_eq!((noted.model.take(), &noted.images[..]), (Some(("tutorial".to_owned(), 3)), &[stages][..]));
        });
        note_model("nobody's", 1);
        assert_eq!(current_id(), None);
    }
}
