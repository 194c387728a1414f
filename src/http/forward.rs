//! An image's way through the server: encoded bytes, pixels at the model's size, a place in a batch, numbers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::deadline::Deadline;
use super::error::Error;
use super::state::App;
use super::upload::{Image, Upload};
use crate::network::Probe;
use crate::picture::decode;
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

/// Evaluates every image of `upload`, in order. The first that cannot be evaluated is the request's error.
pub async fn all(app: &Arc<App>, upload: Upload, question: &Question) -> Result<Vec<Seen>, Error> {
    // The bodies' share of the memory is held until the last of them was decoded.
    let (images, _share) = upload.into_parts();
    let count = images.len();
    // Dropping the set, as on a deadline, ends its tasks.
    let mut tasks = JoinSet::new();
    for (i, image) in images.into_iter().enumerate() {
        let (app, question) = (Arc::clone(app), question.clone());
        tasks.spawn(async move {
            let seen = one(&app, image, &question).await;
            (i, seen.map_err(|e| if count > 1 { e.about_image(i + 1) } else { e }))
        });
    }
    let mut seen = Vec::with_capacity(count);
    for outcome in tasks.join_all().await {
        seen.push((outcome.0, outcome.1?));
    }
    seen.sort_by_key(|(i, _)| *i);
    Ok(seen.into_iter().map(|(_, seen)| seen).collect())
}

/// Evaluates one image.
pub async fn one(app: &Arc<App>, image: Image, question: &Question) -> Result<Seen, Error> {
    let started = Instant::now();
    let pixels = decode(app, image.bytes, &question.served).await?;
    let decode = started.elapsed();
    let request = Request {
        served: Arc::clone(&question.served),
        pixels,
        probe: question.probe.clone(),
        deadline: Some(question.deadline.0),
        place: Some(image.place),
    };
    Ok(Seen { reply: app.engine.evaluate(request).await?, decode })
}

/// height × width × 3 at the size `served` takes, decoded on a blocking thread once the memory that its header asks for is
/// free.
pub async fn decode(app: &Arc<App>, bytes: Vec<u8>, served: &Arc<Served>) -> Result<Vec<u8>, Error> {
    let limits = decode::Limits { pixels: app.config.limits.pixels, ..decode::Limits::default() };
    let (at_hand, model) = (Arc::clone(app), Arc::clone(served));
    // Headers, too, can be made to be slow, so not even they are read between other requests. Mostly there is memory, and
    // one hop to another thread is enough.
    let first = on_thread(move || {
        let header = decode::probe(&bytes)?;
        limits.check(&header)?;
        Ok(match at_hand.decoding.try_take(header.memory) {
            Some(_share) => Step::Done(pixels(&at_hand, &bytes, &model, &limits)?),
            None => Step::Waits { bytes, memory: header.memory },
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
fn pixels(app: &App, bytes: &[u8], served: &Served, limits: &decode::Limits) -> Result<Vec<u8>, decode::Error> {
    let started = Instant::now();
    let decoded = decode::decode(bytes, &served.model.metadata().preprocessing, limits)?;
    app.engine.decoded(started.elapsed());
    Ok(decoded.pixels)
}

enum Step {
    Done(Vec<u8>),
    Waits { bytes: Vec<u8>, memory: u64 },
}

async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, decode::Error> + Send + 'static) -> Result<T, Error> {
    let outcome = tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(format!("decoding failed: {e}")))?;
    Ok(outcome?)
}
