//! The admin token: a secret that no log line and no debug output shows.

use std::fmt;

/// What an admin request must present.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// `text` without surrounding white space, if it can stand in a header.
    pub fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            _ if text.is_empty() => Err("the admin token is empty".into()),
            false => Err("the admin token must be ASCII letters, digits and signs without spaces".into()),
            true => Ok(Self(text.into())),
        }
    }

    /// The secret itself: for comparing, and for the link that is shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}
