//! Who may train, and so spend this machine's time: whoever presents the admin token.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

use super::error::{Code, Error};
use super::state::App;

/// Lets a request with the token through.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Error> {
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
