//! The steps that a run's journal holds, as one run without a break would have told them.
//!
//! A process that was killed had told of steps of an epoch that the next one begins anew: what was told first is left out. Nothing here
//! knows how many steps a journal is given ([`super::pace`]).

use std::io::ErrorKind;
use std::path::Path;

use super::error::Error;
use super::event::{Event, StepRecord};
use super::journal::Reader;

/// Those of the journal at `path`, rising; none where there is no journal yet.
pub fn read(path: &Path) -> Result<Vec<StepRecord>, Error> {
    let mut reader = match Reader::open(path) {
        Ok(reader) => reader,
        Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(Error::io("read", path)(fault)),
    };
    let mut steps: Vec<StepRecord> = Vec::new();
    loop {
        let lines = reader.read(0).map_err(Error::io("read", path))?;
        if lines.is_empty() {
            return Ok(steps);
        }
        for line in lines.iter().filter(|line| line.event == "step") {
            let Some(Event::Step(step)) = line.parse() else { continue };
            let place = |step: &StepRecord| (step.epoch, step.step);
            while steps.last().is_some_and(|last| place(last) >= place(&step)) {
                steps.pop();
            }
            steps.push(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::DataStage;
    use super::super::journal::Journal;
    use super::*;

    #[test]
    fn steps_of_an_epoch_that_was_begun_anew_are_those_of_its_last_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        assert_eq!(read(&path).unwrap(), []);
        let step = |epoch, step, gradient_norm| StepRecord {
            epoch,
            epochs: 3,
            step,
            steps: 10,
            train_loss: 1.0,
            train_accuracy: 0.5,
            learning_rate: 0.1,
            gradient_norm: Some(gradient_norm),
            images_per_second: 1.0,
        };
        let mut journal = Journal::open(&path).unwrap();
        let attempts = [
            vec![step(1, 2, 1.0), step(1, 9, 2.0), step(2, 3, 3.0), step(2, 6, 4.0)],
            vec![step(2, 1, 5.0), step(2, 7, 6.0), step(3, 1, 7.0)],
        ];
        for attempt in &attempts {
            journal.append(&Event::Data(DataStage::Reading)).unwrap();
            for step in attempt {
                journal.append(&Event::Step(step.clone())).unwrap();
            }
        }
        assert_eq!(read(&path).unwrap(), [&attempts[0][..2], &attempts[1][..]].concat());
    }
}
