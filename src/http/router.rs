//! Every route there is.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::{Code, Error};
use super::state::App;
use super::{access, admin, auth, classify, deadline, featuremaps, health, layers, models, page, samples};

/// The whole service over `app`; no socket is needed to call it.
///
/// From the outside in, a request passes: its id and log line; the security headers; the catch for panics; the limit of a
/// body; then, by route, the refusal while the server stops, the admin token, the deadline.
pub fn router(app: Arc<App>) -> Router {
    let inference = Router::new()
        .route("/classify", post(classify::post))
        .route("/featuremaps", post(featuremaps::all))
        .route("/featuremaps/{layer}", get(featuremaps::of_sample).post(featuremaps::of_upload))
        .route_layer(from_fn_with_state(Arc::clone(&app), deadline::layer));
    let catalog = Router::new()
        .route("/models", get(models::list))
        .route("/layers", get(layers::list))
        .route("/layers/{layer}/weights", get(layers::weights))
        .route("/samples", get(samples::list))
        .route("/samples/{name}", get(samples::get));
    let admin = Router::new()
        .route("/admin/train", post(admin::train::post))
        .route("/admin/jobs", get(admin::jobs::list))
        .route("/admin/jobs/{id}", get(admin::jobs::get).delete(admin::jobs::delete))
        .route("/admin/jobs/{id}/cancel", post(admin::jobs::cancel))
        .route("/admin/jobs/{id}/events", get(admin::events::get))
        .route_layer(from_fn_with_state(Arc::clone(&app), auth::layer));
    let api = inference.merge(catalog).merge(admin).route_layer(from_fn_with_state(Arc::clone(&app), refuse_while_draining));
    let health = Router::new().route("/health/live", get(health::live)).route("/health/ready", get(health::ready));
    Router::new()
        .merge(api)
        .merge(health)
        .merge(page::router())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        // The last one is the outermost.
        .layer(DefaultBodyLimit::max(app.config.limits.body_bytes))
        .layer(CatchPanicLayer::custom(access::panicked))
        .layer(map_response(access::secure))
        .layer(from_fn(access::log))
        .with_state(app)
}

async fn refuse_while_draining(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Error> {
    if app.is_draining() { Err(Error::stopping()) } else { Ok(next.run(request).await) }
}

async fn no_such_path() -> Error {
    Error::new(Code::NotFound, "there is nothing at this path: `/classify` takes images, `/` is the page")
}

async fn no_such_method(method: Method) -> Error {
    Error::new(Code::MethodNotAllowed, format!("{method} does nothing here: the `Allow` header says what does"))
}
