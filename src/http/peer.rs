//! Who is at the other end of a connection, and what is under way for it: what requests tell the [`super::line`] they came on,
//! and what [`super::lines`] tell it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

/// One connection's. Requests find it among their extensions.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether it came when there was room for health alone.
    pub spare: bool,
    /// Requests that were begun, ever.
    begun: AtomicUsize,
    /// Those of them whose answers were written wholly.
    written: AtomicUsize,
    /// Requests that hyper was not given the whole answer of.
    unanswered: AtomicUsize,
    /// These, and bodies being read.
    under_way: AtomicUsize,
    /// A body was left unread.
    left: AtomicBool,
    /// What comes is waited for by nobody.
    partial: AtomicBool,
    /// A [`Call`].
    called: AtomicU8,
    reader: Mutex<Reader>,
}

#[derive(Debug)]
struct Reader {
    /// Of whoever reads the connection.
    waker: Option<Waker>,
    /// Whether it waits for the end of what is under way.
    waits: bool,
    /// Since when nothing was under way.
    silent: Option<Instant>,
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Nothing.
    Stay,
    /// To end, unless a request has begun to arrive; and with the next answer.
    Leave,
    /// To end, unless a request has wholly arrived; and with the next answer.
    Go,
}

/// Something under way on a connection, for as long as this is kept.
#[derive(Debug)]
pub struct UnderWay {
    peer: Arc<Peer>,
    /// Whether it is an answer.
    answer: bool,
}

impl Peer {
    /// Nothing was asked yet.
    pub fn at(address: SocketAddr, spare: bool) -> Self {
        let (begun, written, unanswered, under_way) = Default::default();
        let reader = Mutex::new(Reader { waker: None, waits: false, silent: Some(Instant::now()) });
        let (left, partial, called) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU8::new(Call::Stay as u8));
        Self { address, spare, begun, written, unanswered, under_way, left, partial, called, reader }
    }

    /// An answer is awaited.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let mut under_way = self.receive();
        under_way.answer = true;
        under_way
    }

    /// A body is read.
    pub fn receive(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay { peer: Arc::clone(self), answer: false }
    }

    /// Requests that were begun, ever.
    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Everything that hyper had was written. If that was every answer, nothing is left to be.
    pub fn wrote(&self) {
        if self.unanswered.load(Ordering::Relaxed) == 0 {
            self.written.store(self.begun(), Ordering::Relaxed);
        }
    }

    /// Whether every answer was written wholly.
    pub fn is_answered(&self) -> bool {
        self.begun() == self.written.load(Ordering::Relaxed)
    }

    /// The rest of a body will not be read by anybody; what comes of it is dropped when the connection ends.
    pub fn leave_body(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// Whether there is such a rest.
    pub fn has_left_body(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Whether nothing is under way.
    pub fn is_done(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0
    }

    /// Whether only a part of a request has come, or the connection ends and reads the rest of one that was refused.
    pub fn holds_a_part(&self, partial: bool) {
        self.partial.store(partial, Ordering::Relaxed);
    }

    /// Whether the end of the server waits for it: something is under way, or was answered and not wholly written, or it has not
    /// looked yet at what it was told.
    pub fn is_waited_for(&self) -> bool {
        !(self.is_done() && self.is_answered() && self.partial.load(Ordering::Relaxed))
    }

    /// Whether nothing is under way. `waker` is woken after what is, and when the connection is called.
    pub fn is_silent(&self, waker: &Waker) -> bool {
        // The lock orders this with the end of what is under way: either that is seen here, or it finds the waker.
        let mut reader = self.reader();
        match &mut reader.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        let silent = self.is_done();
        reader.waits = !silent;
        silent
    }

    /// Remembers since when the connection waits for a request; None while one is under way.
    pub fn waits(&self, since: Option<Instant>) {
        self.reader().silent = since;
    }

    /// Since when it does.
    pub fn silent_since(&self) -> Option<Instant> {
        self.reader().silent.filter(|_| self.is_done())
    }

    /// Tells the connection something, which it is not told less of any more.
    pub fn call(&self, what: Call) {
        self.called.fetch_max(what as u8, Ordering::Relaxed);
        if let Some(waker) = &self.reader().waker {
            waker.wake_by_ref();
        }
    }

    /// Whether it was told as much.
    pub fn is_called(&self, what: Call) -> bool {
        self.called.load(Ordering::Relaxed) >= what as u8
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.answer {
            self.peer.unanswered.fetch_sub(1, Ordering::Relaxed);
        }
        let mut reader = self.peer.reader();
        if self.peer.under_way.fetch_sub(1, Ordering::Relaxed) == 1
            && std::mem::take(&mut reader.waits)
            && let Some(waker) = reader.waker.take()
        {
            drop(reader);
            waker.wake();
        }
    }
}
