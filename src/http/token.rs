//! The admin token: the configured one, or one that is made at the first start and kept.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use rand::TryRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{Config, LogFormat, Token};
use crate::console;

/// Where a token that was made is kept, in the data folder.
pub const FILE: &str = "admin-token";
/// A token of fewer characters can be guessed.
const SHORTEST: usize = 16;

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

    /// The configured token; else the one that an earlier start kept, or a new one, made known to whoever started the server
    /// at `address`.
    pub fn establish(config: &Config, address: SocketAddr) -> Self {
        if let Some(token) = &config.server.admin_token {
            warn_if_short(token);
            return Self::of(token.reveal());
        }
        let path = config.data_dir.join(FILE);
        let kept = kept(&path);
        let Some(token) = kept.clone().or_else(random) else {
            tracing::error!("no admin token could be made: set CONVSCOPE_ADMIN_TOKEN to use /admin");
            return Self { digest: [0; 32] };
        };
        warn_if_short(&token);
        let written = if kept.is_some() { Ok(()) } else { keep(&token, &path) };
        if let Err(e) = &written {
            let path = path.display();
            tracing::warn!(%path, error = %e, "the admin token cannot be kept: set CONVSCOPE_ADMIN_TOKEN, or every start has a new one");
        }
        // On a terminal a link that is opened once; elsewhere only where it is. A log gets no token.
        if std::io::stderr().is_terminal() && config.log.format == LogFormat::Pretty {
            console::line(&format!("to train from the page, open http://{address}/#token={}", token.reveal()));
        } else if written.is_ok() {
            tracing::info!(path = %path.display(), "the admin token is in this file");
        }
        Self::of(token.reveal())
    }

    /// In a time that says nothing of where they differ: digests of equal length, compared wholly.
    pub fn is(&self, presented: &str) -> bool {
        Self::of(presented).digest.ct_eq(&self.digest).into()
    }
}

fn warn_if_short(token: &Token) {
    let characters = token.reveal().len();
    if characters < SHORTEST {
        tracing::warn!(characters, "the admin token is short enough to be guessed: use at least {SHORTEST} random characters");
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

/// The token at `path`, if it is one that not everybody could read. (A group may: volumes in Kubernetes are given to one.)
fn kept(path: &Path) -> Option<Token> {
    let text = std::fs::read_to_string(path).ok()?;
    if !is_private(path) {
        tracing::warn!(path = %path.display(), "everybody could read the admin token: a new one is made");
        return None;
    }
    let token = Token::new(&text);
    token.inspect_err(|reason| tracing::warn!(path = %path.display(), reason, "a new admin token is made")).ok()
}

/// Whether the mode's last digit, everybody's, is 0.
#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() % 8 == 0)
}

#[cfg(not(unix))]
fn is_private(_path: &Path) -> bool {
    true
}

fn keep(token: &Token, path: &Path) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    // Made with mode 0600, and renamed into place.
    let mut file = tempfile::Builder::new().prefix(".").suffix(".tmp").tempfile_in(folder)?;
    writeln!(file, "{}", token.reveal())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
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
    fn a_made_token_is_kept_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data").join(FILE);
        assert_eq!(kept(&path), None);
        let token = random().unwrap();
        keep(&token, &path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(kept(&path), Some(token));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(kept(&path), None, "everybody may know it");
        std::fs::write(&path, "\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(kept(&path), None, "it is empty");
    }
}
