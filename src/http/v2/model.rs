//! `GET /v2/models/{model}[/versions/{version}]` and its `/ready`: what a model takes and gives, and whether it answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::super::error::Error;
use super::super::extract::Path;
use super::super::state::App;
use super::super::whole::Whole;
use super::{INPUT, OUTPUT, outputs};
use crate::serving::Served;

/// A model.
#[derive(Debug, Serialize)]
pub struct Model {
    name: String,
    /// All there are, whichever was asked about.
    versions: Vec<String>,
    platform: &'static str,
    inputs: [Tensor; 1],
    outputs: Vec<Tensor>,
}

/// A tensor that it takes or gives.
#[derive(Debug, Serialize)]
struct Tensor {
    name: &'static str,
    datatype: &'static str,
    /// −1 for any number of images.
    shape: Vec<i64>,
}

/// That a model answers.
#[derive(Debug, Serialize)]
pub struct Ready {
    name: String,
    ready: bool,
}

/// Of the active version.
pub async fn metadata(State(app): State<Arc<App>>, Path(model): Path<String>) -> Result<Json<Model>, Error> {
    let served = app.model(Some(&model), None).await?;
    describe(&app, &served).await
}

/// Of one version.
pub async fn metadata_of_version(
    State(app): State<Arc<App>>,
    Path((model, Whole(version))): Path<(String, Whole<u64>)>,
) -> Result<Json<Model>, Error> {
    let served = app.model(Some(&model), Some(version)).await?;
    describe(&app, &served).await
}

/// Whether the active version is in memory and has answered its canary image.
pub async fn ready(State(app): State<Arc<App>>, Path(model): Path<String>) -> Result<Json<Ready>, Error> {
    let served = app.model(Some(&model), None).await?;
    Ok(Json(Ready { name: served.name.clone(), ready: true }))
}

/// Whether that version is.
pub async fn ready_of_version(
    State(app): State<Arc<App>>,
    Path((model, Whole(version))): Path<(String, Whole<u64>)>,
) -> Result<Json<Ready>, Error> {
    let served = app.model(Some(&model), Some(version)).await?;
    Ok(Json(Ready { name: served.name.clone(), ready: true }))
}

async fn describe(app: &App, served: &Served) -> Result<Json<Model>, Error> {
    let listed = app.models.list().await?;
    let known = listed.iter().find(|listed| listed.name == served.name);
    // One that was taken away meanwhile is still what answered.
    let versions = known.map_or_else(|| vec![served.version], |listed| listed.versions.keys().copied().collect());
    let (image, classes) = (served.dimensions(), served.model.metadata().classes.len());
    let input = [image.channels.count(), image.height, image.width].map(|side| side as i64);
    let output = |&name: &&'static str| {
        let each = if name == OUTPUT { classes as i64 } else { 1 };
        Tensor { name, datatype: "FP32", shape: vec![-1, each] }
    };
    Ok(Json(Model {
        name: served.name.clone(),
        versions: versions.iter().map(u64::to_string).collect(),
        platform: "convscope_safetensors",
        inputs: [Tensor { name: INPUT, datatype: "FP32", shape: [&[-1], &input[..]].concat() }],
        outputs: outputs(&served.model).iter().map(output).collect(),
    }))
}
