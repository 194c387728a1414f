//! Who may train, and so spend this machine's time: whoever presents the admin token.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use rand::TryRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::{Code, Error};
use super::state::App;
use crate::config::{Config, Token};

/// Where a token that was made at start-up is left when nobody watches.
const FILE: &str = "admin-token";

/// What is left of a token once it is not needed in the clear.
pub struct AdminToken {
    digest: [u8; 32],
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(hidden)")
    }
}

impl AdminToken {
    fn of(text: &str) -> Self {
        Self { digest: Sha256::digest(text).into() }
    }

    /// The configured token, or a new one that is made known to whoever started the server at `address`.
    pub fn establish(config: &Config, address: SocketAddr) -> Self {
        if let Some(token) = &config.server.admin_token {
            return Self::of(token.reveal());
        }
        let Some(token) = random() else {
            tracing::error!("no admin token could be made: set CONVSCOPE_ADMIN_TOKEN to use /admin");
            return Self { digest: [0; 32] };
        };
        announce(&token, &config.data_dir, address);
        Self::of(token.reveal())
    }

    /// In a time that says nothing of where they differ: digests of equal length, compared wholly.
    fn is(&self, presented: &str) -> bool {
        Self::of(presented).digest.ct_eq(&self.digest).into()
    }
}

/// 256 random bits in hexadecimal.
fn random() -> Option<Token> {
    let mut bytes = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).ok()?;
    let mut text = String::new();
    bytes.iter().try_for_each(|byte| write!(text, "{byte:02x}")).ok()?;
    Token::new(&text).ok()
}

/// On a terminal a link that is opened once; elsewhere a file that only its owner reads. A log gets no token.
fn announce(token: &Token, data_dir: &Path, address: SocketAddr) {
    if std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr(), "to train from the page, open http://{address}/#token={}", token.reveal());
        return;
    }
    match write_private(token, data_dir) {
        Ok(path) => tracing::info!(path = %path.display(), "an admin token was made; it is in this file"),
        Err(e) => {
            let folder = data_dir.display();
            tracing::warn!(%folder, error = %e, "an admin token cannot be written: set CONVSCOPE_ADMIN_TOKEN to use /admin");
        }
    }
}

fn write_private(token: &Token, data_dir: &Path) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(data_dir)?;
    // Made with mode 0600, and renamed over a file of an earlier start.
    let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(data_dir)?;
    writeln!(file, "{}", token.reveal())?;
    let path = data_dir.join(FILE);
    file.persist(&path).map_err(|e| e.error)?;
    Ok(path)
}

/// Lets a request with the token through.
pub async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Error> {
    let value = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let presented = value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match presented {
        None => {
            let sentence = "this needs the admin token: send it as `Authorization: Bearer TOKEN`";
            Err(Error::new(Code::Unauthorized, sentence))
        }
        Some((_, token)) if !app.admin.is(token.trim()) => Err(Error::new(
            Code::Forbidden,
            "this is not this server's admin token: it is in the server's log, or where it was set",
        )),
        Some(_) => Ok(next.run(request).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = random().unwrap();
        let admin = AdminToken::of(token.reveal());
        assert!(admin.is(token.reveal()));
        for wrong in ["", &token.reveal()[1..], &format!("{} ", token.reveal())] {
            assert!(!admin.is(wrong), "{wrong}");
        }
        assert_ne!(random(), random());
    }

    #[test]
    #[cfg(unix)]
    fn a_made_token_is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let token = random().unwrap();
        let path = write_private(&token, &folder.path().join("data")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), token.reveal());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
