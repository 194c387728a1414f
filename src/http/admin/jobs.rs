//! `/admin/jobs`: the runs there are, and how each stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::{Code, Error};
use crate::http::extract::Path;
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

/// Asks a run to end.
pub async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<OneJob>, Error> {
    Ok(Json(OneJob { job: app.supervisor.cancel(&id).await? }))
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
