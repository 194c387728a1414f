//! `POST /admin/train`: a network is trained, by a process of its own.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::events::{self, EVENT_STREAM};
use crate::dataset::catalog::Catalog;
use crate::http::accept::preferred;
use crate::http::error::Error;
use crate::http::extract;
use crate::http::openapi::shapes;
use crate::http::state::App;
use crate::network::check::Written;
use crate::training::job::Job;
use crate::training::supervisor::{ArchSource, RunRequest};

/// The body: a network, its data, and keys of the recipe beside them.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TrainRequest {
    /// A preset's name, or the layer list.
    #[schema(value_type = shapes::Arch)]
    arch: Value,
    /// A dataset's name, or `cifar10`; a folder on the server where its configuration allows paths.
    data: String,
    /// A recipe's name.
    recipe: Option<String>,
    /// What people call the run.
    name: Option<String>,
    /// Whether the network's input and last layer are fitted to the images.
    #[serde(default)]
    fit_data: bool,
    /// Whether images that cannot be read are left out, with a note; otherwise all of them are named before the first step.
    #[serde(default)]
    skip_unreadable: bool,
    /// Keys of the recipe beside these.
    #[serde(flatten)]
    #[schema(value_type = shapes::RecipeKeys)]
    overrides: Map<String, Value>,
}

/// The answer: how the run stands, and where its events are.
#[derive(Debug, Serialize, ToSchema)]
pub struct Started {
    #[schema(value_type = shapes::Job)]
    job: Job,
    /// Where its events are.
    events: String,
}

/// What a proxy that serves this under a path says that path is.
const FORWARDED_PREFIX: &str = "x-forwarded-prefix";

/// Starts the run. Answers 202 and where its events are, or with those events themselves.
pub async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    extract::Json(request): extract::Json<TrainRequest>,
) -> Result<Response, Error> {
    let (looking, data) = (Arc::clone(&app), request.data.clone());
    // A plain word is a dataset of ours; anything else a path, where paths are allowed.
    let find = move || {
        let catalog = Catalog::new(looking.config.data_dir.join("datasets"));
        let found = if looking.config.train.allow_paths { catalog.find_or_path(&data) } else { catalog.find(&data) };
        // What is not there and can be had is fetched by the run.
        found.or_else(|fault| catalog.fetchable(&data).ok_or(fault))
    };
    let data_path = tokio::task::spawn_blocking(find).await.map_err(|_| Error::stopping())??;
    let run = RunRequest {
        arch: network(request.arch)?,
        data_path,
        data: request.data,
        recipe: request.recipe,
        overrides: request.overrides,
        name: request.name,
        fit_data: request.fit_data,
        skip_unreadable: request.skip_unreadable,
    };
    let job = app.supervisor.start(run).await?;
    if preferred(&headers, &["application/json", EVENT_STREAM]) == Some(EVENT_STREAM) {
        return Ok(events::sse(events::follow(&app, &job.id, 0)?));
    }
    let events = format!("{}/admin/jobs/{}/events", prefix(&headers), job.id);
    Ok((StatusCode::ACCEPTED, Json(Started { job, events })).into_response())
}

/// A preset's name, or the layer list itself; a path would let a caller read the server's files.
fn network(arch: Value) -> Result<ArchSource, Error> {
    match arch {
        Value::String(name) => Ok(ArchSource::Preset(name)),
        list => Ok(ArchSource::Inline(Written::json(list).check()?.architecture)),
    }
}

/// The path under which a proxy has put this server, as it says itself; nothing where it says nothing, or no path.
pub fn prefix(headers: &HeaderMap) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.' | '~');
    let said = headers.get(FORWARDED_PREFIX).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = said.starts_with('/') && !said.starts_with("//") && said.chars().all(plain);
    if path { said.trim_end_matches('/') } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_path_or_nothing() {
        let of = |value: &'static str| {
            let headers = HeaderMap::from_iter([(FORWARDED_PREFIX.parse().unwrap(), axum::http::HeaderValue::from_static(value))]);
            prefix(&headers).to_owned()
        };
        assert_eq!((of("/convscope"), of("/a/b/"), of("/")), ("/convscope".into(), "/a/b".into(), String::new()));
        for strange in ["", "convscope", "//elsewhere.example", "/a b", "/a?b", "https://elsewhere.example"] {
            assert_eq!(of(strange), "", "{strange}");
        }
        assert_eq!(prefix(&HeaderMap::new()), "");
    }
}
