//! `GET /mistakes`: the test images that a run's model takes for something else. `GET /mistakes/{index}`: one of them, to look at.
//!
//! Only images that were mistaken are shown: a test set is its owner's.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::admin::train::prefix;
use super::error::{Code, Error};
use super::extract::{self, Query, unknown};
use super::findings::{self, Found};
use super::layers::Which;
use super::state::App;
use super::whole::Whole;
use crate::classification::ModelVersion;
use crate::evaluation::findings::Mistake;
use crate::picture::{Channels, Dimensions, Pixels, encode};
use crate::training::results::Results;

/// Mistakes that are listed where nobody says how many.
const LISTED: usize = 100;

/// The query of `GET /mistakes`.
#[derive(Debug, Deserialize)]
pub struct Options {
    model: Option<String>,
    version: Option<Whole<u64>>,
    #[serde(rename = "true")]
    truth: Option<String>,
    said: Option<String>,
    limit: Option<Whole<NonZeroU32>>,
}

/// Test images that a model takes for something else.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mistakes)]
pub struct Listing<'a> {
    /// Whose they are.
    model: ModelVersion<'a>,
    /// How many there are of those that are asked for.
    count: usize,
    /// Whether the run kept all that are asked for; of very many it keeps the first ten thousand of the test set.
    complete: bool,
    /// In the order of the test set, up to `limit`.
    mistakes: Vec<Mistaken<'a>>,
}

/// A test image that a model takes for something else.
#[derive(Debug, Serialize, ToSchema)]
pub struct Mistaken<'a> {
    /// Its index in the test set, from 0.
    index: usize,
    /// What it is.
    #[serde(rename = "true")]
    truth: &'a str,
    /// What the model says.
    said: &'a str,
    /// What the model gives the class that it is.
    probability: f32,
    /// The most probable classes, from the first: up to three.
    top: Vec<Judged<'a>>,
    /// Where the picture is.
    image: String,
}

/// A class, as a model judges it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Judged<'a> {
    /// The class.
    label: &'a str,
    /// Its probability.
    probability: f32,
}

/// The mistakes of the last epoch's evaluation.
pub async fn list(State(app): State<Arc<App>>, headers: HeaderMap, Query(options): Query<Options>) -> Result<Response, Error> {
    let found = findings::find(&app, options.model.as_deref(), options.version.map(|Whole(version)| version)).await?;
    let results = &found.results;
    let (truth, said) = (class(results, options.truth.as_deref())?, class(results, options.said.as_deref())?);
    let asked = |actual: usize, taken: usize| truth.is_none_or(|class| class == actual) && said.is_none_or(|class| class == taken);
    let kept: Vec<&Mistake> =
        results.mistakes.iter().filter(|mistake| mistake.top.first().is_some_and(|top| asked(mistake.truth, top.class))).collect();
    let cells = results.confusion.iter().enumerate().flat_map(|(row, counts)| {
        counts.iter().enumerate().filter(move |(column, _)| row != *column).map(move |(column, count)| (row, column, *count))
    });
    let count = cells.filter(|(row, column, _)| asked(*row, *column)).map(|(.., count)| count).sum();
    let limit = options.limit.map_or(LISTED, |Whole(limit)| limit.get() as usize);
    let answer = Listing {
        model: ModelVersion { name: &found.model, version: results.epoch.into() },
        count,
        complete: kept.len() == count,
        mistakes: kept.into_iter().take(limit).map(|mistake| mistaken(&found, mistake, prefix(&headers))).collect(),
    };
    Ok(Json(answer).into_response())
}

/// One of them, as the network saw it: a PNG.
pub async fn picture(
    State(app): State<Arc<App>>,
    extract::Path(index): extract::Path<String>,
    Query(which): Query<Which>,
) -> Result<impl IntoResponse, Error> {
    let found = findings::find(&app, which.model(), which.version()).await?;
    let refuse = |reason: &str| Error::new(Code::NoResults, format!("test image `{index}` of `{}` {reason}", found.model));
    let mistake = index.parse().ok().filter(|index| found.results.mistakes.iter().any(|mistake| mistake.index == *index));
    let at = mistake.ok_or_else(|| refuse("is none of its mistakes: `/mistakes` lists them"))?;
    let (results, state) = (found.results, found.state);
    let png = tokio::task::spawn_blocking(move || draw(&results, &state, at)).await.map_err(|_| Error::stopping())??;
    let png = png.ok_or_else(|| {
        let sentence = format!("the picture of test image {index} was not kept: a run keeps the first 64 MiB of its test images");
        Error::new(Code::NoResults, sentence)
    })?;
    Ok(([(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "no-cache")], png))
}

fn draw(results: &Results, state: &Path, index: usize) -> Result<Option<Vec<u8>>, Error> {
    let Some(samples) = results.picture(state, index)? else { return Ok(None) };
    let [height, width, channels] = results.dimensions;
    let channels = if channels == 1 { Channels::Grey } else { Channels::Rgb };
    let pixels = Pixels::new(Dimensions { height, width, channels }, samples);
    let drawn = pixels.map(|pixels| encode::pixels(&pixels)).transpose();
    drawn.map_err(|fault| Error::internal(format!("a picture was not written: {fault}")))
}

/// The index of the class that is asked for by its name.
fn class(results: &Results, name: Option<&str>) -> Result<Option<usize>, Error> {
    let Some(name) = name else { return Ok(None) };
    let known: Vec<&str> = results.classes.iter().map(String::as_str).collect();
    let index = known.iter().position(|class| *class == name);
    index.map(Some).ok_or_else(|| Error::new(Code::BadQuery, unknown("class", name, &known)))
}

fn mistaken<'a>(found: &'a Found, mistake: &'a Mistake, prefix: &str) -> Mistaken<'a> {
    let label = |class: usize| found.results.classes.get(class).map_or("", String::as_str);
    let top: Vec<Judged<'a>> =
        mistake.top.iter().map(|said| Judged { label: label(said.class), probability: said.probability }).collect();
    Mistaken {
        index: mistake.index,
        truth: label(mistake.truth),
        said: top.first().map_or("", |first| first.label),
        probability: mistake.probability,
        top,
        image: format!("{prefix}/mistakes/{}?model={}&version={}", mistake.index, found.model, found.results.epoch),
    }
}
