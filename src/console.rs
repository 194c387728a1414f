//! Standard error, for a server that must not fail over it: a full disk, a reader that left or one that does not read costs
//! lines, never a request.
//!
//! Lines are handed to a thread that alone writes, and dropped, and counted, while it cannot keep up. It takes what has gathered
//! at once and then rests a moment, so that a line that can wait ([`later`]) costs whoever says it neither the words nor a
//! system call; others end its rest. Lines are written in the order in which they were said. This module knows nobody else.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Thread;
use std::time::Duration;

/// Lines that may wait to be written.
const WAITING: usize = 4096;
/// How long lines that can wait are gathered before they are written.
const GATHERED: Duration = Duration::from_millis(10);
/// Bytes that are written at once, or a little more.
const BLOCK: usize = 64 << 10;
/// What a program that ends gives its last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Writes a line, its end included, to where it is gathered.
type Words = Box<dyn FnOnce(&mut Vec<u8>) + Send>;

enum Message {
    Text(Vec<u8>),
    Words(Words),
    /// Everything before it was written.
    Written(SyncSender<()>),
}

/// Writes `text` and a line's end to standard error.
pub fn line(text: &str) {
    send(format!("{text}\n").into_bytes());
}

/// The same within some hundredths of a second, and `words` put it, end included, on the thread that writes.
pub fn later(words: impl FnOnce(&mut Vec<u8>) + Send + 'static) {
    if let Some(queue) = queue() {
        queue.put(Message::Words(Box::new(words)));
    } else {
        let mut text = Vec::new();
        words(&mut text);
        drop(io::stderr().write_all(&text));
    }
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
    flush_within(LAST_LINES);
}

/// The same, for at most `time`.
pub fn flush_within(time: Duration) {
    let (written, wait) = sync_channel(1);
    // A full queue is one that nobody reads: there is nothing to wait for.
    if let Some(queue) = queue()
        && queue.sender.try_send(Message::Written(written)).is_ok()
    {
        queue.writer.unpark();
        let _ = wait.recv_timeout(time);
    }
}

/// From now on lost lines are told of in a line that `words` put, its end left out: a log that is JSON stays so.
pub fn tell_losses(words: fn(u64) -> String) {
    // The first one stays: a program has one log.
    let _ = TELL.set(words);
}

static TELL: OnceLock<fn(u64) -> String> = OnceLock::new();

/// What is said of `lost` lines.
pub fn losses(lost: u64) -> String {
    format!("{lost} lines of the log are lost: standard error was not read")
}

struct Queue {
    sender: SyncSender<Message>,
    writer: Thread,
    /// Lines that were dropped since the last one that was written.
    lost: &'static AtomicU64,
}

impl Queue {
    fn put(&self, message: Message) {
        if self.sender.try_send(message).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

static LOST: AtomicU64 = AtomicU64::new(0);

fn send(text: Vec<u8>) {
    match queue() {
        Some(queue) => {
            queue.put(Message::Text(text));
            queue.writer.unpark();
        }
        None => drop(io::stderr().write_all(&text)),
    }
}

/// None where the system gives no thread for it.
fn queue() -> Option<&'static Queue> {
    static QUEUE: OnceLock<Option<Queue>> = OnceLock::new();
    let start = || {
        let (sender, receiver) = sync_channel(WAITING);
        let work = move || write(&receiver, &LOST, &mut io::stderr());
        let thread = std::thread::Builder::new().name("stderr".into()).spawn(work).ok()?;
        Some(Queue { sender, writer: thread.thread().clone(), lost: &LOST })
    };
    QUEUE.get_or_init(start).as_ref()
}

/// Writes what comes of `messages` into `out` until nobody can say anything any more.
fn write(messages: &Receiver<Message>, lost: &AtomicU64, out: &mut impl Write) {
    let (mut text, mut told) = (Vec::new(), Vec::new());
    while let Ok(first) = messages.recv() {
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Text(line) => text.extend_from_slice(&line),
                Message::Words(words) => words(&mut text),
                Message::Written(tell) => told.push(tell),
            }
            next = if text.len() < BLOCK { messages.try_recv().ok() } else { None };
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let tell = TELL.get().copied().unwrap_or(losses);
            text.extend_from_slice(tell(lost).as_bytes());
            text.push(b'\n');
        }
        // Nobody is left to tell when it fails.
        let _ = out.write_all(&text);
        text.clear();
        for tell in told.drain(..) {
            let _ = tell.try_send(());
        }
        std::thread::park_timeout(GATHERED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that comes of `messages`, and then the end of it.
    fn written(messages: Vec<Message>, lost: u64) -> String {
        let (sender, receiver) = sync_channel(messages.len());
        for message in messages {
            sender.try_send(message).unwrap();
        }
        drop(sender);
        let mut out = Vec::new();
        write(&receiver, &AtomicU64::new(lost), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_written_in_order_and_lost_ones_are_told_of() {
        let lazy = |text: &'static str| Message::Words(Box::new(move |out| out.extend_from_slice(text.as_bytes())));
        let (tell, told) = sync_channel(1);
        let messages =
            vec![Message::Text(b"one\n".to_vec()), lazy("two\n"), Message::Written(tell), Message::Text(b"three\n".to_vec())];
        let text = written(messages, 7);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(&lines[..3], ["one", "two", "three"]);
        assert!(lines[3].starts_with("7 lines"), "{text}");
        told.try_recv().unwrap();
        assert_eq!(written(Vec::new(), 7), "", "a loss waits for a line that can be written");
    }

    #[test]
    fn a_full_queue_counts_what_it_drops_and_never_waits() {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (sender, _receiver) = sync_channel(1);
        let queue = Queue { sender, writer: std::thread::current(), lost: &COUNT };
        for _ in 0..4 {
            queue.put(Message::Words(Box::new(|_| ())));
        }
        assert_eq!(COUNT.load(Ordering::Relaxed), 3);
    }
}
