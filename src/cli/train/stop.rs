//! Everything that may end a run from outside: signals, and the pipe to whoever started it.

use std::fs::File;
use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use crate::training::supervisor::CANCEL;

/// A run whose starter is gone, and which is still at it after this long, is ended where it stands; its files are whole at
/// any moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// Exit status of a process ended by Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// How a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody does not want it any more.
    Cancel,
    /// Whatever started it goes away; it will be gone on with.
    Interrupt,
}

/// Set once, by whatever comes first.
#[derive(Debug, Clone, Default)]
pub(super) struct StopFlag(Arc<AtomicU8>);

impl StopFlag {
    /// Watches signals and, with `input`, standard input where it is a pipe.
    pub(super) fn watching(input: bool) -> Self {
        let flag = Self::default();
        let signals = flag.clone();
        thread::spawn(move || watch_signals(&signals));
        if input && stdin_is_pipe() {
            let pipe = flag.clone();
            thread::spawn(move || watch_input(&pipe));
        }
        flag
    }

    pub(super) fn get(&self) -> Option<Stop> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(Stop::Cancel),
            _ => Some(Stop::Interrupt),
        }
    }

    fn set(&self, stop: Stop) {
        let value = if stop == Stop::Cancel { 1 } else { 2 };
        let _ = self.0.compare_exchange(0, value, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// The first signal ends the run at its next event; the second ends the process.
fn watch_signals(flag: &StopFlag) {
    // Without a runtime signals do what they do to any program: end it. Its files are whole at any moment.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let first = next_signal().await;
        flag.set(first);
        next_signal().await;
        std::process::exit(INTERRUPTED);
    });
}

#[cfg(unix)]
async fn next_signal() -> Stop {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Stop::Cancel,
        _ = terminate.recv() => Stop::Interrupt,
    }
}

#[cfg(not(unix))]
async fn next_signal() -> Stop {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Stop::Cancel,
        Err(_) => std::future::pending().await,
    }
}

fn watch_input(flag: &StopFlag) {
    for line in stdin().lock().lines().map_while(Result::ok) {
        if line.trim() == CANCEL {
            flag.set(Stop::Cancel);
        }
    }
    flag.set(Stop::Interrupt);
    thread::sleep(PATIENCE);
    std::process::exit(1);
}

/// A batch system gives `/dev/null`, whose end of file means nothing.
#[cfg(unix)]
fn stdin_is_pipe() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    let kind = stdin().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata()).map(|found| found.file_type());
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

#[cfg(not(unix))]
fn stdin_is_pipe() -> bool {
    false
}
