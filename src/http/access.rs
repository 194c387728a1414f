//! What every request gets, whatever route it takes: an id, a line in the log, and headers that keep browsers strict.

use std::any::Any;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use tracing::Instrument;
use uuid::Uuid;

use super::error::{Cause, Error};
use super::intake;
use super::pace::Patience;
use super::peer::{Peer, UnderWay};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Of a path that matches no route, more is nobody's business.
const LONGEST_PATH: usize = 200;

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

tokio::task_local! {
    /// The model that the request at hand is answered by, as `NAME/VERSION`.
    static MODEL: RefCell<Option<String>>;
}

/// Has the line in the log of the request at hand name its model.
pub fn note_model(name: &str, version: u64) {
    // Outside a request, as at the start, there is no line.
    let _ = MODEL.try_with(|model| model.replace(Some(format!("{name}/{version}"))));
}

/// Logs the request under its id, with the cause of a failure of ours; never a body, a query or a token. Its body is read to
/// the end whoever drops it.
pub async fn log(State(unwanted): State<Patience>, request: Request, next: Next) -> Response {
    let id = given_id(request.headers()).unwrap_or_else(new_id);
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(LONGEST_PATH).collect();
    let route = request.extensions().get::<MatchedPath>().map_or_else(String::new, |route| route.as_str().to_owned());
    let peer = request.extensions().get::<Arc<Peer>>().cloned();
    let under_way = peer.as_ref().map(Peer::begin);
    let (request, taken) = intake::of(request, unwanted);
    let span = tracing::info_span!("request", id);
    let started = Instant::now();
    let answered = async {
        let response = next.run(request).await;
        (response, MODEL.with(RefCell::take))
    };
    let (mut response, model) = MODEL.scope(RefCell::default(), answered).instrument(span.clone()).await;
    let _entered = span.enter();
    if let Some(Cause(cause)) = response.extensions_mut().remove() {
        tracing::error!(route, cause, "a request failed");
    }
    let (status, duration_ms) = (response.status().as_u16(), started.elapsed().as_micros() as f64 / 1e3);
    let client = peer.map(|peer| peer.address.to_string());
    let (bytes_in, bytes_out) = (taken.load(Ordering::Relaxed), response.body().size_hint().exact());
    tracing::info!(%method, path, route, status, duration_ms, client, model, bytes_in, bytes_out, "answered");
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.map(|body| Body::new(Answer { body, _under_way: under_way }))
}

/// A caller's own id, if it is short and plain: it is written to the log.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then(|| id.to_owned())
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
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
    let id = new_id();
    tracing::info!(id, status = status.as_u16(), code, %client, "what came is no request");
    // Two strings are always JSON.
    let body = serde_json::to_string(&refusal.told()).unwrap_or_default();
    let own = [
        (header::CONNECTION, "close"),
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_LENGTH, &body.len().to_string()),
        (REQUEST_ID, &id),
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
