//! How many of a run's reports are passed on. The trainer reports every step, because each report may end it; whoever reads them
//! wants a few a second, and a journal is to stay small however long the run is.

use std::time::{Duration, Instant};

use super::event::{DataStage, Event};

/// Steps, and progress of the same kind, are passed on no more often.
const EVERY: Duration = Duration::from_millis(500);
/// Steps of a whole run that a journal is to hold, about; an epoch has between [`FEWEST`] and [`MOST`].
const STEPS: u32 = 4000;
const FEWEST: u32 = 20;
const MOST: u32 = 100;
/// Bytes between two reports of a download, in a journal.
const LEAST: u64 = 1 << 20;

/// Chooses among reports. One that is not passed on is as if it had never been: numbers of events do not depend on it.
#[derive(Debug, Default)]
pub struct Pace {
    /// Whether epochs have a limited number of steps.
    sparse: bool,
    /// When a step or the data's progress was passed on last.
    last: Option<Instant>,
    data: Option<DataStage>,
    /// Epoch and step that were passed on last.
    step: (u32, usize),
}

impl Pace {
    /// For people and programs that see events go by: at most two a second.
    pub fn brisk() -> Self {
        Self::default()
    }

    /// For a journal: at most two a second, and no more than an epoch's share of a whole run's.
    pub fn sparse() -> Self {
        Self { sparse: true, ..Self::default() }
    }

    /// Whether `event`, reported at `now`, is passed on.
    pub fn passes(&mut self, event: &Event, now: Instant) -> bool {
        let rested = self.last.is_none_or(|last| now.duration_since(last) >= EVERY);
        match event {
            Event::Data(stage) => {
                if self.data.as_ref() == Some(stage) {
                    return false;
                }
                if let (DataStage::Downloading { bytes, total_bytes }, Some(DataStage::Downloading { bytes: before, .. })) =
                    (stage, &self.data)
                {
                    let gap = if self.sparse { total_bytes.map_or(LEAST, |total| LEAST.max(total / u64::from(MOST))) } else { 1 };
                    if !rested || *bytes < before + gap {
                        return false;
                    }
                }
                if matches!(stage, DataStage::Downloading { .. }) {
                    self.last = Some(now);
                }
                self.data = Some(stage.clone());
            }
            Event::Step(record) => {
                let before = if self.step.0 == record.epoch { self.step.1 } else { 0 };
                let gap = if self.sparse { record.steps.div_ceil(most(record.epochs)) } else { 1 };
                if !rested || record.step < before + gap {
                    return false;
                }
                self.step = (record.epoch, record.step);
                self.last = Some(now);
            }
            Event::Epoch(_) | Event::Done(_) | Event::Failed(_) | Event::Cancelled(_) => {}
        }
        true
    }
}

/// Steps of an epoch that a journal holds, where a run has so many epochs.
fn most(epochs: u32) -> usize {
    (STEPS / epochs.max(1)).clamp(FEWEST, MOST) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::event::StepRecord;

    fn step(epoch: u32, epochs: u32, step: usize) -> Event {
        Event::Step(StepRecord {
            epoch,
            epochs,
            step,
            steps: 2000,
            train_loss: 1.0,
            train_accuracy: 0.5,
            learning_rate: 0.1,
            gradient_norm: None,
            images_per_second: 1000.0,
        })
    }

    /// How many steps of each epoch pass, a step taking `millis`.
    fn passed(pace: &mut Pace, epochs: u32, millis: u64) -> Vec<usize> {
        let mut now = Instant::now();
        let mut one = |event: Event| {
            now += Duration::from_millis(millis);
            pace.passes(&event, now)
        };
        (1..=epochs).map(|epoch| (1..=2000).filter(|n| one(step(epoch, epochs, *n))).count()).collect()
    }

    #[test]
    fn a_journal_stays_small_however_long_the_run_is() {
        for (epochs, most) in [(20, 100), (400, 20)] {
            // However slow a step: an epoch of the first takes a second, of the last twenty minutes.
            for millis in [1, 100, 600] {
                let steps = passed(&mut Pace::sparse(), epochs, millis);
                assert!(steps.iter().all(|steps| *steps <= most), "{epochs} epochs, {millis} ms: {steps:?}");
                assert!(millis == 1 || steps.iter().all(|steps| *steps > most / 2), "{steps:?}");
            }
        }
        assert_eq!(passed(&mut Pace::brisk(), 1, 100), [400], "two a second, all through a long epoch");
    }

    #[test]
    fn a_download_is_told_of_a_hundred_times_however_slow_it_is() {
        let (total, start) = (170_000_000, Instant::now());
        let told = |mut pace: Pace| {
            let of = |second: u64| Event::Data(DataStage::Downloading { bytes: second * total / 10_000, total_bytes: Some(total) });
            (0..=10_000).filter(|&second| pace.passes(&of(second), start + Duration::from_secs(second))).count()
        };
        assert!((90..=101).contains(&told(Pace::sparse())));
        assert_eq!(told(Pace::brisk()), 10_001);
        let mut pace = Pace::brisk();
        let unpacking = Event::Data(DataStage::Unpacking);
        let downloading = |bytes| Event::Data(DataStage::Downloading { bytes, total_bytes: None });
        assert!(pace.passes(&downloading(0), start) && !pace.passes(&downloading(1), start) && pace.passes(&unpacking, start));
    }

    #[test]
    fn what_is_reported_only_to_be_asked_whether_to_go_on_is_passed_once() {
        let mut pace = Pace::brisk();
        let (start, later) = (Instant::now(), Duration::from_secs(60));
        let reading = Event::Data(DataStage::Reading);
        assert!(pace.passes(&reading, start) && !pace.passes(&reading, start + later));
        assert!(pace.passes(&step(1, 2, 2000), start + later));
        assert!(!pace.passes(&step(1, 2, 2000), start + 2 * later));
        assert!(pace.passes(&step(2, 2, 1), start + 2 * later));
    }
}
