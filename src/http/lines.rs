//! The connections there are: how many may be, which one makes room for another, and how all of them end. It does not know what
//! is asked on them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::peer::{Call, Peer};

/// Connections beyond the most there may be, on which health alone is answered: a full server must not look like a dead one.
const SPARE: usize = 16;
/// A connection that has waited for a request this long makes room for another one when there is none. A caller who sends one
/// request after the other does not wait as long.
const YIELDS: Duration = Duration::from_secs(1);
/// A spare one makes room for another sooner.
const SPARE_YIELDS: Duration = Duration::from_millis(250);
/// Once no more connections are taken: by then has arrived what was sent before.
const LAST_CALL: Duration = Duration::from_millis(500);
/// Between two looks at whether all is done. It ends in many ways, and is looked at only while the server stops.
const LOOK: Duration = Duration::from_millis(10);

/// All open connections.
#[derive(Debug)]
pub struct Lines {
    most: usize,
    open: Mutex<Open>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct Open {
    /// In the order in which they came.
    lines: BTreeMap<u64, Arc<Peer>>,
    came: u64,
}

/// One connection among them, until it is dropped.
#[derive(Debug)]
pub struct Entry {
    /// Its other end.
    pub peer: Arc<Peer>,
    lines: Arc<Lines>,
    number: u64,
}

impl Lines {
    /// None yet, of at most so many.
    pub fn new(most: usize) -> Self {
        Self { most, open: Mutex::default(), ended: Notify::new() }
    }

    /// Lets one in. When all places are taken, the connection that has waited longest for a request makes room; where each has
    /// something to do, the new one is a spare one; and where even of those none makes room, it waits.
    pub async fn join(self: &Arc<Self>, address: SocketAddr) -> Entry {
        loop {
            if let Some(entry) = self.try_join(address) {
                return entry;
            }
            let _ = timeout(SPARE_YIELDS, self.ended.notified()).await;
        }
    }

    fn try_join(self: &Arc<Self>, address: SocketAddr) -> Option<Entry> {
        let mut open = self.open();
        let spare = !open.has_room(self.most);
        if spare && !open.has_spare_room() {
            return None;
        }
        let (peer, number) = (Arc::new(Peer::at(address, spare)), open.came);
        open.came += 1;
        open.lines.insert(number, Arc::clone(&peer));
        Some(Entry { peer, lines: Arc::clone(self), number })
    }

    /// Once nobody else joins: waits until what was sent has arrived, then for the answers to it; not beyond `deadline`, and then
    /// it is false. `last_call` is called in between.
    pub async fn end(&self, deadline: Instant, last_call: impl FnOnce()) -> bool {
        let called = Instant::now() + LAST_CALL;
        while Instant::now() < called.min(deadline) && !self.open().lines.is_empty() {
            sleep(LOOK).await;
        }
        last_call();
        self.open().lines.values().for_each(|peer| peer.call(Call::Leave));
        // Twice, since between the last byte of a request and its beginning nothing is waited for.
        let mut done = 0;
        while Instant::now() < deadline && done < 2 {
            done = if self.open().lines.values().any(|peer| peer.is_waited_for()) { 0 } else { done + 1 };
            sleep(LOOK).await;
        }
        done == 2 || self.open().lines.is_empty()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Those that stay.
    fn stay(&self, spare: bool) -> impl Iterator<Item = &Arc<Peer>> {
        self.lines.values().filter(move |peer| peer.spare == spare && !peer.is_called(Call::Go))
    }

    fn has_room(&self, most: usize) -> bool {
        self.lines.len() < most || self.stay(false).count() < most || self.yields(false, YIELDS)
    }

    fn has_spare_room(&self) -> bool {
        self.stay(true).count() < SPARE || self.yields(true, SPARE_YIELDS)
    }

    /// Whether one that has been silent `for_so_long` was told to go: the one that has been it longest.
    fn yields(&self, spare: bool, for_so_long: Duration) -> bool {
        let silent = self.stay(spare).filter_map(|peer| Some((peer.silent_since()?, peer)));
        let longest = silent.min_by_key(|&(since, _)| since).filter(|(since, _)| since.elapsed() >= for_so_long);
        longest.inspect(|(_, peer)| peer.call(Call::Go)).is_some()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.lines.open().lines.remove(&self.number);
        self.lines.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_longest_silence_makes_room_and_health_has_a_place_of_its_own() {
        let lines = Arc::new(Lines::new(2));
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let (first, second, mut spares) = (lines.join(address).await, lines.join(address).await, Vec::new());
        spares.push(lines.join(address).await);
        assert!(spares[0].peer.spare, "nobody has waited for long");
        let long_ago = std::time::Instant::now().checked_sub(2 * YIELDS);
        let answering = first.peer.begin();
        second.peer.waits(long_ago);
        let third = lines.join(address).await;
        assert!(!third.peer.spare && second.peer.is_called(Call::Go));
        assert!(!first.peer.is_called(Call::Leave), "it has something to do");
        // With the one at the beginning.
        for _ in 1..SPARE {
            spares.push(lines.join(address).await);
        }
        assert!(spares.iter().all(|entry| entry.peer.spare));
        spares[3].peer.waits(long_ago);
        let another = lines.join(address).await;
        assert!(another.peer.spare && spares[3].peer.is_called(Call::Go), "a spare one makes room, too");
        let busy: Vec<_> = spares.iter().chain([&another]).map(|entry| entry.peer.begin()).collect();
        assert!(lines.try_join(address).is_none());
        drop((first, answering, busy));
        assert!(!lines.join(address).await.peer.spare);
    }
}
