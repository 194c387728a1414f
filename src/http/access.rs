//! What every request gets, whatever route it takes: an id, a line in the log, its count, and headers that keep browsers strict.
//!
//! What is said and counted of a request is gathered in [`notes`] while others answer it; how that is put into words is
//! [`entry`]'s, what is counted [`super::metrics`]'. This module does not know what was asked.

pub mod entry;
pub mod id;
pub mod notes;

use std::any::Any;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use jiff::Timestamp;

use self::entry::{Entry, TARGET};
use self::id::REQUEST_ID;
use self::notes::{Noted, Notes};
pub use self::notes::{Stages, along, current_id, note_image, note_model};
use super::error::{Cause, Code, Error, Outcome};
use super::intake;
use super::metrics::Ended;
use super::peer::{Peer, UnderWay};
use super::state::App;
use crate::console;

/// What the answer of an image took, for browsers' tools and everyone else.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Everything of ours comes from this server; nothing else runs, and nobody frames it. `blob:` and `data:` are the page's own
/// pictures.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const SECURITY: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A request under way. Its end is counted and logged, whatever ends it: who hangs up is dropped in the middle of everything.
struct Visit {
    app: Arc<App>,
    notes: Arc<Notes>,
    started: Instant,
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    client: Option<SocketAddr>,
    taken: Arc<AtomicU64>,
    answer: Option<Answered>,
}

/// What became of it.
#[derive(Clone, Copy)]
struct Answered {
    status: u16,
    code: Option<Code>,
    bytes: Option<u64>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let Noted { model, images } = self.notes.with(std::mem::take);
        let outcome = self.answer.map_or(Outcome::Cancelled, |answer| Outcome::of(answer.status));
        self.app.metrics.end(&Ended {
            route: self.route.as_ref().map(MatchedPath::as_str),
            outcome,
            code: self.answer.and_then(|answer| answer.code).map_or("", |code| code.row().0),
            model: model.as_ref().map_or("", |(name, _)| name),
            images: &images,
            took,
        });
        if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            return;
        }
        let entry = Entry {
            at: Timestamp::now(),
            method: std::mem::take(&mut self.method),
            uri: std::mem::take(&mut self.uri),
            route: self.route.take(),
            status: self.answer.map(|answer| answer.status),
            micros: took.as_micros() as u64,
            client: self.client,
            model,
            bytes_in: self.taken.load(Ordering::Relaxed),
            bytes_out: self.answer.and_then(|answer| answer.bytes),
            id: self.notes.id.clone(),
        };
        let format = self.app.config.log.format;
        console::later(move |out| entry.write(format, *COLOURS, out));
    }
}

/// Whether somebody looks at the log as it is written.
static COLOURS: LazyLock<bool> = LazyLock::new(|| std::io::stderr().is_terminal());

/// Gives the request its id, and at its end its line in the log and its counts; the cause of a failure of ours is logged, never
/// sent. Its body is read to the end whoever drops it.
pub async fn log(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let notes = Notes::new(id::given(request.headers()).unwrap_or_else(id::new));
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let under_way = peer.as_ref().map(Peer::begin);
    let (request, taken) = intake::of(request, app.patience());
    app.metrics.begin();
    let client = peer.map(|peer| peer.address);
    let mut visit =
        Visit { app, notes: Arc::clone(&notes), started: Instant::now(), method, uri, route, client, taken, answer: None };
    let mut response = notes.scope(next.run(request)).await;
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        let route = visit.route.as_ref().map_or("", MatchedPath::as_str);
        notes.within(|| tracing::error!(route, cause, "a request failed"));
    }
    let code = response.extensions_mut().remove::<Code>();
    visit.answer = Some(Answered { status: response.status().as_u16(), code, bytes: response.body().size_hint().exact() });
    if let Some(timing) = notes.with(|noted| server_timing(&noted.images, visit.started.elapsed())) {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    response.headers_mut().insert(REQUEST_ID, notes.id.clone());
    response.map(|body| Body::new(Answer { body, _under_way: under_way }))
}

/// In milliseconds, of several images the longest of each; none where no image was evaluated.
fn server_timing(images: &[Stages], total: Duration) -> Option<HeaderValue> {
    let longest = |of: fn(&Stages) -> Duration| images.iter().map(of).max();
    let parts = [
        ("decode", longest(|stages| stages.decode)?),
        ("queue", longest(|stages| stages.queue)?),
        ("inference", longest(|stages| stages.inference)?),
        ("total", total),
    ];
    let parts = parts.map(|(name, time)| format!("{name};dur={:.3}", time.as_secs_f64() * 1e3));
    HeaderValue::try_from(parts.join(", ")).ok()
}

/// The body of an answer: until it is dropped, the connection is not idle.
struct Answer {
    body: Body,
    _under_way: Option<UnderWay>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The whole answer, as bytes, to what never became a request; and its line in the log.
pub fn bare(refusal: &Error, client: SocketAddr) -> Vec<u8> {
    let (code, status) = refusal.code().row();
    let id = id::new();
    let id = id.to_str().unwrap_or_default();
    tracing::info!(id, status = status.as_u16(), code, %client, "what came is no request");
    // Two strings are always JSON.
    let body = serde_json::to_string(&refusal.told()).unwrap_or_default();
    let own = [
        (header::CONNECTION, "close"),
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_LENGTH, &body.len().to_string()),
        (REQUEST_ID, id),
    ];
    let line = |(name, value): (HeaderName, &str)| [name.as_str(), ": ", value, "\r\n"].concat();
    let head: String = own.into_iter().chain(SECURITY).map(line).collect();
    format!("HTTP/1.1 {status}\r\n{head}\r\n{body}").into_bytes()
}

/// Adds the security headers.
pub async fn secure(mut response: Response) -> Response {
    for (name, value) in SECURITY {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The answer of a handler that panicked.
#[allow(clippy::needless_pass_by_value, reason = "the shape that tower-http asks for")]
pub fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!("a handler panicked: {}", text.unwrap_or("no message"))).into_response()
}
