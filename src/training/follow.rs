//! A journal's lines on their way to one reader: those there are, a few at a time, then those to come.

use std::io::ErrorKind;
use std::path::PathBuf;

use tokio::sync::{mpsc, watch};

use super::journal::{Line, Reader};

/// Sends the lines of the journal at `path` until the reader hangs up or the run is over.
pub(super) struct Follower {
    pub(super) path: PathBuf,
    /// Marked whenever the journal has grown, and when the run is over.
    pub(super) changed: watch::Receiver<()>,
    pub(super) lines: mpsc::Sender<Line>,
}

impl Follower {
    /// Begins above line `after`; `live` tells whether more is to come.
    pub(super) async fn run(mut self, mut after: u64, live: impl Fn() -> bool) {
        let mut reader = None;
        loop {
            // Looked at before reading: whatever is written later is announced later.
            self.changed.mark_unchanged();
            let live = live();
            let mut more = false;
            let path = self.path.clone();
            let read = tokio::task::spawn_blocking(move || {
                let mut reader = reader.map_or_else(|| Reader::open(&path), Ok)?;
                reader.read(after).map(|lines| (reader, lines))
            });
            match read.await.unwrap_or_else(|fault| Err(fault.into())) {
                Ok((open, lines)) => {
                    reader = Some(open);
                    more = !lines.is_empty();
                    for line in lines {
                        after = line.id;
                        if self.lines.send(line).await.is_err() {
                            return;
                        }
                    }
                }
                // Not begun yet.
                Err(fault) if fault.kind() == ErrorKind::NotFound => reader = None,
                Err(fault) => return tracing::error!(path = %self.path.display(), %fault, "a journal cannot be read"),
            }
            if more {
                continue;
            }
            if !live {
                return;
            }
            tokio::select! {
                changed = self.changed.changed() => if changed.is_err() { return },
                () = self.lines.closed() => return,
            }
        }
    }
}
