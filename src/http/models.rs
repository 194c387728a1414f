//! `GET /models`: which models answer, and how good they were measured to be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::extract::Query;
use super::state::App;
use crate::classification::ModelVersion;
use crate::network::Metadata;
use crate::serving::Served;
use crate::serving::models::Listed;

/// The query of routes that take none.
#[derive(Debug, Deserialize)]
pub struct NoOptions {}

/// Which model an answer is from.
pub fn named(served: &Served) -> ModelVersion<'_> {
    ModelVersion { name: &served.name, version: served.version }
}

/// Every model: its versions, which of them is active, and of the active one its accuracy, classes and input.
pub async fn list(State(app): State<Arc<App>>, Query(NoOptions {}): Query<NoOptions>) -> Result<Json<Value>, Error> {
    let listed = app.registry.list().await?;
    let models: Vec<Value> = listed.iter().filter_map(|listed| describe(listed, app.registry.default_name())).collect();
    Ok(Json(json!({ "default": app.registry.default_name(), "models": models })))
}

fn describe(listed: &Listed, default: &str) -> Option<Value> {
    let active: &Metadata = listed.versions.get(&listed.active)?;
    let version = |(version, metadata): (&u64, &Arc<Metadata>)| {
        let (active, accuracy) = (*version == listed.active, metadata.accuracy);
        json!({"version": version, "active": active, "accuracy": accuracy, "created_by": metadata.created_by})
    };
    Some(json!({
        "name": listed.name,
        "default": listed.name == default,
        "active": listed.active,
        "versions": listed.versions.iter().map(version).collect::<Vec<_>>(),
        "accuracy": active.accuracy,
        "classes": active.classes,
        "architecture": active.architecture.name,
        "input": active.architecture.input,
    }))
}
