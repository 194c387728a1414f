//! `POST /classify`: what an image shows, with a probability for every class.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::deadline::Deadline;
use super::error::{Code, Error};
use super::extract::Query;
use super::forward::{self, Question, Seen};
use super::models::named;
use super::state::App;
use super::upload::Upload;
use crate::classification::{Answer, Answers, Classification, Timing};
use crate::network::Probe;
use crate::serving::Served;

/// Classes listed by probability where the request does not say how many.
const TOP_K: usize = 5;

/// The query of `POST /classify`.
#[derive(Debug, Deserialize)]
pub struct Options {
    model: Option<String>,
    version: Option<u64>,
    top_k: Option<usize>,
    mask: Option<String>,
}

/// Classifies the images of the request: one gives its answer, several give `results` in their order.
pub async fn post(
    State(app): State<Arc<App>>,
    Query(options): Query<Options>,
    deadline: Deadline,
    upload: Upload,
) -> Result<Response, Error> {
    let top_k = options.top_k.unwrap_or(TOP_K);
    if top_k == 0 {
        return Err(Error::new(Code::BadQuery, "`top_k` must be at least 1"));
    }
    let served = app.model(options.model.as_deref(), options.version).await?;
    let probe = Probe::default().mask(options.mask.as_deref().unwrap_or_default(), &served.model)?;
    let question = Question { served, probe, deadline };
    let seen = forward::all(&app, upload, &question).await?;
    let answers: Vec<Answer<'_>> = seen.iter().map(|seen| answer(seen, &question.served, top_k)).collect();
    Ok(match answers.as_slice() {
        [only] => Json(only).into_response(),
        several => Json(Answers { results: several }).into_response(),
    })
}

fn answer<'a>(seen: &'a Seen, served: &'a Served, top_k: usize) -> Answer<'a> {
    Answer {
        model: named(served),
        classification: Classification::new(&served.model.metadata().classes, &seen.reply.probabilities, top_k),
        timing_ms: Timing::new(seen.decode, seen.reply.queued, seen.reply.inference),
    }
}
