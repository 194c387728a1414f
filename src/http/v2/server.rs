//! `GET /v2` and `/v2/health`: which server this is, and how it stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::super::error::Error;
use super::super::health;
use super::super::state::App;

/// Triton's names of what is understood beyond the protocol.
const EXTENSIONS: [&str; 2] = ["binary_tensor_data", "classification"];

/// What this server is.
#[derive(Debug, Serialize)]
pub struct Server {
    name: &'static str,
    version: &'static str,
    extensions: [&'static str; 2],
}

/// That the process answers.
#[derive(Debug, Serialize)]
pub struct Live {
    live: bool,
}

/// That it classifies images.
#[derive(Debug, Serialize)]
pub struct Ready {
    ready: bool,
    /// What the specification calls it here, too.
    live: bool,
}

/// Name, version, extensions.
pub async fn metadata() -> Json<Server> {
    Json(Server { name: "convscope", version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS })
}

/// As `/health/live`.
pub async fn live() -> Json<Live> {
    Json(Live { live: true })
}

/// As `/health/ready`.
pub async fn ready(state: State<Arc<App>>) -> Result<Json<Ready>, Error> {
    health::ready(state).await.map(|_| Json(Ready { ready: true, live: true }))
}
