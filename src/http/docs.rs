//! `/docs`: the page that shows [`super::openapi`]'s document. Three files of ours, inside the program: nothing inline and
//! nothing from elsewhere, so that the strict policy of all answers holds for it too, where a bought renderer would need a looser
//! one.

use std::sync::LazyLock;

use axum::http::HeaderMap;
use axum::response::Response;

use super::error::{Code, Error};
use super::extract::{Path, unknown};
use super::packed::Packed;

static PAGE: LazyLock<Packed> = LazyLock::new(|| Packed::new("text/html; charset=utf-8", &include_bytes!("docs/docs.html")[..]));
static SCRIPT: LazyLock<Packed> =
    LazyLock::new(|| Packed::new("text/javascript; charset=utf-8", &include_bytes!("docs/docs.js")[..]));
static STYLE: LazyLock<Packed> = LazyLock::new(|| Packed::new("text/css; charset=utf-8", &include_bytes!("docs/docs.css")[..]));

/// The page itself.
pub async fn page(headers: HeaderMap) -> Response {
    PAGE.answer(&headers)
}

/// What it consists of.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    match name.as_str() {
        "docs.js" => Ok(SCRIPT.answer(&headers)),
        "docs.css" => Ok(STYLE.answer(&headers)),
        _ => Err(Error::new(Code::NotFound, unknown("file of the documentation called", &name, &["docs.js", "docs.css"]))),
    }
}
