//! How long a caller waits: `x-timeout-ms`, else the configured time. When it is over the answer is 504, and whatever was
//! under way for it is left out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use super::error::{Code, Error};
use super::state::App;

const HEADER: &str = "x-timeout-ms";

/// The moment after which nobody waits for the answer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

impl<S: Sync> FromRequestParts<S> for Deadline {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        parts.extensions.get().copied().ok_or_else(|| Error::internal("this route has no deadline"))
    }
}

/// Gives the request its deadline, and answers in its place when that has passed.
pub async fn layer(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Result<Response, Error> {
    let longest = app.config.server.request_timeout;
    let time = match request.headers().get(HEADER) {
        None => longest,
        Some(value) => {
            let milliseconds =
                value.to_str().ok().and_then(|text| text.trim().parse().ok()).filter(|&milliseconds| milliseconds > 0);
            let sentence = || format!("`{HEADER}` must be a whole number of milliseconds, at least 1");
            Duration::from_millis(milliseconds.ok_or_else(|| Error::new(Code::BadRequest, sentence()))?).min(longest)
        }
    };
    request.extensions_mut().insert(Deadline(Instant::now() + time));
    tokio::time::timeout(time, next.run(request)).await.map_err(|_| Error::timed_out())
}
