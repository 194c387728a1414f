//! `GET /models`: which models answer, and how good they were measured to be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Error;
use super::openapi::shapes;
use super::state::App;
use crate::classification::ModelVersion;
use crate::network::model::Accuracy;
use crate::network::spec::Input;
use crate::serving::Served;
use crate::serving::models::Listed;

/// Which model an answer is from.
pub fn named(served: &Served) -> ModelVersion<'_> {
    ModelVersion { name: &served.name, version: served.version }
}

/// Every model there is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Models<'a> {
    /// The one that answers where none is named.
    default: &'a str,
    /// By name.
    models: Vec<Entry<'a>>,
}

/// One model; what is said of it beside its versions is said of the active one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelEntry)]
pub(super) struct Entry<'a> {
    /// What it is asked for by.
    name: &'a str,
    /// Whether it is the default.
    default: bool,
    /// The version that answers where none is named.
    active: u64,
    /// All of them, rising.
    versions: Vec<OneVersion<'a>>,
    /// Measured on test images; null where nobody has.
    #[schema(value_type = Option<shapes::Accuracy>)]
    accuracy: Option<Accuracy>,
    /// Names of the classes, in the order of the probabilities.
    classes: &'a [String],
    /// Name of the network.
    architecture: &'a str,
    /// The image it takes.
    #[schema(value_type = shapes::Input)]
    input: Input,
}

/// One version of a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelVersionEntry)]
pub(super) struct OneVersion<'a> {
    /// Its number.
    version: u64,
    /// Whether it answers where none is named.
    active: bool,
    /// As of the model.
    #[schema(value_type = Option<shapes::Accuracy>)]
    accuracy: Option<Accuracy>,
    /// The program that wrote it.
    created_by: &'a str,
}

/// Every model: its versions, which of them is active, and of the active one its accuracy, classes and input.
pub async fn list(State(app): State<Arc<App>>) -> Result<Response, Error> {
    let listed = app.models.list().await?;
    let default = app.models.default_name();
    let models = listed.iter().filter_map(|listed| describe(listed, default)).collect();
    Ok(Json(Models { default, models }).into_response())
}

fn describe<'a>(listed: &'a Listed, default: &str) -> Option<Entry<'a>> {
    let active = listed.versions.get(&listed.active)?;
    let versions = listed.versions.iter().map(|(&version, metadata)| OneVersion {
        version,
        active: version == listed.active,
        accuracy: metadata.accuracy,
        created_by: &metadata.created_by,
    });
    Some(Entry {
        name: &listed.name,
        default: listed.name == default,
        active: listed.active,
        versions: versions.collect(),
        accuracy: active.accuracy,
        classes: &active.classes,
        architecture: &active.architecture.name,
        input: active.architecture.input,
    })
}
