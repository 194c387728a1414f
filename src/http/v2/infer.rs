//! `POST /v2/models/{model}[/versions/{version}]/infer`: images as tensors in, probabilities out. All are answered, or the first
//! in order that cannot be is the request's refusal.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use tokio_util::task::AbortOnDropHandle;

use super::super::access::{self, Stages};
use super::super::deadline::Deadline;
use super::super::error::{Code, Error};
use super::super::extract::Path;
use super::super::forward::{self, Question};
use super::super::offload::offload;
use super::super::state::App;
use super::super::upload::{Encoded, Image};
use super::super::whole::Whole;
use super::answer::Answer;
use super::body::Body;
use super::output::Wanted;
use super::outputs;
use super::request::Inference;
use super::tensor::{self, Images};
use crate::network::Probe;
use crate::picture::Dimensions;
use crate::serving::{self, Place, Reply, Request, engine};

/// By the active version.
pub async fn post(
    State(app): State<Arc<App>>,
    Path(model): Path<String>,
    deadline: Deadline,
    body: Body,
) -> Result<Response, Error> {
    infer(&app, (&model, None), deadline, body).await
}

/// By one version.
pub async fn post_to_version(
    State(app): State<Arc<App>>,
    Path((model, Whole(version))): Path<(String, Whole<u64>)>,
    deadline: Deadline,
    body: Body,
) -> Result<Response, Error> {
    infer(&app, (&model, Some(version)), deadline, body).await
}

/// A request that has been read.
struct Order {
    id: Option<String>,
    wanted: Vec<Wanted>,
    images: Images,
}

/// One image of a request, and its place.
enum Start {
    File(Image),
    Input(serving::Input, Place),
}

async fn infer(app: &Arc<App>, model: (&str, Option<u64>), deadline: Deadline, body: Body) -> Result<Response, Error> {
    let served = app.model(Some(model.0), model.1).await?;
    let Body { bytes, json, mut places, made } = body;
    let (dimensions, known) = (served.dimensions(), outputs(&served.model));
    // Numbers are parsed at about the rate at which others are summed up.
    let Order { id, wanted, images } = offload(bytes.len(), move || read(&bytes, json, dimensions, known)).await??;
    let (count, most) = (images.count(), app.config.limits.queue_images);
    if count > most {
        return Err(engine::Error::TooMany { wanted: count, places: most }.into());
    }
    places.extend(app.engine.admit(count - 1)?);
    let question = Question { served, probe: Probe::default(), deadline };
    let starts: Vec<Start> = match images {
        Images::Inputs(inputs) => inputs.into_iter().zip(places).map(|(input, place)| Start::Input(input, place)).collect(),
        Images::Files(files) => {
            let file = |(bytes, place)| Start::File(Image { bytes: Encoded::Made(bytes, Arc::clone(&made)), place });
            files.into_iter().zip(places).map(file).collect()
        }
    };
    let replies = evaluate(app, starts, &question).await?;
    drop(made);
    Answer { served: &question.served, id, replies: &replies }.into_response(&wanted)
}

fn read(bytes: &[u8], json: usize, dimensions: Dimensions, known: &[&'static str]) -> Result<Order, Error> {
    let (json, binary) = bytes.split_at(json);
    if json.is_empty() && !binary.is_empty() {
        // Triton's raw binary request: the tensor alone, and outputs as bytes.
        return Ok(Order { id: None, wanted: Wanted::bytes(known), images: tensor::raw(binary, dimensions)? });
    }
    let unreadable = |e| Error::new(Code::BadRequest, format!("the body is no inference request of version 2: {e}"));
    let mut inference: Inference<'_> = serde_json::from_slice(json).map_err(unreadable)?;
    let wanted = Wanted::of(&inference, known)?;
    let images = tensor::read(&mut inference, binary, dimensions)?;
    Ok(Order { id: inference.id, wanted, images })
}

/// What became of every image, in order. Dropping the future gives them all up.
async fn evaluate(app: &Arc<App>, mut starts: Vec<Start>, question: &Question) -> Result<Vec<Reply>, Error> {
    let only = if starts.len() == 1 { starts.pop() } else { None };
    if let Some(start) = only {
        return Ok(vec![one(app, start, question).await?]);
    }
    let task = |start| {
        let (app, question) = (Arc::clone(app), question.clone());
        AbortOnDropHandle::new(tokio::spawn(access::along(async move { one(&app, start, &question).await })))
    };
    let mut replies = Vec::with_capacity(starts.len());
    // All are under way before the first is waited for.
    let tasks: Vec<_> = starts.into_iter().map(task).collect();
    for (n, task) in tasks.into_iter().enumerate() {
        let outcome = task.await.unwrap_or_else(|e| Err(Error::internal(format!("an image was lost: {e}"))));
        replies.push(outcome.map_err(|e| e.about_image(n + 1))?);
    }
    Ok(replies)
}

async fn one(app: &Arc<App>, start: Start, question: &Question) -> Result<Reply, Error> {
    match start {
        Start::File(image) => Ok(forward::one(app, image, question).await?.reply),
        Start::Input(input, place) => {
            let Question { served, probe, deadline } = question.clone();
            let request = Request { served, input, probe, deadline: Some(deadline.0), place: Some(place) };
            let reply = app.engine.evaluate(request).await?;
            let (queue, inference, batch) = (reply.queued, reply.inference, reply.batch);
            access::note_image(Stages { decode: Duration::ZERO, queue, inference, batch });
            Ok(reply)
        }
    }
}
