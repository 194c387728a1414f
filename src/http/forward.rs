//! An image's way through the server: encoded bytes, pixels at the model's size, a place in a batch, numbers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::task::AbortOnDropHandle;

use super::access::{self, Stages};
use super::deadline::Deadline;
use super::error::Error;
use super::state::App;
use super::upload::{Encoded, Image, Upload};
use crate::network::Probe;
use crate::picture::{Pixels, decode};
use crate::serving::{Reply, Request, Served};

/// What every image of a request is evaluated with.
#[derive(Debug, Clone)]
pub struct Question {
    /// The model.
    pub served: Arc<Served>,
    /// Taps and masks.
    pub probe: Probe,
    /// When nobody waits any more.
    pub deadline: Deadline,
}

/// What became of an image.
#[derive(Debug)]
pub struct Seen {
    /// The model's answer.
    pub reply: Reply,
    /// Time from the encoded bytes to pixels, waiting for memory included.
    pub decode: Duration,
}

/// The images of a request, all of them under way. Dropping it, as on a deadline, gives them up.
#[derive(Debug)]
pub struct Pending {
    tasks: VecDeque<AbortOnDropHandle<Result<Seen, Error>>>,
}

impl Pending {
    /// Sets every image of `upload` on its way.
    pub fn start(app: &Arc<App>, upload: Upload, question: &Question) -> Self {
        let task = |image| {
            let (app, question) = (Arc::clone(app), question.clone());
            AbortOnDropHandle::new(tokio::spawn(access::along(async move { one(&app, image, &question).await })))
        };
        Self { tasks: upload.images.into_iter().map(task).collect() }
    }

    /// What became of the next image, in the order in which they were sent, whichever is ready first.
    pub async fn next(&mut self) -> Option<Result<Seen, Error>> {
        let task = self.tasks.pop_front()?;
        Some(task.await.unwrap_or_else(|e| Err(Error::internal(format!("an image was lost: {e}")))))
    }
}

/// Evaluates one image.
pub async fn one(app: &Arc<App>, image: Image, question: &Question) -> Result<Seen, Error> {
    let started = Instant::now();
    let pixels = decode(app, image.bytes, &question.served).await?;
    let decode = started.elapsed();
    let request = Request {
        served: Arc::clone(&question.served),
        input: pixels.into(),
        probe: question.probe.clone(),
        deadline: Some(question.deadline.0),
        place: Some(image.place),
    };
    let reply = app.engine.evaluate(request).await?;
    access::note_image(Stages { decode, queue: reply.queued, inference: reply.inference, batch: reply.batch });
    Ok(Seen { reply, decode })
}

/// The image as `served` takes it, decoded on a blocking thread once the memory that its header asks for is
/// free.
pub async fn decode(app: &Arc<App>, bytes: Encoded, served: &Arc<Served>) -> Result<Pixels, Error> {
    let limits = decode::Limits { pixels: app.config.limits.pixels, memory: app.config.limits.decode_bytes };
    let (at_hand, model) = (Arc::clone(app), Arc::clone(served));
    // Headers, too, can be made to be slow, so not even they are read between other requests. Mostly there is memory, and
    // one hop to another thread is enough.
    let first = on_thread(move || {
        let memory = decode::cost(&bytes, &model.model.metadata().preprocessing.target(), &limits)?;
        Ok(match at_hand.decoding.try_take(memory) {
            Some(_share) => Step::Done(pixels(&at_hand, &bytes, &model, &limits)?),
            None => Step::Waits { bytes, memory },
        })
    });
    match first.await? {
        Step::Done(pixels) => Ok(pixels),
        Step::Waits { bytes, memory } => {
            let share = app.decoding.take(memory).await.ok_or_else(Error::stopping)?;
            let (app, model) = (Arc::clone(app), Arc::clone(served));
            on_thread(move || {
                // It belongs to the work, not to the caller: who hangs up leaves the work running.
                let _share = share;
                pixels(&app, &bytes, &model, &limits)
            })
            .await
        }
    }
}

/// Decodes on this thread, and says how long it took: whoever is refused is told when to come back.
fn pixels(app: &App, bytes: &[u8], served: &Served, limits: &decode::Limits) -> Result<Pixels, decode::Error> {
    let started = Instant::now();
    let decoded = decode::decode(bytes, &served.model.metadata().preprocessing.target(), limits)?;
    app.engine.decoded(started.elapsed());
    Ok(decoded.pixels)
}

enum Step {
    Done(Pixels),
    Waits { bytes: Encoded, memory: u64 },
}

async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, decode::Error> + Send + 'static) -> Result<T, Error> {
    let outcome = tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(format!("decoding failed: {e}")))?;
    Ok(outcome?)
}
