//! A set's way in as the answer to whoever sends it: a line of JSON for how far it is, again and again, and at last what the answer would
//! have been, or the error. It does not know what is done with the set.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, channel};
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::desk::Stand;
use super::put::created;
use super::{OneSet, Set, Standing};
use crate::http::error::Error;

/// The media type of such an answer.
pub(super) const LINES: &str = "application/x-ndjson";

/// The answer to a set called `name` that is coming by `work`, of which `told` says how far it is. It begins once there is something to
/// tell: by then the first of the body has been read, and so asked for where the sender waits to be asked.
pub(super) async fn answer(
    name: String,
    work: JoinHandle<Result<Set, Error>>,
    mut told: UnboundedReceiver<Stand>,
) -> Result<Response, Error> {
    let Some(first) = told.recv().await else { return ended(work).await.map(created) };
    let (lines, receiver) = channel(8);
    tokio::spawn(async move {
        let mut next = Some(first);
        while let Some(stand) = next {
            let dataset = Set { name: name.clone(), state: Standing::Coming(stand) };
            // Nobody reads on: the work is none of this task's.
            if lines.send(line(&OneSet { dataset })).await.is_err() {
                return;
            }
            next = told.recv().await;
        }
        let last = match ended(work).await {
            Ok(dataset) => line(&OneSet { dataset }),
            Err(error) => {
                if let Some(cause) = error.cause() {
                    tracing::error!(dataset = name, cause = cause.0, "a dataset was not taken in");
                }
                line(&error.told())
            }
        };
        let _ = lines.send(last).await;
    });
    let lines = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    let headers = [(header::CONTENT_TYPE, LINES), (header::CACHE_CONTROL, "no-cache")];
    // Without the last one nginx would gather lines into blocks.
    Ok((StatusCode::OK, headers, [("x-accel-buffering", "no")], Body::from_stream(lines)).into_response())
}

async fn ended(work: JoinHandle<Result<Set, Error>>) -> Result<Set, Error> {
    work.await.map_err(|fault| Error::internal(format!("a dataset was not seen to: {fault}")))?
}

fn line(value: &impl Serialize) -> String {
    // Strings and numbers only: serde_json has no way to fail on them.
    serde_json::to_string(value).unwrap_or_else(|e| unreachable!("plain data: {e}")) + "\n"
}
