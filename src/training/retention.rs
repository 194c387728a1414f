//! Which epochs of a run are worth their room on disk. A rule alone: nothing here removes anything, or knows who uses what.

use std::collections::BTreeSet;

use super::choice;
use super::event::EpochRecord;

/// The epochs that are kept of those that are over: the best and the last, and of the others about `most`, evenly spread. What is
/// once left out is never wanted later, except for being the best: the spacing only ever doubles.
pub(super) fn kept(records: &[EpochRecord], most: u32) -> BTreeSet<u64> {
    let epochs = records.len() as u64;
    let mut spacing = 1;
    while epochs / spacing > u64::from(most.max(1)) {
        spacing *= 2;
    }
    let best = choice::best(records).map(|record| u64::from(record.epoch));
    let last = records.last().map(|record| u64::from(record.epoch));
    (1..=epochs).filter(|epoch| epoch % spacing == 0).chain(best).chain(last).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(accuracies: impl IntoIterator<Item = f64>) -> Vec<EpochRecord> {
        let record = |(test_accuracy, epoch)| EpochRecord {
            epoch,
            epochs: 1000,
            train_loss: 1.0,
            train_accuracy: 0.5,
            validation: None,
            test_loss: 1.0,
            test_accuracy,
            test_images: 2,
            learning_rate: 0.1,
            images_per_second: 1.0,
            elapsed_seconds: 1.0,
        };
        accuracies.into_iter().zip(1..).map(record).collect()
    }

    #[test]
    fn a_short_run_is_kept_whole_and_a_long_one_is_thinned_evenly() {
        assert!(kept(&records([0.5; 20]), 20).into_iter().eq(1..=20));
        let long = kept(&records((0..400).map(|epoch| if epoch == 122 { 0.9 } else { 0.5 })), 20);
        let spread = (1..=12).map(|step| step * 32);
        assert_eq!(long, spread.chain([123, 400]).collect());
        assert_eq!(kept(&[], 20), BTreeSet::new());
        assert!(kept(&records([0.5, 0.7, 0.7, 0.6]), 1).into_iter().eq([2, 4]), "the first of equals, and the last");
    }

    #[test]
    fn while_a_run_goes_on_nothing_is_missed_that_was_removed() {
        let accuracies: Vec<f64> = (0..500).map(|epoch| f64::from(epoch * 7919 % 503) / 503.0).collect();
        let mut there = BTreeSet::new();
        for over in 1..=accuracies.len() {
            there.insert(over as u64);
            let kept = kept(&records(accuracies[..over].iter().copied()), 8);
            assert!(kept.is_subset(&there) && kept.len() <= 10, "after {over}: {kept:?}");
            there = kept;
        }
    }
}
