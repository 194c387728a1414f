//! One connection, below HTTP: how long it may be silent, how long its peer may leave an answer unread, and what it is told when
//! what it sends is no HTTP.
//!
//! hyper has one time for a request's headers and the pause before them, none for writing, and answers what it cannot read
//! with a bare status. So its stream is a [`Line`], which knows from [`Peer`] what is under way on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::access;
use super::error::{Code, Error};
use super::pace::HURRY;
use super::peer::{Call, Peer};

/// A peer that takes this much of an answer in the time it has is reading.
const READING: usize = 64 << 10;
/// What is read to its end from a peer that was refused and goes on sending: a closed connection would cost it the answer.
const LEFT: usize = 64 << 20;

/// What a connection is given.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From its beginning, or from a later request's first byte, to the end of the headers.
    pub headers: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For the next `READING` bytes of an answer to be taken.
    pub write: Duration,
}

/// Why nothing comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// A request's headers are awaited, or the rest of them.
    Headers,
    /// Nothing was asked.
    Idle,
}

/// The stream of one connection.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    times: Times,
    peer: Arc<Peer>,
    /// Why nothing comes, where something is awaited; and until when.
    silence: Option<Silence>,
    until: Pin<Box<Sleep>>,
    /// Requests that had begun when the silence was last looked at.
    begun: usize,
    /// Whether a byte came since.
    heard: bool,
    /// Since when a write has waited, and how much was taken since.
    stalled: Option<(Pin<Box<Sleep>>, usize)>,
    /// What is said in its place, and how much of it was written.
    ours: Option<(Vec<u8>, usize)>,
    /// The end of writing was sent; until when and how much more is read.
    ending: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Line {
    /// The line of `stream`, whose other end is `peer`.
    pub fn new(stream: TcpStream, times: Times, peer: Arc<Peer>) -> Self {
        let (silence, until) = (Some(Silence::Headers), Box::pin(sleep(times.headers)));
        Self { stream, times, peer, silence, until, begun: 0, heard: false, stalled: None, ours: None, ending: None }
    }

    /// Whether the connection has been silent for too long.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        // What was answered may still wait to be written: that has a time of its own.
        if !self.peer.is_silent(context.waker()) || !self.peer.is_answered() {
            self.speaks();
            return false;
        }
        if self.silence.is_none() {
            self.wait(Silence::Idle);
        }
        let begun = self.silence == Some(Silence::Headers) && self.heard;
        let call = if begun { Call::Go } else { Call::Leave };
        if !self.peer.is_called(call) && self.until.as_mut().poll(context).is_pending() {
            return false;
        }
        if begun && self.ours.is_none() {
            let late =
                Error::new(Code::RequestTimeout, "the request's headers did not arrive in time: send it again, without pauses");
            self.say(&late);
            // They are few bytes, and nothing else was written: the system takes them, or nobody is there.
            let _ = self.poll_ours(context);
        }
        true
    }

    fn wait(&mut self, silence: Silence) {
        let time = match silence {
            Silence::Headers => self.times.headers,
            Silence::Idle => self.times.idle,
        };
        let now = Instant::now();
        if self.silence.is_none() {
            self.peer.waits(Some(now.into_std()));
        }
        self.silence = Some(silence);
        self.until.as_mut().reset(now + time);
    }

    /// Nothing is awaited.
    fn speaks(&mut self) {
        if self.silence.take().is_some() {
            self.peer.waits(None);
        }
    }

    /// Forgets what was awaited, if it has come.
    fn look(&mut self) {
        let begun = self.peer.begun();
        if begun != self.begun {
            (self.begun, self.heard) = (begun, false);
            self.peer.holds_a_part(false);
            self.speaks();
        }
    }

    fn say(&mut self, refusal: &Error) {
        self.ours = Some((access::bare(refusal, self.peer.address), 0));
    }

    /// Writes what is said in hyper's place.
    fn poll_ours(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((text, at)) = &mut self.ours
            && *at < text.len()
        {
            let outcome = Pin::new(&mut self.stream).poll_write(context, &text[*at..]);
            let outcome = pace(&mut self.stalled, write_time(self.times, &self.peer), context, outcome);
            match ready!(outcome)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => *at += count,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether what hyper writes, when every answer was written, is its own: it could not read a request. It is swallowed, and
    /// ours is said.
    fn replaces(&mut self, text: &[u8]) -> bool {
        if !self.peer.is_answered() {
            return false;
        }
        if self.ours.is_none() {
            let status = text.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
            self.say(&match status {
                Some("414") => Error::new(Code::UriTooLong, "the address is longer than is read here: put less into it"),
                Some("431") => Error::new(
                    Code::HeadersTooLarge,
                    "the request has more headers, or larger ones, than are read here: send fewer, in less than 100 lines",
                ),
                _ => Error::new(
                    Code::BadRequest,
                    "this is no request in HTTP/1.1: check its first line and its headers, and write http:// here, not https://",
                ),
            });
        }
        true
    }
}

/// For the next `READING` bytes of an answer to `peer`; nobody who reads nothing delays the exit.
fn write_time(times: Times, peer: &Peer) -> Duration {
    if peer.is_called(Call::Leave) { times.write.min(HURRY) } else { times.write }
}

/// `outcome` of a write, or an error where its peer has long taken too little.
fn pace(
    stalled: &mut Option<(Pin<Box<Sleep>>, usize)>,
    time: Duration,
    context: &mut Context<'_>,
    outcome: Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    match outcome {
        Poll::Ready(Ok(count)) => {
            if let Some((_, taken)) = stalled {
                *taken += count;
                if *taken >= READING {
                    *stalled = None;
                }
            }
            Poll::Ready(Ok(count))
        }
        Poll::Pending => {
            let (over, _) = stalled.get_or_insert_with(|| (Box::pin(sleep(time)), 0));
            let latest = Instant::now() + time;
            if over.deadline() > latest {
                over.as_mut().reset(latest);
            }
            ready!(over.as_mut().poll(context));
            Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read")))
        }
        failed @ Poll::Ready(Err(_)) => failed,
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        line.look();
        let before = into.filled().len();
        match Pin::new(&mut line.stream).poll_read(context, into) {
            Poll::Ready(Ok(())) => {
                line.heard |= into.filled().len() > before;
                let awaited = line.peer.is_done() && line.peer.is_answered();
                // The first request's time began with the connection; another's begins now.
                if awaited && line.silence != Some(Silence::Headers) {
                    line.wait(Silence::Headers);
                }
                line.peer.holds_a_part(awaited && line.heard);
                Poll::Ready(Ok(()))
            }
            // As if the peer had closed it.
            Poll::Pending if line.is_over(context) => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, text: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(text)])
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        if line.replaces(parts.first().map_or(&[], |part| &**part)) {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        let outcome = Pin::new(&mut line.stream).poll_write_vectored(context, parts);
        pace(&mut line.stalled, write_time(line.times, &line.peer), context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        ready!(line.poll_ours(context))?;
        ready!(Pin::new(&mut line.stream).poll_flush(context))?;
        // hyper flushes when it has written everything.
        line.stalled = None;
        line.peer.wrote();
        line.look();
        if line.silence.is_none() {
            // hyper does not read again when an answer is sent, so the time of the pause begins here.
            let _ = line.is_over(context);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection; where its peer was refused and still sends, only once that was read or for a while.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        if line.ending.is_none() {
            ready!(line.poll_ours(context))?;
            ready!(Pin::new(&mut line.stream).poll_shutdown(context))?;
        }
        if line.ours.is_none() && !line.peer.has_left_body() {
            return Poll::Ready(Ok(()));
        }
        line.peer.holds_a_part(true);
        let headers = line.times.headers;
        let (over, read) = line.ending.get_or_insert_with(|| (Box::pin(sleep(headers)), 0));
        let mut scratch = [0; 8192];
        while *read < LEFT && over.as_mut().poll(context).is_pending() {
            let mut into = ReadBuf::new(&mut scratch);
            let outcome = ready!(Pin::new(&mut line.stream).poll_read(context, &mut into));
            match into.filled().len() {
                0 => break,
                _ if outcome.is_err() => break,
                count => *read += count,
            }
        }
        Poll::Ready(Ok(()))
    }
}
