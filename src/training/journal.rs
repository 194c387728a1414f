//! What happened in a run, on disk: one event a line, numbered from 1. One process writes it; any may read while it grows.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::event::{EpochRecord, Event};

/// Lines that a reader gives at a time, however many there are.
pub const CHUNK: usize = 64;
/// Bytes from a journal's end that are looked at first; a line is some hundred.
const TAIL: u64 = 16 * 1024;

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
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let (mut lines, mut last_epoch, mut whole) = (0, 0, 0);
        let (mut reader, mut line) = (BufReader::new(&file), Vec::new());
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            if let Ok(Event::Epoch(record)) = serde_json::from_slice(&line) {
                last_epoch = last_epoch.max(record.epoch);
            }
            (lines, whole) = (lines + 1, whole + line.len() as u64);
            line.clear();
        }
        if file.metadata()?.len() > whole {
            file.set_len(whole)?;
        }
        Ok(Self { file, lines, last_epoch })
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

    /// Lines written since the last call whose number is above `after`, at most [`CHUNK`] of them: none means that there are no
    /// more yet.
    pub fn read(&mut self, after: u64) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut text = Vec::new();
        while lines.len() < CHUNK {
            text.clear();
            let read = self.file.read_until(b'\n', &mut text)?;
            if !text.ends_with(b"\n") {
                // The writer is in the middle of a line, or at the end: the next call begins here again.
                self.file.seek(SeekFrom::Current(-(read as i64)))?;
                break;
            }
            self.id += 1;
            if self.id > after {
                lines.extend(split(self.id, &String::from_utf8_lossy(&text)));
            }
        }
        Ok(lines)
    }
}

/// The end of a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// Bytes of whole lines.
    pub end: u64,
    /// The event on the last whole line, where it is one that this program knows.
    pub event: Option<Event>,
}

/// How the journal at `path` ends, read from its end; none where there is no journal.
pub fn last(path: &Path) -> io::Result<Option<Last>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let length = file.metadata()?.len();
    let mut size = TAIL;
    loop {
        let start = length.saturating_sub(size);
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        Read::take(&mut file, length - start).read_to_end(&mut text)?;
        // Behind the last line's end there is what a crash cut off, if anything.
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let before = text[..whole.saturating_sub(1)].iter().rposition(|&byte| byte == b'\n').map(|end| end + 1);
        if start == 0 || before.is_some() {
            let event = serde_json::from_slice(&text[before.unwrap_or(0)..whole]).ok();
            return Ok(Some(Last { end: start + whole as u64, event }));
        }
        size *= 4;
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
            validation: None,
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
    fn however_long_it_is_a_reader_gives_a_chunk_at_a_time_and_the_end_is_found_from_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        assert_eq!(last(&path).unwrap(), None);
        let mut journal = Journal::open(&path).unwrap();
        assert_eq!(last(&path).unwrap(), Some(Last { end: 0, event: None }));
        let count = 3 * CHUNK as u64 + 5;
        (1..=count).for_each(|n| assert_eq!(journal.append(&Event::Epoch(epoch(n as u32))).unwrap(), n));
        let mut reader = Reader::open(&path).unwrap();
        let mut chunks = Vec::new();
        loop {
            let lines = reader.read(7).unwrap();
            if lines.is_empty() {
                break;
            }
            chunks.push(lines);
        }
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK, CHUNK, CHUNK - 2]);
        assert!(chunks.iter().flatten().map(|line| line.id).eq(8..=count));

        let length = std::fs::metadata(&path).unwrap().len();
        assert!(length > TAIL, "more than one look");
        let found = Last { end: length, event: Some(Event::Epoch(epoch(count as u32))) };
        assert_eq!(last(&path).unwrap().unwrap(), found);
        // Cut off by a crash, in a line longer than the first look.
        journal.file.write_all(&vec![b'x'; 2 * TAIL as usize]).unwrap();
        assert_eq!(last(&path).unwrap().unwrap(), found);
        assert_eq!(Journal::open(&path).unwrap().lines, count);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
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
