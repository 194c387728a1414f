//! `POST /classify`: what an image shows, with a probability for every class.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use super::deadline::Deadline;
use super::error::{Code, Error};
use super::extract::Query;
use super::forward::{self, Question, Seen};
use super::models::Named;
use super::state::App;
use super::upload::Upload;
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

/// One image's answer.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    model: Named<'a>,
    label: &'a str,
    probability: f32,
    top: Vec<Ranked<'a>>,
    probabilities: Probabilities<'a>,
    timing_ms: Timing,
}

#[derive(Debug, Serialize)]
struct Ranked<'a> {
    index: usize,
    label: &'a str,
    probability: f32,
}

/// In class order: a map of `serde_json` would sort the names.
#[derive(Debug)]
struct Probabilities<'a>(&'a [String], &'a [f32]);

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().zip(self.1).try_for_each(|(class, probability)| map.serialize_entry(class, probability))?;
        map.end()
    }
}

#[derive(Debug, Serialize)]
struct Timing {
    decode: f64,
    queue: f64,
    inference: f64,
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
    let served = app.registry.find(options.model.as_deref(), options.version).await?;
    let probe = Probe::default().mask(options.mask.as_deref().unwrap_or_default(), &served.model)?;
    let question = Question { served, probe, deadline };
    let seen = forward::all(&app, upload, &question).await?;
    let mut answers = seen.iter().map(|seen| answer(seen, &question.served, top_k)).collect::<Result<Vec<_>, _>>()?;
    if answers.len() == 1
        && let Some(only) = answers.pop()
    {
        return Ok(Json(only).into_response());
    }
    Ok(Json(json!({ "results": answers })).into_response())
}

fn answer<'a>(seen: &'a Seen, served: &'a Served, top_k: usize) -> Result<Answer<'a>, Error> {
    let (classes, probabilities) = (&served.model.metadata().classes, &seen.reply.probabilities);
    let mut order: Vec<usize> = (0..classes.len().min(probabilities.len())).collect();
    // Stable: of equals, the first class.
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let rank = |&index: &usize| Ranked { index, label: &classes[index], probability: probabilities[index] };
    let best = order.first().map(rank).ok_or_else(|| Error::internal("the model has no classes"))?;
    Ok(Answer {
        model: Named::of(served),
        label: best.label,
        probability: best.probability,
        top: order.iter().take(top_k).map(rank).collect(),
        probabilities: Probabilities(classes, probabilities),
        timing_ms: Timing {
            decode: milliseconds(seen.decode),
            queue: milliseconds(seen.reply.queued),
            inference: milliseconds(seen.reply.inference),
        },
    })
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
