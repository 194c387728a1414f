//! When those who are refused are to come back: each after the one who was refused before it, so that a crowd does not return at
//! once, only to be refused again. (1,000 callers of whom all were told the same time kept a machine busy with refusing them.)
//! It does not know who they are, nor whether they come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Times told to callers, none of which is told twice while it is ahead.
#[derive(Debug)]
pub(super) struct Promises {
    began: Instant,
    /// The last time that was told, in nanoseconds since then.
    last: AtomicU64,
}

impl Promises {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0) }
    }

    /// How long the next caller is to wait: `free` where nobody was told to come after that, else until `each` after the last of them,
    /// and never longer than `most`: not all come back.
    pub(super) fn next(&self, free: Duration, each: Duration, most: Duration) -> Duration {
        let [now, free, each, most] = [self.began.elapsed(), free, each, most].map(|time| time.as_nanos() as u64);
        let after = |last: u64| last.saturating_add(each).max(now + free).min(now + most.max(free));
        // The value is all that is shared: no other memory depends on its order.
        let told = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        Duration::from_nanos(after(told.unwrap_or_else(|last| last)) - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_to_come_after_the_one_before_and_nobody_very_late() {
        let (promises, second) = (Promises::new(), Duration::from_secs(1));
        let next = |free: u32, most: u32| promises.next(free * second, second, most * second).as_secs_f64().round();
        assert_eq!([next(5, 60), next(5, 60), next(5, 60)], [5.0, 6.0, 7.0]);
        assert_eq!(next(20, 60), 20.0, "there is more to do than was told");
        assert_eq!(next(5, 20), 20.0, "as long as may be");
        assert_eq!(next(5, 3), 5.0, "not before there is a place");
    }
}
