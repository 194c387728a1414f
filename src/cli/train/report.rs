//! Where a run's events go: a progress bar and a line an epoch for people, JSON lines for programs, the journal for the server,
//! TensorBoard's files where they are asked for.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use super::tensorboard::Writer;
use crate::cli::print;
use crate::training::event::{DataStage, EpochRecord, Event, StepRecord, plural};
use crate::training::folder::RunFolder;
use crate::training::journal::Journal;
use crate::training::pace::Pace;
use crate::training::state;

/// Takes events.
pub(super) struct Reporter {
    pace: Pace,
    journal: Option<Journal>,
    /// None for JSON lines.
    bar: Option<ProgressBar>,
    tensorboard: Option<Writer>,
    clock: Clock,
}

impl Reporter {
    /// Reports as JSON lines, or to people; and to the journal in `folder`, after what a crash kept from it.
    pub(super) fn open(json: bool, folder: Option<&RunFolder>) -> anyhow::Result<Self> {
        let journal = folder.map(|folder| {
            let path = folder.events();
            let records = state::records(&folder.state())?;
            let mut journal = Journal::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
            journal.catch_up(&records).with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok(journal)
        });
        // Draws on standard error, and not at all where that is no terminal.
        let bar = (!json).then(ProgressBar::new_spinner);
        let pace = if folder.is_some() { Pace::sparse() } else { Pace::brisk() };
        Ok(Self { pace, journal: journal.transpose()?, bar, tensorboard: None, clock: Clock::default() })
    }

    /// Writes for TensorBoard into `folder` as well.
    pub(super) fn write_for_tensorboard(&mut self, folder: &Path) -> anyhow::Result<()> {
        self.tensorboard = Some(Writer::open(folder).with_context(|| format!("cannot write to {}", folder.display()))?);
        Ok(())
    }

    /// Writes `event` wherever it is to be read, if it is one of those to be read. The journal comes first: whoever sees the event
    /// finds it there.
    pub(super) fn report(&mut self, event: &Event) -> io::Result<()> {
        if !self.pace.passes(event, Instant::now()) {
            return Ok(());
        }
        if let Some(journal) = &mut self.journal {
            journal.append(event)?;
        }
        if let Some(writer) = &mut self.tensorboard {
            writer.write(event)?;
        }
        match &self.bar {
            None => line(&event.to_line()),
            Some(bar) => {
                if let Event::Step(step) = event {
                    self.clock.see(step, Instant::now());
                }
                show(bar, event, self.clock.left)
            }
        }
    }
}

impl Reporter {
    /// Leaves the terminal to whoever comes next.
    pub(super) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(text: &str) -> io::Result<()> {
    print(&format!("{text}\n"))
}

/// How long a run still takes, by what its steps took so far, the measurements between them included.
#[derive(Debug, Default)]
struct Clock {
    /// When this process's first report came, and how many steps of the run were over then.
    first: Option<(Instant, u64)>,
    /// Of the whole run, once that can be told.
    left: Option<Duration>,
}

impl Clock {
    fn see(&mut self, step: &StepRecord, now: Instant) {
        let steps = step.steps as u64;
        let (over, all) = (u64::from(step.epoch.saturating_sub(1)) * steps + step.step as u64, u64::from(step.epochs) * steps);
        let (began, before) = *self.first.get_or_insert((now, over));
        let done = over.saturating_sub(before);
        let whole = now.duration_since(began).as_secs_f64() / done as f64 * all.saturating_sub(over) as f64;
        self.left = if done == 0 { None } else { Duration::try_from_secs_f64(whole).ok() };
    }
}

fn show(bar: &ProgressBar, event: &Event, left: Option<Duration>) -> io::Result<()> {
    match event {
        Event::Data(DataStage::Downloading { bytes, total_bytes }) => {
            let total = total_bytes.map_or_else(String::new, |total| format!(" of {}", HumanBytes(total)));
            wait(bar, format!("downloading CIFAR-10: {}{total}", HumanBytes(*bytes)));
            Ok(())
        }
        Event::Data(DataStage::Retrying { reason }) => bar.suspend(|| line(&format!("{reason}; trying again"))),
        Event::Data(DataStage::Unpacking) => {
            wait(bar, "unpacking and verifying".into());
            Ok(())
        }
        Event::Data(DataStage::Reading) => {
            wait(bar, "reading the images".into());
            Ok(())
        }
        Event::Data(DataStage::Ready { train_images, test_images, classes, notes }) => bar.suspend(|| {
            notes.iter().try_for_each(|note| line(note))?;
            line(&format!("{train_images} training images, {test_images} test images, {classes} classes"))
        }),
        Event::Step(step) => {
            // The template is a constant that a test below parses.
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style);
            }
            bar.set_length(step.steps as u64);
            bar.set_position(step.step as u64);
            bar.set_prefix(format!("epoch {}/{}", step.epoch, step.epochs));
            bar.set_message(format!(
                "loss {:.4}  accuracy {:.1} %  {:.0} images/s{}",
                step.train_loss,
                100.0 * step.train_accuracy,
                step.images_per_second,
                left.map_or_else(String::new, |left| format!("  {} left", HumanDuration(left)))
            ));
            Ok(())
        }
        Event::Epoch(record) => bar.suspend(|| line(&sentence(record))),
        Event::Done(outcome) => {
            bar.finish_and_clear();
            line(&format!(
                "{}: {:.2} % of {} test images are right, after {} in {:.0} s",
                outcome.model,
                100.0 * outcome.test_accuracy,
                outcome.test_images,
                plural(outcome.epochs as usize, "epoch"),
                outcome.elapsed_seconds
            ))?;
            outcome.note.as_ref().map_or(Ok(()), |note| line(note))
        }
        // The command's error says it.
        Event::Failed(_) | Event::Cancelled(_) => {
            bar.finish_and_clear();
            Ok(())
        }
    }
}

/// Shows `what` is going on.
fn wait(bar: &ProgressBar, what: String) {
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
}

const BAR: &str = "{prefix} {wide_bar} {pos}/{len}  {msg}";

fn sentence(record: &EpochRecord) -> String {
    let validation = record.validation.map_or_else(String::new, |set| {
        format!("  validation loss {:.4}  validation accuracy {:.2} %", set.loss, 100.0 * set.accuracy)
    });
    format!(
        "epoch {:>2}/{}  loss {:.4}  accuracy {:.1} %{validation}  test loss {:.4}  test accuracy {:.2} %  learning rate {:.5}  {:.0} images/s  \
         {:.0} s",
        record.epoch,
        record.epochs,
        record.train_loss,
        100.0 * record.train_accuracy,
        record.test_loss,
        100.0 * record.test_accuracy,
        record.learning_rate,
        record.images_per_second,
        record.elapsed_seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_does_not_hold_every_step_and_ids_are_its_lines() {
        let data = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(data.path(), "a");
        std::fs::create_dir_all(folder.path()).unwrap();
        let mut reporter = Reporter::open(true, Some(&folder)).unwrap();
        let step = |step: usize| {
            let (train_loss, train_accuracy, learning_rate, images_per_second) = (1.0, 0.5, 0.1, 1.0);
            Event::Step(StepRecord {
                epoch: 1,
                epochs: 1,
                step,
                steps: 5000,
                train_loss,
                train_accuracy,
                learning_rate,
                gradient_norm: None,
                images_per_second,
            })
        };
        (1..=5000).for_each(|n| reporter.report(&step(n)).unwrap());
        let lines = std::fs::read_to_string(folder.events()).unwrap();
        assert!((1..=100).contains(&lines.lines().count()), "{}", lines.lines().count());
    }

    #[test]
    fn the_time_left_is_of_the_whole_run_and_by_this_processs_own_steps() {
        let began = Instant::now();
        let mut clock = Clock::default();
        let mut see = |epoch, step, seconds| {
            let record = StepRecord {
                epoch,
                epochs: 4,
                step,
                steps: 100,
                train_loss: 1.0,
                train_accuracy: 0.5,
                learning_rate: 0.1,
                gradient_norm: None,
                images_per_second: 1.0,
            };
            clock.see(&record, began + Duration::from_secs(seconds));
            clock.left
        };
        // Resumed in the second epoch: what was done before says nothing of the speed.
        assert_eq!(see(2, 10, 0), None);
        assert_eq!(see(2, 60, 10), Some(Duration::from_secs(48)));
        assert_eq!(see(4, 100, 60), Some(Duration::ZERO));
    }

    #[test]
    fn the_bar_is_a_template() {
        ProgressStyle::with_template(BAR).unwrap();
    }
}
