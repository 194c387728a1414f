//! The command line's door: an error becomes one sentence on stderr and an exit code.

use std::process::ExitCode;

use convscope::cli;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
