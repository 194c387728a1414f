//! `/docs`: the page that shows [`super::openapi`]'s document. Three files of ours, inside the program, under a policy of their
//! own that is no looser than the page's.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::error::{Code, Error};
use super::extract::{Path, unknown};
use super::packed::Packed;

/// It runs its own script and asks this server; what it is answered it shows, pictures too.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static PAGE: LazyLock<Packed> = LazyLock::new(|| Packed::new("text/html; charset=utf-8", &include_bytes!("docs/docs.html")[..]));
static SCRIPT: LazyLock<Packed> =
    LazyLock::new(|| Packed::new("text/javascript; charset=utf-8", &include_bytes!("docs/docs.js")[..]));
static STYLE: LazyLock<Packed> = LazyLock::new(|| Packed::new("text/css; charset=utf-8", &include_bytes!("docs/docs.css")[..]));

/// The page itself.
pub async fn page(headers: HeaderMap) -> Response {
    let mut response = PAGE.answer(&headers);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// What it consists of.
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    match name.as_str() {
        "docs.js" => Ok(SCRIPT.answer(&headers)),
        "docs.css" => Ok(STYLE.answer(&headers)),
        _ => Err(Error::new(Code::NotFound, unknown("file of the documentation called", &name, &["docs.js", "docs.css"]))),
    }
}
