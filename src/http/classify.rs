//! `POST /classify`: what an image shows, with a probability for every class.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::deadline::Deadline;
use super::error::{Error, Told};
use super::extract::Query;
use super::forward::{Pending, Question, Seen};
use super::models::named;
use super::state::App;
use super::upload::Upload;
use super::whole::Whole;
use crate::classification::{Answer, Answers, Classification, Timing};
use crate::network::Probe;
use crate::serving::Served;

/// Classes listed by probability where the request does not say how many.
pub(super) const TOP_K: usize = 5;

/// The query of `POST /classify`.
#[derive(Debug, Deserialize)]
pub struct Options {
    model: Option<String>,
    version: Option<Whole<u64>>,
    top_k: Option<Whole<NonZeroU32>>,
    mask: Option<String>,
    /// Of several images, those that can be are answered, and each of the others is refused in its place.
    partial: Option<bool>,
}

/// What became of one of several images.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome<'a> {
    Answer(Answer<'a>),
    Refusal(Told<'a>),
}

/// Classifies the images of the request: one gives its answer, several give `results` in their order. Of several images the
/// first in order that cannot be answered is the request's refusal, unless `partial` is set.
pub async fn post(
    State(app): State<Arc<App>>,
    Query(options): Query<Options>,
    deadline: Deadline,
    upload: Upload,
) -> Result<Response, Error> {
    let top_k = options.top_k.map_or(TOP_K, |Whole(top_k)| top_k.get() as usize);
    let served = app.model(options.model.as_deref(), options.version.map(|Whole(version)| version)).await?;
    let probe = Probe::default().mask(options.mask.as_deref().unwrap_or_default(), &served.model)?;
    let question = Question { served, probe, deadline };
    let (several, partial) = (upload.images.len() > 1, options.partial == Some(true));
    let mut images = Pending::start(&app, upload, &question);
    let mut seen = Vec::new();
    while let Some(outcome) = images.next().await {
        match outcome {
            Err(e) if several && !partial => return Err(e.about_image(seen.len() + 1)),
            Err(e) if !several => return Err(e),
            outcome => seen.push(outcome),
        }
    }
    let outcomes = seen.iter().map(|outcome| match outcome {
        Ok(seen) => Outcome::Answer(answer(seen, &question.served, top_k)),
        Err(e) => Outcome::Refusal(e.told()),
    });
    let outcomes: Vec<Outcome<'_>> = outcomes.collect();
    let mut response = match outcomes.as_slice() {
        [only] => Json(only).into_response(),
        several => Json(Answers { results: several }).into_response(),
    };
    if let Some(cause) = seen.iter().filter_map(|outcome| outcome.as_ref().err()).find_map(Error::cause) {
        response.extensions_mut().insert(cause.clone());
    }
    Ok(response)
}

fn answer<'a>(seen: &'a Seen, served: &'a Served, top_k: usize) -> Answer<'a> {
    Answer {
        model: named(served),
        classification: Classification::new(&served.model.metadata().classes, &seen.reply.probabilities, top_k),
        familiarity: seen.reply.familiarity,
        timing_ms: Timing::new(seen.decode, seen.reply.queued, seen.reply.inference),
    }
}
