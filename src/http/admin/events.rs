//! A run's events as they happen: what the journal holds is replayed first, so a connection that broke loses nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::http::accept::preferred;
use crate::http::error::{Code, Error};
use crate::http::extract::Path;
use crate::http::state::App;
use crate::training::journal::Line;

/// Server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const LAST_EVENT_ID: &str = "last-event-id";
/// Without it nginx would gather events into blocks.
const UNBUFFERED: [(&str, &str); 1] = [("x-accel-buffering", "no")];
/// Between signs of life, so that no proxy takes a long epoch for a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The events after `Last-Event-ID`, or all; as server-sent events, or a line of JSON each.
pub async fn get(State(app): State<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    let after = match headers.get(LAST_EVENT_ID) {
        None => 0,
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| Error::new(Code::BadRequest, "`Last-Event-ID` must be the `id` of an event: a whole number"))?,
    };
    let lines = follow(&app, &id, after)?;
    Ok(if preferred(&headers, &[EVENT_STREAM, LINES]) == Some(LINES) {
        let lines = lines.map(|line| {
            Ok::<_, Infallible>(format!("{{\"id\":{},\"event\":\"{}\",\"data\":{}}}\n", line.id, line.event, line.data))
        });
        let kind = [(header::CONTENT_TYPE, LINES), (header::CACHE_CONTROL, "no-cache")];
        (kind, UNBUFFERED, Body::from_stream(lines)).into_response()
    } else {
        sse(lines)
    })
}

/// The events of run `id` after number `after`, until it is over or the server stops.
pub fn follow(app: &App, id: &str, after: u64) -> Result<impl Stream<Item = Line> + Send + use<>, Error> {
    Ok(until(ReceiverStream::new(app.supervisor.events(id, after)?), app.stopping.clone()))
}

/// `lines` as server-sent events.
pub fn sse(lines: impl Stream<Item = Line> + Send + 'static) -> Response {
    let events = lines.map(|line| Ok::<_, Infallible>(Event::default().id(line.id.to_string()).event(line.event).data(line.data)));
    (UNBUFFERED, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}

/// `lines` until `stopping` is called off: a stream without end would keep the server from ever being done.
fn until(lines: ReceiverStream<Line>, stopping: CancellationToken) -> impl Stream<Item = Line> + Send {
    Until { lines, stopped: Box::pin(stopping.cancelled_owned()) }
}

struct Until {
    lines: ReceiverStream<Line>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stream for Until {
    type Item = Line;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Line>> {
        match self.stopped.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => Pin::new(&mut self.lines).poll_next(context),
        }
    }
}
