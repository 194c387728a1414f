//! `/admin/jobs`: the runs there are, and how each stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::http::error::{Code, Error};
use crate::http::extract::{self, Path};
use crate::http::openapi::shapes;
use crate::http::state::App;
use crate::training::job::Job;

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub struct OneJob {
    #[schema(value_type = shapes::Job)]
    job: Job,
}

/// Runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct AllJobs {
    #[schema(value_type = Vec<shapes::Job>)]
    jobs: Vec<Job>,
}

/// All runs, in the order in which they were asked for.
pub async fn list(State(app): State<Arc<App>>) -> Json<AllJobs> {
    Json(AllJobs { jobs: app.supervisor.jobs() })
}

/// One run.
pub async fn get(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<OneJob>, Error> {
    Ok(Json(OneJob { job: find(&app, &id)? }))
}

/// What of a run can be changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What people call it; null for nothing.
    name: Value,
}

/// Names a run.
pub async fn patch(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    extract::Json(change): extract::Json<Change>,
) -> Result<Json<OneJob>, Error> {
    let name = match &change.name {
        Value::Null => None,
        Value::String(name) => Some(name.as_str()),
        _ => return Err(Error::new(Code::Unprocessable, "`name` must be text, or null for no name")),
    };
    Ok(Json(OneJob { job: app.supervisor.rename(&id, name).await? }))
}

/// Asks a run to end.
pub async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<OneJob>, Error> {
    Ok(Json(OneJob { job: app.supervisor.cancel(&id).await? }))
}

/// Lets a run that is over and not done go on.
pub async fn resume(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<OneJob>, Error> {
    Ok(Json(OneJob { job: app.supervisor.resume(&id).await? }))
}

/// Removes a run that is over, with its models.
pub async fn delete(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, Error> {
    app.supervisor.delete(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The run called `id`.
pub fn find(app: &App, id: &str) -> Result<Job, Error> {
    app.supervisor.job(id).ok_or_else(|| Error::new(Code::UnknownJob, format!("there is no job `{id}`: see /admin/jobs")))
}
