//! `/health/live`: the process answers. `/health/ready`: it classifies an image right now, so send it more.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{Code, Error};
use super::state::App;

/// How the server stands, where that is well; else it is an error.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// `live` or `ready`.
    status: &'static str,
}

/// Always, while the process can answer at all.
pub async fn live() -> Json<Status> {
    Json(Status { status: "live" })
}

/// Unless no model is loaded and warm, its canary image fails, or the server is stopping. A full queue is no reason.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Json<Status>, Error> {
    if app.is_draining() {
        return Err(Error::stopping());
    }
    app.canary.check(&app.models, &app.engine).await.map_err(|reason| {
        Error::new(Code::NotReady, format!("the server is not ready: {reason}")).retry_after(Duration::from_secs(1))
    })?;
    Ok(Json(Status { status: "ready" }))
}
