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
use crate::network::{Mask, Probe};
use crate::picture::{Pixels, decode};
use crate::serving::{Input, Place, Reply, Request, Served};

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

/// The images of a request. Dropping it, as on a deadline, gives them up.
#[derive(Debug)]
pub struct Pending {
    images: VecDeque<Way>,
}

/// How an image gets its answer.
#[derive(Debug)]
enum Way {
    /// With whoever waits for it: there is no other that could go on meanwhile.
    Here(Arc<App>, Box<(Image, Question)>),
    /// Beside the others.
    Task(AbortOnDropHandle<Result<Seen, Error>>),
}

impl Pending {
    /// Sets every image of `upload` on its way; an only one goes when it is waited for.
    pub fn start(app: &Arc<App>, mut upload: Upload, question: &Question) -> Self {
        let only = if upload.images.len() == 1 { upload.images.pop() } else { None };
        if let Some(image) = only {
            return Self { images: VecDeque::from([Way::Here(Arc::clone(app), Box::new((image, question.clone())))]) };
        }
        let task = |image| {
            let (app, question) = (Arc::clone(app), question.clone());
            let task = access::along(async move { one(&app, image, &question).await });
            Way::Task(AbortOnDropHandle::new(tokio::spawn(task)))
        };
        Self { images: upload.images.into_iter().map(task).collect() }
    }

    /// What became of the next image, in the order in which they were sent, whichever is ready first.
    pub async fn next(&mut self) -> Option<Result<Seen, Error>> {
        Some(match self.images.pop_front()? {
            Way::Here(app, image) => one(&app, image.0, &image.1).await,
            Way::Task(task) => task.await.unwrap_or_else(|e| Err(Error::internal(format!("an image was lost: {e}")))),
        })
    }
}

/// Evaluates one image.
pub async fn one(app: &Arc<App>, image: Image, question: &Question) -> Result<Seen, Error> {
    let (input, place, came) = arrive(app, image, question).await?;
    let request = Request {
        served: Arc::clone(&question.served),
        input,
        probe: question.probe.clone(),
        deadline: Some(question.deadline.0),
        place: Some(place),
    };
    let mut reply = app.engine.evaluate(request).await?;
    reply.queued += came.waited;
    Ok(seen(reply, came.decode))
}

/// Evaluates one image with each of `masks` in turn, beside the question's own: as many at once as a batch may hold, so that others'
/// images get in between. The reply has the probabilities of all of them.
pub async fn each(app: &Arc<App>, image: Image, question: &Question, masks: &[Mask]) -> Result<Seen, Error> {
    let (input, place, came) = arrive(app, image, question).await?;
    let mut all = Reply {
        probabilities: Vec::new(),
        taps: Vec::new(),
        familiarity: None,
        queued: came.waited,
        inference: Duration::ZERO,
        batch: 0,
    };
    for masks in masks.chunks(app.config.limits.batch_images) {
        let request = Request {
            served: Arc::clone(&question.served),
            input: input.clone(),
            probe: Probe { each: masks.to_vec(), ..question.probe.clone() },
            deadline: Some(question.deadline.0),
            place: Some(place.clone()),
        };
        let reply = app.engine.evaluate(request).await?;
        all.probabilities.extend(reply.probabilities);
        all.queued += reply.queued;
        all.inference += reply.inference;
        all.batch = all.batch.max(reply.batch);
    }
    Ok(seen(all, came.decode))
}

/// An answered image, noted.
fn seen(reply: Reply, decode: Duration) -> Seen {
    access::note_image(Stages { decode, queue: reply.queued, inference: reply.inference, batch: reply.batch });
    Seen { reply, decode }
}

/// How an image came to be ready for the model.
struct Came {
    /// For its turn to be decoded.
    waited: Duration,
    decode: Duration,
}

/// From the encoded bytes to what the model takes.
async fn arrive(app: &Arc<App>, image: Image, question: &Question) -> Result<(Input, Place, Came), Error> {
    let admitted = Instant::now();
    app.engine.turn().await;
    let started = Instant::now();
    if started >= question.deadline.0 {
        return Err(Error::timed_out());
    }
    let pixels = decode(app, image.bytes, &question.served).await?;
    Ok((pixels.into(), image.place, Came { waited: started - admitted, decode: started.elapsed() }))
}

/// The image as `served` takes it: decoded here where that is soon done, else where [`super::decoding`] has a thread and the memory
/// that its header asks for.
pub async fn decode(app: &Arc<App>, bytes: Encoded, served: &Arc<Served>) -> Result<Pixels, Error> {
    let limits = decode::Limits { pixels: app.config.limits.pixels, memory: app.config.limits.decode_bytes };
    let started = Instant::now();
    if let Some(outcome) = decode::decode_quickly(&bytes, &served.model.metadata().preprocessing.target(), &limits) {
        let decoded = outcome?;
        app.engine.decoded(started.elapsed());
        return Ok(decoded.pixels);
    }
    let (at_hand, model) = (Arc::clone(app), Arc::clone(served));
    // Headers, too, can be made to be slow, so not even they are read between other requests.
    let glance = app.decoding.glance(move |room| {
        let memory = decode::cost(&bytes, &model.model.metadata().preprocessing.target(), &limits)?;
        Ok::<_, decode::Error>(match room(memory) {
            Some(_room) => Step::Done(pixels(&at_hand, &bytes, &model, &limits)?),
            None => Step::Waits { bytes, memory },
        })
    });
    match glance.await?? {
        Step::Done(pixels) => Ok(pixels),
        Step::Waits { bytes, memory } => {
            let (at_hand, model) = (Arc::clone(app), Arc::clone(served));
            Ok(app.decoding.run(memory, move || pixels(&at_hand, &bytes, &model, &limits)).await??)
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
