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
use crate::checkpoint::{Activation, Preferred};
use crate::classification::ModelVersion;
use crate::network::Preprocessing;
use crate::network::model::Accuracy;
use crate::network::preprocessing::Fit;
use crate::network::spec::Input;
use crate::serving::Served;
use crate::serving::models::Listed;

/// Which model an answer is from.
pub fn named(served: &Served) -> ModelVersion<'_> {
    ModelVersion { name: &served.name, version: served.version }
}

/// Every model there is, and every file that is none.
#[derive(Debug, Serialize, ToSchema)]
#[allow(clippy::struct_field_names, reason = "the answer has this name on the wire")]
pub(super) struct Models<'a> {
    /// The one that answers where none is named.
    default: &'a str,
    /// By name.
    models: Vec<Entry<'a>>,
    /// What is in the folders and does not answer, and why; what answered before in its place does so still.
    faults: Vec<Fault>,
}

/// One model; what is said of it beside its versions is said of the active one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelEntry)]
pub struct Entry<'a> {
    /// What it is asked for by.
    name: &'a str,
    /// Whether it is the default.
    default: bool,
    /// The version that answers where none is named.
    active: u64,
    /// Why that one: `activated`, or `preferred`, or it is the `highest`.
    active_because: &'static str,
    /// What was activated last, and when; null where nothing was.
    #[schema(value_type = Option<Object>)]
    activated: Option<&'a Activation>,
    /// What answers unless another is activated, and why: a run's best epoch on its validation images. Null where nothing is preferred,
    /// and the highest does.
    #[schema(value_type = Option<Object>)]
    preferred: Option<&'a Preferred>,
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
    /// How a picture of other proportions becomes that image: `crop`, `stretch` or `pad`.
    #[schema(value_type = String)]
    fit: Fit,
    /// What stands in front of the network: size, mean and standard deviation, fit, filter, background.
    #[schema(value_type = Object)]
    preprocessing: &'a Preprocessing,
}

/// One version of a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelVersionEntry)]
pub(super) struct OneVersion<'a> {
    /// Its number.
    version: u64,
    /// Whether it answers where none is named.
    active: bool,
    /// Whether it lies where nothing is removed: inside the program, or in the shipped folder.
    read_only: bool,
    /// As of the model.
    #[schema(value_type = Option<shapes::Accuracy>)]
    accuracy: Option<Accuracy>,
    /// The program that wrote it.
    created_by: &'a str,
}

/// A file that does not answer, or a name that cannot be told.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelFault)]
pub(super) struct Fault {
    /// The model; null where it is none's.
    model: Option<String>,
    /// Its version; null where it is none's.
    version: Option<u64>,
    /// What is wrong with it.
    error: String,
}

/// Every model: its versions, which of them is active and why, and of the active one its accuracy, classes and preprocessing.
pub async fn list(State(app): State<Arc<App>>) -> Result<Response, Error> {
    let listed = app.models.list().await?;
    let default = app.models.default_name();
    let models = listed.iter().filter_map(|listed| describe(listed, default)).collect();
    let faults = app.models.faults().into_iter();
    let faults = faults.map(|fault| Fault { model: fault.name, version: fault.version, error: fault.reason }).collect();
    Ok(Json(Models { default, models, faults }).into_response())
}

/// One model, as it is listed.
pub fn describe<'a>(listed: &'a Listed, default: &str) -> Option<Entry<'a>> {
    let active = listed.versions.get(&listed.active)?;
    let versions = listed.versions.iter().map(|(&version, metadata)| OneVersion {
        version,
        active: version == listed.active,
        read_only: listed.read_only.contains(&version),
        accuracy: metadata.accuracy,
        created_by: &metadata.created_by,
    });
    let chosen = listed.chosen.as_ref().is_some_and(|chosen| chosen.version == listed.active);
    let preferred = listed.preferred.as_ref().is_some_and(|preferred| preferred.version == listed.active);
    Some(Entry {
        name: &listed.name,
        default: listed.name == default,
        active: listed.active,
        active_because: match (chosen, preferred) {
            (true, _) => "activated",
            (false, true) => "preferred",
            (false, false) => "highest",
        },
        activated: listed.chosen.as_ref(),
        preferred: listed.preferred.as_ref(),
        versions: versions.collect(),
        accuracy: active.accuracy,
        classes: &active.classes,
        architecture: &active.architecture.name,
        input: active.architecture.input,
        fit: active.preprocessing.fit,
        preprocessing: &active.preprocessing,
    })
}
