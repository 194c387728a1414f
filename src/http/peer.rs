//! Who is at the other end of a connection, and what is under way for it: what requests tell the [`super::line`] they came on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// One connection's. Requests find it among their extensions.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Requests that were begun, ever.
    begun: AtomicUsize,
    /// Requests that hyper was not given the whole answer of.
    unanswered: AtomicUsize,
    /// These, and bodies being read.
    under_way: AtomicUsize,
    /// A body was left unread.
    left: AtomicBool,
    reader: Mutex<Option<Waker>>,
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
    pub fn at(address: SocketAddr) -> Self {
        let (begun, unanswered, under_way) = Default::default();
        Self { address, begun, unanswered, under_way, left: AtomicBool::new(false), reader: Mutex::new(None) }
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

    /// Whether hyper has the whole answer to each of them.
    pub fn has_all_answers(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) == 0
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

    /// Whether nothing is under way. If something is, `waker` is woken after it.
    pub fn is_silent(&self, waker: &Waker) -> bool {
        // The lock orders this with the end of what is under way: either that is seen here, or it finds the waker.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = self.is_done();
        *reader = (!silent).then(|| waker.clone());
        silent
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.answer {
            self.peer.unanswered.fetch_sub(1, Ordering::Relaxed);
        }
        let mut reader = self.peer.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if self.peer.under_way.fetch_sub(1, Ordering::Relaxed) == 1
            && let Some(waker) = reader.take()
        {
            drop(reader);
            waker.wake();
        }
    }
}
