//! The log: what `tracing` says, in the configured form, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::console;

/// From now on the program logs as `log` says.
pub fn start(log: &Log) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&log.level))
        .with_writer(|| console::Stderr)
        // It would print what could not be printed, and panic over that.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Json => subscriber.json().init(),
        LogFormat::Pretty => subscriber.init(),
    }
}
