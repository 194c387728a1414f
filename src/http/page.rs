//! The page: the files of `static/`, inside the program, compressed when it was built.

use axum::Router;
use memory_serve::CacheControl;

/// One route a file, and the page itself at `/`. Browsers ask again each time and are told that nothing changed, so that a new
/// version of the server is never seen through an old page.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let routes =
        || memory_serve::load!().html_cache_control(CacheControl::NoCache).cache_control(CacheControl::NoCache).into_router();
    // A line in the log for every file of the page at every start tells nobody anything.
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), routes)
}
