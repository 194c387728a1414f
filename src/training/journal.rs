//! What happened in a run, on disk: one event a line, numbered from 1. One process writes it; any may read while it grows.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::event::{EpochRecord, Event};

/// An event as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The number of its line, from 1.
    pub id: u64,
    /// Its name: `epoch`.
    pub event: String,
    /// Its data, as JSON.
    pub data: String,
}

impl Line {
    /// The event, where it is one that this program knows.
    pub fn parse(&self) -> Option<Event> {
        serde_json::from_str(&format!(r#"{{"event":"{}","data":{}}}"#, self.event, self.data)).ok()
    }
}

/// The writing end.
#[derive(Debug)]
pub struct Journal {
    file: File,
    lines: u64,
    last_epoch: u32,
}

impl Journal {
    /// Opens the journal at `path`, or begins it. A last line that a crash cut off is removed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
        }
        let lines = text[..whole].split_inclusive(|&byte| byte == b'\n');
        let epochs = lines.clone().filter_map(|line| match serde_json::from_slice(line) {
            Ok(Event::Epoch(record)) => Some(record.epoch),
            _ => None,
        });
        Ok(Self { lines: lines.clone().count() as u64, last_epoch: epochs.max().unwrap_or(0), file })
    }

    /// Writes `event` and returns its number. Epochs and last events are on disk when this returns.
    pub fn append(&mut self, event: &Event) -> io::Result<u64> {
        let mut line = event.to_line();
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        self.lines += 1;
        if let Event::Epoch(record) = event {
            self.last_epoch = record.epoch;
        }
        if event.is_last() || matches!(event, Event::Epoch(_)) {
            self.file.sync_data()?;
        }
        Ok(self.lines)
    }

    /// Writes those of `records` that a crash kept from being written: a run's state comes first, its journal second.
    pub fn catch_up(&mut self, records: &[EpochRecord]) -> io::Result<()> {
        let missing = records.iter().filter(|record| record.epoch > self.last_epoch).cloned().collect::<Vec<_>>();
        missing.into_iter().try_for_each(|record| self.append(&Event::Epoch(record)).map(drop))
    }
}

/// The reading end: gives whole lines, and more of them as they are written.
#[derive(Debug)]
pub struct Reader {
    file: BufReader<File>,
    id: u64,
}

impl Reader {
    /// Reads the journal at `path` from its beginning.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufReader::new(File::open(path)?), id: 0 })
    }

    /// The lines written since the last call whose number is above `after`.
    pub fn read(&mut self, after: u64) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = self.file.read_until(b'\n', &mut text)?;
            if !text.ends_with(b"\n") {
                // The writer is in the middle of a line, or at the end: the next call begins here again.
                self.file.seek(SeekFrom::Current(-(read as i64)))?;
                return Ok(lines);
            }
            self.id += 1;
            if self.id > after {
                lines.extend(split(self.id, &String::from_utf8_lossy(&text)));
            }
        }
    }
}

/// Takes a line of [`Event::to_line`] apart and leaves its data as they stand; none where it is another program's.
fn split(id: u64, line: &str) -> Option<Line> {
    let (event, rest) = line.strip_prefix(r#"{"event":""#)?.split_once(r#"","data":"#)?;
    Some(Line { id, event: event.into(), data: rest.trim_end().strip_suffix('}')?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::event::{DataStage, Ended};

    fn epoch(epoch: u32) -> EpochRecord {
        EpochRecord {
            epoch,
            epochs: 9,
            train_loss: 1.0,
            train_accuracy: 0.5,
            test_loss: 1.0,
            test_accuracy: 0.5,
            test_images: 4,
            learning_rate: 0.1,
            images_per_second: 1.0,
            elapsed_seconds: 1.0,
        }
    }

    #[test]
    fn lines_are_numbered_replayed_and_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(journal.append(&Event::Data(DataStage::Reading)).unwrap(), 1);
        assert_eq!(journal.append(&Event::Epoch(epoch(1))).unwrap(), 2);

        let mut reader = Reader::open(&path).unwrap();
        let lines = reader.read(1).unwrap();
        assert_eq!(lines.iter().map(|line| (line.id, line.event.as_str())).collect::<Vec<_>>(), [(2, "epoch")]);
        assert_eq!(serde_json::from_str::<EpochRecord>(&lines[0].data).unwrap(), epoch(1));
        assert_eq!(reader.read(0).unwrap(), []);

        // Half a line is not a line yet.
        let line = Event::Cancelled(Ended { epoch: 1, epochs: 9 }).to_line();
        journal.file.write_all(&line.as_bytes()[..10]).unwrap();
        assert_eq!(reader.read(0).unwrap(), []);
        journal.file.write_all(&line.as_bytes()[10..]).unwrap();
        journal.file.write_all(b"\n").unwrap();
        assert_eq!(reader.read(0).unwrap()[0].id, 3);
        assert_eq!(Reader::open(&path).unwrap().read(0).unwrap().len(), 3);
    }

    #[test]
    fn a_crash_leaves_no_torn_line_and_no_missing_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&Event::Epoch(epoch(1))).unwrap();
        journal.file.write_all(br#"{"event":"epo"#).unwrap();
        drop(journal);

        let mut journal = Journal::open(&path).unwrap();
        journal.catch_up(&[epoch(1), epoch(2)]).unwrap();
        journal.catch_up(&[epoch(1), epoch(2)]).unwrap();
        assert_eq!(journal.append(&Event::Epoch(epoch(3))).unwrap(), 3);
        let lines = Reader::open(&path).unwrap().read(0).unwrap();
        let epochs: Vec<u32> = lines.iter().map(|line| serde_json::from_str::<EpochRecord>(&line.data).unwrap().epoch).collect();
        assert_eq!(epochs, [1, 2, 3]);
    }
}
