//! Standard error, for a server that must not fail over it: a full disk, a reader that left or one that does not read costs
//! lines, never a request.
//!
//! Lines are handed to a thread that alone writes, and dropped while it cannot keep up. This module knows nobody else.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Lines that may wait to be written.
const WAITING: usize = 4096;
/// What a program that ends gives its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

enum Message {
    Text(Vec<u8>),
    /// Everything before it was written.
    Written(SyncSender<()>),
}

/// Writes `text` and a line's end to standard error.
pub fn line(text: &str) {
    send(format!("{text}\n").into_bytes());
}

/// Standard error for whoever wants something to write into; each write is one message.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        send(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until what was said so far is written, though not for a reader that does not read.
pub fn flush() {
    let (written, wait) = sync_channel(1);
    // A full queue is one that nobody reads: there is nothing to wait for.
    if let Some(queue) = queue()
        && queue.try_send(Message::Written(written)).is_ok()
    {
        let _ = wait.recv_timeout(LAST_LINES);
    }
}

/// Lines that were dropped since the last one that was written.
static LOST: AtomicU64 = AtomicU64::new(0);

fn send(text: Vec<u8>) {
    match queue() {
        Some(queue) => {
            if queue.try_send(Message::Text(text)).is_err() {
                LOST.fetch_add(1, Ordering::Relaxed);
            }
        }
        None => drop(io::stderr().write_all(&text)),
    }
}

/// None where the system gives no thread for it.
fn queue() -> Option<&'static SyncSender<Message>> {
    static QUEUE: OnceLock<Option<SyncSender<Message>>> = OnceLock::new();
    let start = || {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("stderr".into()).spawn(move || write(&receiver));
        thread.ok().map(|_| sender)
    };
    QUEUE.get_or_init(start).as_ref()
}

fn write(messages: &Receiver<Message>) {
    for message in messages {
        match message {
            Message::Text(text) => {
                let lost = LOST.swap(0, Ordering::Relaxed);
                let mut stderr = io::stderr();
                if lost > 0 {
                    let _ = writeln!(stderr, "{lost} lines of the log are lost: standard error was not read");
                }
                // Nobody is left to tell when it fails.
                let _ = stderr.write_all(&text);
            }
            Message::Written(told) => drop(told.try_send(())),
        }
    }
}
