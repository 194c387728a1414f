//! Where pictures are decoded that are not decoded at once: on as many threads as there are cores, and in as much memory as the
//! configuration allows. There are two lanes, each in the order of arrival, so that what is soon done never waits behind what is
//! not: however large a picture a caller announces, those of the others pass it by.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::budget::{Budget, Share};
use super::error::Error;

/// Of all memory, what is kept for pictures of the short lane: a sixteenth.
const RESERVED: u64 = 16;
/// Pictures of the short lane that fit in what is kept for them.
const BESIDE: u64 = 4;

/// The threads and the memory for pictures.
#[derive(Debug)]
pub struct Decoding {
    short: Lane,
    long: Lane,
    /// What a picture of the short lane takes at most.
    little: u64,
    /// What one of the long lane takes at most without the memory of the short one.
    much: u64,
}

#[derive(Debug)]
struct Lane {
    memory: Budget,
    threads: Arc<Semaphore>,
}

/// Memory of a picture, and of one that takes nearly all of it also the other lane's. Dropping it gives it back.
#[derive(Debug)]
pub struct Room {
    _shares: (Share, Option<Share>),
}

impl Decoding {
    /// In `bytes` of memory, and on `threads` threads a lane.
    pub fn new(bytes: u64, threads: usize) -> Self {
        let reserved = bytes / RESERVED;
        let lane = |bytes| Lane { memory: Budget::new(bytes), threads: Arc::new(Semaphore::new(threads.max(1))) };
        Self { short: lane(reserved), long: lane(bytes - reserved), little: reserved / BESIDE, much: bytes - reserved }
    }

    /// Memory for `bytes`, once it is free.
    ///
    /// # Errors
    /// While the server stops.
    pub async fn take(&self, bytes: u64) -> Result<Room, Error> {
        let lane = if bytes <= self.little { &self.short } else { &self.long };
        let own = lane.memory.take(bytes).await.ok_or_else(Error::stopping)?;
        let rest = bytes.saturating_sub(self.much);
        let other = if rest > 0 { Some(self.short.memory.take(rest).await.ok_or_else(Error::stopping)?) } else { None };
        Ok(Room { _shares: (own, other) })
    }

    /// The same, if it is little and free now.
    fn try_take(&self, bytes: u64) -> Option<Room> {
        let share = (bytes <= self.little).then(|| self.short.memory.try_take(bytes)).flatten()?;
        Some(Room { _shares: (share, None) })
    }

    /// Does `work`, which looks at a header, on a thread of the short lane. It is handed a way to ask for memory: where a picture takes
    /// little, and that is free now, it can be decoded in the same turn.
    pub async fn glance<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&dyn Fn(u64) -> Option<Room>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let this = Arc::clone(self);
        on_thread(&self.short.threads, move || work(&|bytes| this.try_take(bytes))).await
    }

    /// Does `work` in memory for `bytes`, on a thread of their lane. Who hangs up while it is at work leaves it running.
    pub async fn run<T: Send + 'static>(&self, bytes: u64, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let room = self.take(bytes).await?;
        let lane = if bytes <= self.little { &self.short } else { &self.long };
        let work = move || {
            // It belongs to the work, not to the caller.
            let _room = room;
            work()
        };
        on_thread(&lane.threads, work).await
    }
}

async fn on_thread<T: Send + 'static>(threads: &Arc<Semaphore>, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let thread: OwnedSemaphorePermit = Arc::clone(threads).acquire_owned().await.map_err(|_| Error::stopping())?;
    let work = move || {
        let _thread = thread;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal(format!("decoding failed: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_little_passes_by_what_is_much_and_nothing_takes_more_than_there_is() {
        let decoding = Arc::new(Decoding::new(64 << 20, 1));
        // All that the long lane has, and whoever comes behind it.
        let large = decoding.take(60 << 20).await.unwrap();
        let waiting = tokio::spawn({
            let decoding = Arc::clone(&decoding);
            async move { decoding.take(60 << 20).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(decoding.run(1 << 20, || 7).await.unwrap(), 7);
        assert!(decoding.glance(|room| room(1 << 20).is_some()).await.unwrap());
        assert!(decoding.glance(|room| room(2 << 20).is_none()).await.unwrap(), "too much for a glance");
        assert!(!waiting.is_finished());
        drop(large);
        drop(waiting.await.unwrap().unwrap());
        // One that takes everything leaves nothing.
        let everything = decoding.take(64 << 20).await.unwrap();
        assert!(decoding.glance(|room| room(1 << 20).is_none()).await.unwrap());
        drop(everything);
        assert!(decoding.glance(|room| room(1 << 20).is_some()).await.unwrap());
    }

    #[tokio::test]
    async fn a_lane_has_no_more_threads_than_it_was_given() {
        let decoding = Arc::new(Decoding::new(64 << 20, 2));
        let at_work = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (decoding, at_work) = (Arc::clone(&decoding), Arc::clone(&at_work));
            running.spawn(async move {
                let work = move || {
                    let beside = at_work.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    at_work.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                    beside
                };
                decoding.run(1024, work).await.unwrap()
            });
        }
        assert!(running.join_all().await.into_iter().all(|beside| beside < 2));
    }
}
