//! Which other pages may call from a browser: none, unless `server.cors_origins` names them; `/admin` none ever.

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser remembers what it was told.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What pages may read of an answer beside its body.
const EXPOSED: [&str; 7] = ["x-request-id", "x-shape", "x-range", "x-bias", "retry-after", "retry-after-ms", "server-timing"];

/// Allows `origins`, as they were configured; None where there are none.
pub fn layer(origins: &[String]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let origins = origins.to_vec();
    let allowed = move |origin: &HeaderValue, request: &Parts| {
        let named = |allowed: &String| allowed == "*" || origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes());
        !is_admin(request.uri.path()) && origins.iter().any(named)
    };
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::list([
            header::ACCEPT,
            header::CONTENT_TYPE,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("x-timeout-ms"),
        ]))
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(REMEMBERED);
    Some(layer)
}

fn is_admin(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}
