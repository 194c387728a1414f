//! The order in which an epoch sees its images.

use rand::seq::SliceRandom;

use super::random::{Purpose, generator};

/// A permutation of 0…`count`−1, decided by `seed` and `epoch` alone.
pub fn order(seed: u64, epoch: u64, count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.shuffle(&mut generator(seed, Purpose::Shuffle, epoch, 0));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_has_its_own_order_of_all_images() {
        let first = order(7, 0, 1000);
        assert_eq!(first, order(7, 0, 1000));
        assert_ne!(first, order(7, 1, 1000));
        assert_ne!(first, order(8, 0, 1000));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..1000));
        // Written down, so that an upgrade that changes what a seed means is noticed.
        assert_eq!(order(0, 0, 8), [4, 2, 7, 5, 3, 1, 6, 0]);
    }
}
