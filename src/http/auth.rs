//! Who may train, and so spend this machine's time: whoever presents the admin token, and in a browser only from the page of this
//! server.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::error::{Code, Error};
use super::state::App;

/// What browsers say of where a request comes from; pages cannot set it.
const FETCH_SITE: &str = "sec-fetch-site";

/// Lets a request with the token through.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Error> {
    if is_of_another_page(request.headers()) {
        let sentence = "another site's page sent this: /admin is called from this server's own page, or by a program";
        return Err(Error::new(Code::Forbidden, sentence));
    }
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let presented = value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let sentence = match presented {
        Some((_, token)) if app.admin.is(token.trim()) => return Ok(next.run(request).await),
        Some(_) => {
            "this is not this server's admin token: it is what CONVSCOPE_ADMIN_TOKEN or the token's file was set to, else in the \
             file `admin-token` of the server's data folder"
        }
        None => "this needs the admin token: send it as `Authorization: Bearer TOKEN`",
    };
    Err(Error::new(Code::Unauthorized, sentence))
}

/// Whether a browser says that another site's page sent this, or one of the same site and another origin, as another port is.
/// Programs say nothing, and neither do browsers on plain http to another machine.
fn is_of_another_page(headers: &HeaderMap) -> bool {
    headers.get(FETCH_SITE).is_some_and(|from| from != "same-origin" && from != "none")
}
