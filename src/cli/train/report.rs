//! Where a run's events go: a progress bar and a line an epoch for people, JSON lines for programs, the journal for the server.

use std::io;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::print;
use crate::training::event::{DataStage, EpochRecord, Event, plural};
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
        Ok(Self { pace, journal: journal.transpose()?, bar })
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
        match &self.bar {
            None => line(&event.to_line()),
            Some(bar) => show(bar, event),
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

fn show(bar: &ProgressBar, event: &Event) -> io::Result<()> {
    match event {
        Event::Data(DataStage::Reading) => {
            bar.set_message("reading the images");
            bar.enable_steady_tick(Duration::from_millis(100));
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
                "loss {:.4}  accuracy {:.1} %  {:.0} images/s",
                step.train_loss,
                100.0 * step.train_accuracy,
                step.images_per_second
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
    use crate::training::event::StepRecord;

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
                images_per_second,
            })
        };
        (1..=5000).for_each(|n| reporter.report(&step(n)).unwrap());
        let lines = std::fs::read_to_string(folder.events()).unwrap();
        assert!((1..=100).contains(&lines.lines().count()), "{}", lines.lines().count());
    }

    #[test]
    fn the_bar_is_a_template() {
        ProgressStyle::with_template(BAR).unwrap();
    }
}
