//! Memory that requests may take together, in permits of a KiB.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A share of a budget. Dropping it gives it back.
pub type Share = OwnedSemaphorePermit;

/// A number of bytes that is lent out.
#[derive(Debug)]
pub struct Budget {
    permits: Arc<Semaphore>,
    total: u32,
}

impl Budget {
    /// `bytes` to lend, rounded up to a KiB.
    pub fn new(bytes: u64) -> Self {
        let total = bytes.div_ceil(1024).clamp(1, u64::from(u32::MAX)) as u32;
        Self { permits: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// `bytes`, if they are free now.
    pub fn try_take(&self, bytes: u64) -> Option<Share> {
        Arc::clone(&self.permits).try_acquire_many_owned(self.permits_for(bytes)).ok()
    }

    /// `bytes`, once they are free, first come first served. None where the budget was closed.
    pub async fn take(&self, bytes: u64) -> Option<Share> {
        Arc::clone(&self.permits).acquire_many_owned(self.permits_for(bytes)).await.ok()
    }

    /// Whoever wants more than there is gets all of it, alone.
    fn permits_for(&self, bytes: u64) -> u32 {
        bytes.div_ceil(1024).min(u64::from(self.total)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_budget_lends_what_it_has_and_the_whole_to_the_greedy() {
        let budget = Budget::new(4096);
        let half = budget.try_take(2000).unwrap();
        assert!(budget.try_take(2049).is_none());
        let other = budget.take(2048).await.unwrap();
        drop((half, other));
        let all = budget.take(1 << 40).await.unwrap();
        assert!(budget.try_take(1).is_none());
        drop(all);
        assert!(budget.try_take(1).is_some());
    }
}
