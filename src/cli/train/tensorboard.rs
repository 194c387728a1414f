//! A run's figures as TensorBoard reads them: a file of records, each an `Event` with a `Summary` of scalars. It knows no other kind
//! of summary, and nothing of runs beyond their reports.
//!
//! A record is framed as TensorFlow's `record_writer.cc` has it: the length in eight bytes, its checksum, the bytes, their checksum;
//! a checksum is CRC-32C, rotated and offset (`crc32c.h`). The messages are protocol buffers (`event.proto`, `summary.proto`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use self::record::{Message, framed};
use crate::training::event::Event;

mod record;

/// Writes what is reported into a file of its own: TensorBoard joins the files of a folder.
#[derive(Debug)]
pub(super) struct Writer {
    file: File,
}

impl Writer {
    /// A new file in `folder`, which is made if there is none.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // TensorBoard reads files in the order of their names: these begin with the time.
        let name = format!("events.out.tfevents.{:010}.convscope.{}", now().trunc(), std::process::id());
        let file = OpenOptions::new().append(true).create(true).open(folder.join(name))?;
        let mut writer = Self { file };
        // What every such file begins with.
        writer.put(&Message::default().double(1, now()).bytes(3, b"brain.Event:2"))?;
        Ok(writer)
    }

    /// Writes what of `event` is a number: of steps by the run's step, of epochs by the epoch.
    pub(super) fn write(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Step(step) => {
                let over = u64::from(step.epoch.saturating_sub(1)) * step.steps as u64 + step.step as u64;
                let mut scalars = vec![
                    ("step/train_loss", step.train_loss),
                    ("step/train_accuracy", step.train_accuracy),
                    ("step/learning_rate", step.learning_rate),
                    ("step/images_per_second", step.images_per_second),
                ];
                scalars.extend(step.gradient_norm.map(|norm| ("step/gradient_norm", norm)));
                self.scalars(over, &scalars)
            }
            Event::Epoch(epoch) => {
                let scalars = [
                    ("epoch/train_loss", epoch.train_loss),
                    ("epoch/train_accuracy", epoch.train_accuracy),
                    ("epoch/test_loss", epoch.test_loss),
                    ("epoch/test_accuracy", epoch.test_accuracy),
                    ("epoch/learning_rate", epoch.learning_rate),
                ];
                self.scalars(epoch.epoch.into(), &scalars)
            }
            Event::Data(_) | Event::Done(_) | Event::Failed(_) | Event::Cancelled(_) => Ok(()),
        }
    }

    fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> io::Result<()> {
        let summary = scalars.iter().fold(Message::default(), |summary, (tag, value)| {
            summary.message(1, &Message::default().bytes(1, tag.as_bytes()).float(2, *value as f32))
        });
        self.put(&Message::default().double(1, now()).number(2, step).message(5, &summary))
    }

    /// In one write, so that whoever reads along finds whole records.
    fn put(&mut self, message: &Message) -> io::Result<()> {
        self.file.write_all(&framed(message.as_bytes()))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
