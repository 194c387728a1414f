//! Every route there is.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post};
use serde::de::DeserializeOwned;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;

use super::error::{Code, Error};
use super::extract::{Keys, NoOptions};
use super::peer::Peer;
use super::state::App;
use super::{
    access, admin, answers, auth, classify, confusion, cors, deadline, docs, effects, featuremaps, health, layers, metrics,
    mistakes, model_files, models, networks, openapi, page, samples, v2,
};

/// The whole service over `app`; no socket is needed to call it.
///
/// From the outside in, a request passes: its id and log line; the security headers; what other pages may do; the catch for
/// panics; the limit of a body; then, by route, the refusal of a server that stops or has too many connections, the count of what
/// answers take, the admin token, the deadline, the query's keys.
pub fn router(app: Arc<App>) -> Router {
    let inference = Routes::default()
        .add::<classify::Options>("/classify", post(classify::post))
        .add::<featuremaps::AllOptions>("/featuremaps", post(featuremaps::all))
        .add::<featuremaps::Options>("/featuremaps/{layer}", get(featuremaps::of_sample).post(featuremaps::of_upload))
        .add::<effects::Options>("/layers/{layer}/effects", get(effects::of_sample).post(effects::of_upload))
        .add::<NoOptions>("/v2/models/{model}/infer", post(v2::infer::post))
        .add::<NoOptions>("/v2/models/{model}/versions/{version}/infer", post(v2::infer::post_to_version));
    let catalog = Routes::default()
        .add::<NoOptions>("/models", get(models::list))
        .add::<model_files::Options>("/models/{name}/file", get(model_files::get))
        .add::<layers::Which>("/layers", get(layers::list))
        .add::<layers::WeightOptions>("/layers/{layer}/weights", get(layers::weights))
        .add::<layers::Which>("/confusion", get(confusion::get))
        .add::<mistakes::Options>("/mistakes", get(mistakes::list))
        .add::<layers::Which>("/mistakes/{index}", get(mistakes::picture))
        .add::<NoOptions>("/networks", get(networks::list))
        .add::<NoOptions>("/networks/check", post(networks::check))
        .add::<NoOptions>("/samples", get(samples::list))
        .add::<NoOptions>("/samples/{name}", get(samples::get))
        .add::<NoOptions>("/v2", get(v2::server::metadata))
        .add::<NoOptions>("/v2/models/{model}", get(v2::model::metadata))
        .add::<NoOptions>("/v2/models/{model}/ready", get(v2::model::ready))
        .add::<NoOptions>("/v2/models/{model}/versions/{version}", get(v2::model::metadata_of_version))
        .add::<NoOptions>("/v2/models/{model}/versions/{version}/ready", get(v2::model::ready_of_version));
    let open = inference.0.merge(catalog.0).route_layer(from_fn_with_state(Arc::clone(&app), deadline::layer));
    let admin = Routes::default()
        .add::<NoOptions>("/admin/datasets", get(admin::datasets::list))
        .add::<NoOptions>(
            "/admin/datasets/{name}",
            get(admin::datasets::get).put(admin::datasets::put::put).delete(admin::datasets::delete),
        )
        .add::<NoOptions>("/admin/train", post(admin::train::post))
        .add::<NoOptions>("/admin/jobs", get(admin::jobs::list))
        .add::<NoOptions>("/admin/jobs/{id}", get(admin::jobs::get).patch(admin::jobs::patch).delete(admin::jobs::delete))
        .add::<NoOptions>("/admin/jobs/{id}/cancel", post(admin::jobs::cancel))
        .add::<NoOptions>("/admin/jobs/{id}/resume", post(admin::jobs::resume))
        .add::<NoOptions>("/admin/jobs/{id}/events", get(admin::events::get))
        .add::<admin::results::Options>("/admin/jobs/{id}/results", get(admin::results::get))
        .add::<NoOptions>("/admin/models/{name}/activate", post(admin::models::activate))
        .add::<NoOptions>("/admin/models/{name}/versions/{version}", delete(admin::models::delete))
        .add::<NoOptions>("/admin/models/refresh", post(admin::models::refresh));
    let seen = Routes::default()
        .add::<NoOptions>("/metrics", get(metrics::get))
        .add::<NoOptions>("/openapi.json", get(openapi::get))
        .add::<NoOptions>("/docs", get(docs::page))
        .add::<NoOptions>("/docs/{file}", get(docs::file));
    let health = Routes::default()
        .add::<NoOptions>("/health/live", get(health::live))
        .add::<NoOptions>("/health/ready", get(health::ready))
        .add::<NoOptions>("/v2/health/live", get(v2::server::live))
        .add::<NoOptions>("/v2/health/ready", get(v2::server::ready));
    app.know_routes([inference.1, catalog.1, admin.1, seen.1, health.1].concat());
    let admin = admin.0.route_layer(from_fn_with_state(Arc::clone(&app), auth::layer));
    let api = open
        .merge(admin)
        .route_layer(from_fn_with_state(Arc::clone(&app), answers::layer))
        .route_layer(from_fn_with_state(Arc::clone(&app), refuse));
    Router::new()
        .merge(api)
        .merge(seen.0)
        .merge(health.0)
        .merge(page::router())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        // The last one is the outermost.
        .layer(DefaultBodyLimit::max(app.config.limits.body_bytes))
        .layer(CatchPanicLayer::custom(access::panicked))
        .layer(option_layer(cors::layer(&app.config.server.cors_origins)))
        .layer(map_response(access::secure))
        .layer(from_fn_with_state(Arc::clone(&app), access::log))
        .with_state(app)
}

/// A route, for what is told of all of them.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// The pattern that its paths match.
    pub path: &'static str,
    /// What its query may hold.
    pub keys: Keys,
}

/// Routes of which each says what its query may hold: there is no other way to add one. Each is listed, and a test asks for what
/// `openapi/operations.rs` says of it.
#[derive(Default)]
struct Routes(Router<Arc<App>>, Vec<Listed>);

impl Routes {
    /// `methods` at `path`; a query key that is no field of `Q`, or is there twice, is refused before they are called.
    fn add<Q: DeserializeOwned>(mut self, path: &'static str, methods: MethodRouter<Arc<App>>) -> Self {
        let keys = Keys::of::<Q>();
        self.1.push(Listed { path, keys });
        Self(self.0.route(path, methods.route_layer(from_fn_with_state(keys, check_query))), self.1)
    }
}

async fn check_query(State(keys): State<Keys>, request: Request, next: Next) -> Result<Response, Error> {
    keys.check(request.uri())?;
    Ok(next.run(request).await)
}

/// Health alone is answered by a server that stops, once what was sent before has had its turn, and on spare connections.
async fn refuse(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Error> {
    if app.is_refusing() {
        return Err(Error::stopping());
    }
    if request.extensions().get::<Arc<Peer>>().is_some_and(|peer| peer.spare) {
        return Err(Error::crowded(app.engine.full()));
    }
    Ok(next.run(request).await)
}

async fn no_such_path() -> Error {
    Error::new(Code::NotFound, "there is nothing at this path: `/classify` takes images, `/` is the page")
}

async fn no_such_method(method: Method) -> Error {
    Error::new(Code::MethodNotAllowed, format!("{method} does nothing here: the `Allow` header says what does"))
}
