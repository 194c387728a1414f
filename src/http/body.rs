//! The one door for bodies that are kept: their memory is charged as their bytes arrive, and one that drips is cut.
//!
//! What a caller announces costs nobody anything. Nobody waits for memory with memory in its hands, so no two bodies can wait
//! for each other: who gets none is refused, and gives back what it had. This module does not know what the bytes are.

use std::ops::Deref;

use axum::body::{Body, HttpBody};
use tokio_stream::StreamExt;

use super::budget::Share;
use super::error::{Code, Error};
use super::pace::Pace;
use super::state::App;

/// Of every body, so much is not charged: whoever sends something small is not refused because others send something large.
/// How many there are is bounded, by the places of images and by the connections.
const FREE: usize = 64 << 10;

/// Bytes that came, and their share of the memory that bodies may take: it is given back when they are gone, not before.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Vec<u8>,
    share: Option<Share>,
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body on its way in.
#[derive(Debug)]
pub struct Arrival<'a> {
    app: &'a App,
    pace: Pace,
    limit: usize,
    /// The most that can still come.
    rest: usize,
    /// What is still free.
    free: usize,
}

impl<'a> Arrival<'a> {
    /// Of `body`, which may have `limit` bytes; one that announces more is refused.
    pub fn of(body: &Body, limit: usize, app: &'a App) -> Result<Self, Error> {
        let announced = body.size_hint().exact();
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit));
        }
        let rest = announced.map_or(limit, |length| length as usize);
        Ok(Self { app, pace: Pace::new(app.patience()), limit, rest, free: FREE })
    }

    /// What `reading` gives, the body's next part or something that waits for it; not for ever.
    pub async fn next<T>(&self, reading: impl Future<Output = T>) -> Result<T, Error> {
        self.pace.next(reading).await.ok_or_else(dripping)
    }

    /// Puts `part`, which came, behind what is `held`; or refuses, where there is no memory.
    pub fn take(&mut self, held: &mut Held, part: &[u8]) -> Result<(), Error> {
        self.pace.came(part.len());
        let (length, had) = (held.bytes.len() + part.len(), held.bytes.capacity());
        if length > had {
            // Twice as much each time, though no more than can come: what is charged is at most twice what came.
            let rest = self.rest.max(part.len());
            let capacity = length.max((2 * had).min(held.bytes.len() + rest));
            self.charge(held, capacity - had)?;
            held.bytes.reserve_exact(capacity - held.bytes.len());
        }
        self.rest = self.rest.saturating_sub(part.len());
        held.bytes.extend_from_slice(part);
        Ok(())
    }

    /// All of `body`, the one this is of.
    pub async fn read(mut self, body: Body) -> Result<Held, Error> {
        let mut held = Held::default();
        let mut parts = body.into_data_stream();
        while let Some(part) = self.next(parts.next()).await? {
            let part = part.map_err(|_| cut_off())?;
            if held.len() + part.len() > self.limit {
                return Err(too_large(self.limit));
            }
            self.take(&mut held, &part)?;
        }
        Ok(held)
    }

    fn charge(&mut self, held: &mut Held, bytes: usize) -> Result<(), Error> {
        let free = bytes.min(self.free);
        self.free -= free;
        if bytes > free {
            let share = self.app.bodies.try_take((bytes - free) as u64).ok_or_else(|| self.app.engine.full())?;
            match &mut held.share {
                Some(held) => held.merge(share),
                none => *none = Some(share),
            }
        }
        Ok(())
    }
}

/// Reads a whole body of at most `limit` bytes.
pub async fn read(body: Body, limit: usize, app: &App) -> Result<Held, Error> {
    Arrival::of(&body, limit, app)?.read(body).await
}

/// A body that its pace has cut.
pub fn dripping() -> Error {
    Error::new(Code::RequestTimeout, "the body stopped arriving, or all but stopped: send it again, without pauses")
}

/// A body whose end never came.
pub fn cut_off() -> Error {
    Error::new(Code::BadRequest, "the body ended before it was complete: send it whole")
}

/// More bytes than `limit`.
pub fn too_large(limit: usize) -> Error {
    Error::new(Code::BodyTooLarge, format!("the body has more than the {limit} bytes allowed: send a smaller one"))
}
