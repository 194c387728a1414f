//! How fast a body has to come in. It knows neither what the bytes are nor where they go.
//!
//! A time for the next part alone is kept by whoever sends a byte now and then; a mean over the whole body by whoever sends
//! most of it at once and the rest never. So what counts is when the next [`PROGRESS`] bytes, or the end, have come. Servers in
//! wide use ask for 240 to 500 bytes a second at least; ours, at the default header timeout, for 1.6 KiB: a quarter of what the
//! slowest mobile networks carry.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// A body that brings this much in the time it has is arriving.
pub const PROGRESS: usize = 16 << 10;
/// The same time once the server is leaving: whoever sends in earnest needs less, and nobody else delays the exit.
pub const HURRY: Duration = Duration::from_secs(3);

/// Whether the server was asked to stop, and since when.
#[derive(Debug, Default)]
pub struct Leaving {
    since: OnceLock<Instant>,
    told: CancellationToken,
}

impl Leaving {
    /// From now on.
    pub fn begin(&self) {
        let _ = self.since.set(Instant::now());
        self.told.cancel();
    }

    /// Whether it was.
    pub fn has_begun(&self) -> bool {
        self.since.get().is_some()
    }

    /// Since when; waits for it.
    async fn since(&self) -> Instant {
        self.told.cancelled().await;
        // `begin` sets it before it tells.
        self.since.get().copied().unwrap_or_else(Instant::now)
    }
}

/// How long a body may take.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For its next [`PROGRESS`] bytes.
    pub part: Duration,
    /// For all of it, where nobody wants it.
    pub whole: Duration,
    /// What shortens both.
    pub leaving: Arc<Leaving>,
}

/// One body on its way.
#[derive(Debug)]
pub struct Pace {
    patience: Patience,
    /// When it had last made progress, and what came since.
    since: Instant,
    bytes: usize,
}

impl Pace {
    /// It begins now.
    pub fn new(patience: Patience) -> Self {
        Self { patience, since: Instant::now(), bytes: 0 }
    }

    /// So many bytes came.
    pub fn came(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= PROGRESS {
            (self.since, self.bytes) = (Instant::now(), 0);
        }
    }

    /// What `reading` gives; None where the body's time is over before. What has come already is never late.
    pub async fn next<T>(&self, reading: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            read = reading => Some(read),
            () = self.over() => None,
        }
    }

    async fn over(&self) {
        let hurry = async {
            let leaving = self.patience.leaving.since().await;
            sleep_until(leaving.max(self.since) + HURRY).await;
        };
        tokio::select! {
            () = sleep_until(self.since + self.patience.part) => {}
            () = hurry => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that came, one after each `pause`, when the body was cut.
    async fn dripped(pace: &mut Pace, bytes: usize, pause: Duration) -> usize {
        let mut came = 0;
        while came < 1 << 20 && pace.next(tokio::time::sleep(pause)).await.is_some() {
            pace.came(bytes);
            came += bytes;
        }
        came
    }

    fn pace(part: Duration) -> Pace {
        Pace::new(Patience { part, whole: part, leaving: Arc::default() })
    }

    // What has come already is never late, so that a machine that is slow changes none of this.
    #[tokio::test]
    async fn a_body_is_cut_when_it_drips_and_not_because_it_is_long() {
        let (part, pause) = (Duration::from_millis(200), Duration::from_millis(20));
        assert!(dripped(&mut pace(part), 1, pause).await < 20, "a byte now and then keeps nothing");
        assert!(dripped(&mut pace(part), PROGRESS / 2, pause).await >= 1 << 20);
        let mut pace = pace(part);
        pace.came(100 * PROGRESS);
        assert!(dripped(&mut pace, 1, pause).await < 20, "nor does what came before");
    }

    #[tokio::test]
    async fn a_server_that_leaves_waits_for_less() {
        let mut pace = pace(Duration::from_secs(3600));
        let leaving = Arc::clone(&pace.patience.leaving);
        tokio::spawn(async move { leaving.begin() });
        assert!(dripped(&mut pace, 1, HURRY / 2).await < 3);
        let mut pace = Pace::new(pace.patience);
        assert!(dripped(&mut pace, PROGRESS, HURRY / 100).await >= 1 << 20, "who sends in earnest is waited for");
    }
}
