//! How a command speaks: results on stdout, one sentence on stderr when it fails, and the exit code.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::config;
use crate::http::serve;

/// An argument that cannot be used, found after the command line itself was read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// What was asked to stop, and did: no fault of anybody's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stopped(pub String);

/// Writes `text` to stdout. (`println!` panics when the reader is gone, as in `convscope … | head`.)
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Says what went wrong on stderr. The exit code is 2 for usage and configuration, 1 for a failure; a reader of ours that
/// went away is no failure.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // Nobody is left to tell when stderr is gone too.
    let fault = if error.is::<Stopped>() { "" } else { "error: " };
    let _ = writeln!(io::stderr(), "{fault}{}", sentence(error));
    let setting = matches!(error.downcast_ref(), Some(serve::Error::Pictures { .. }));
    if setting || error.is::<Usage>() || error.is::<config::Error>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// Every cause once, outermost first. candle appends a backtrace to its text where one is captured: its first line is the
/// message.
fn sentence(error: &anyhow::Error) -> String {
    let cause = |cause: &(dyn std::error::Error + 'static)| {
        let text = cause.to_string();
        if cause.is::<candle_core::Error>() { text.lines().next().unwrap_or_default().to_owned() } else { text }
    };
    error.chain().map(cause).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_are_told_outermost_first() {
        let cause = candle_core::Error::Msg("shapes differ\n   0: main".into());
        let error = Err::<(), _>(crate::network::Error::from(cause)).context("cannot evaluate `tutorial`").unwrap_err();
        assert_eq!(sentence(&error), "cannot evaluate `tutorial`: the tensor library failed: shapes differ");
    }
}
