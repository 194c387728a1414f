//! `POST /admin/train`: a network is trained, by a process of its own.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::events::{self, EVENT_STREAM};
use crate::config::Config;
use crate::http::accept::preferred;
use crate::http::error::{Code, Error};
use crate::http::extract;
use crate::http::state::App;
use crate::network::Architecture;
use crate::training::supervisor::{ArchSource, RunRequest};

/// The body: a network, its data, and keys of the recipe beside them.
#[derive(Debug, Deserialize)]
pub struct TrainRequest {
    arch: Value,
    data: String,
    recipe: Option<String>,
    #[serde(flatten)]
    overrides: Map<String, Value>,
}

/// Starts the run. Answers 202 and where its events are, or with those events themselves.
pub async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    extract::Json(request): extract::Json<TrainRequest>,
) -> Result<Response, Error> {
    let (looking, data) = (Arc::clone(&app), request.data.clone());
    let found = tokio::task::spawn_blocking(move || dataset(&looking.config, &data)).await;
    let data_path = found.map_err(|_| Error::stopping())??;
    let run = RunRequest {
        arch: network(request.arch)?,
        data_path,
        data: request.data,
        recipe: request.recipe,
        overrides: request.overrides,
    };
    let job = app.supervisor.start(run).await?;
    if preferred(&headers, &["application/json", EVENT_STREAM]) == Some(EVENT_STREAM) {
        return Ok(events::sse(events::follow(&app, &job.id, 0)?));
    }
    let events = format!("/admin/jobs/{}/events", job.id);
    Ok((StatusCode::ACCEPTED, Json(json!({ "job": job, "events": events }))).into_response())
}

/// A preset's name, or the layer list itself; a path would let a caller read the server's files.
fn network(arch: Value) -> Result<ArchSource, Error> {
    match arch {
        Value::String(name) => Ok(ArchSource::Preset(name)),
        list => serde_json::from_value::<Architecture>(list)
            .map(ArchSource::Inline)
            .map_err(|e| Error::new(Code::Unprocessable, format!("`arch` is neither a preset's name nor a network: {e}"))),
    }
}

/// A plain word is a dataset of ours; anything else a path, where paths are allowed. Blocks.
fn dataset(config: &Config, data: &str) -> Result<PathBuf, Error> {
    let folder = config.data_dir.join("datasets");
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let named = !data.is_empty() && !data.starts_with('.') && data.chars().all(plain);
    if !named && !config.train.allow_paths {
        let sentence = "`data` must be the name of a dataset in the data folder: `train.allow_paths` in config.toml allows paths";
        return Err(Error::new(Code::Forbidden, sentence));
    }
    let path = if named { folder.join(data) } else { PathBuf::from(data) };
    if path.exists() {
        return Ok(path);
    }
    let known: Vec<String> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let known = if known.is_empty() { "there are none yet".into() } else { format!("there are {}", known.join(", ")) };
    let sentence = format!("there is no dataset `{data}`; {known}. `convscope fetch-data` downloads CIFAR-10");
    Err(Error::new(Code::UnknownDataset, sentence))
}
