//! What a run reports while it goes on. The same value is a line of the journal, of `--events jsonl` and of the event stream:
//! `{"event":"epoch","data":{…}}`.

use serde::{Deserialize, Serialize};

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub enum Event {
    /// The images are being fetched or read.
    Data(DataStage),
    /// A step of training; at most two a second are passed on ([`super::pace`]).
    Step(StepRecord),
    /// An epoch is over, measured and kept.
    Epoch(EpochRecord),
    /// The run is complete.
    Done(Outcome),
    /// The run gave up.
    Failed(Failure),
    /// The run was ended by request; it can be resumed.
    Cancelled(Ended),
}

impl Event {
    /// The name of the kind, as it is written.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Data(_) => "data",
            Self::Step(_) => "step",
            Self::Epoch(_) => "epoch",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// Whether nothing follows it.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_) | Self::Cancelled(_))
    }

    /// One line of JSON, without the line's end.
    pub fn to_line(&self) -> String {
        // Strings and numbers only: serde_json has no way to fail on them.
        serde_json::to_string(self).unwrap_or_else(|e| unreachable!("an event is plain data: {e}"))
    }
}

/// How far the images are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum DataStage {
    /// CIFAR-10 was not there and is being downloaded.
    Downloading {
        /// So far, what an earlier try left included.
        bytes: u64,
        /// In the end, where the other server says so.
        total_bytes: Option<u64>,
    },
    /// The download was broken off and is tried again.
    Retrying {
        /// Why.
        reason: String,
    },
    /// What was downloaded is being unpacked and verified.
    Unpacking,
    /// Being read from disk.
    Reading,
    /// In memory.
    Ready {
        /// Images trained on.
        train_images: usize,
        /// Images held out.
        test_images: usize,
        /// Classes among them.
        classes: usize,
        /// What is to be known about them: an incomplete set, files left out.
        notes: Vec<String>,
    },
}

/// A step of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The epoch it belongs to, from 1.
    pub epoch: u32,
    /// Epochs of the run.
    pub epochs: u32,
    /// Steps of this epoch that are over.
    pub step: usize,
    /// Steps an epoch.
    pub steps: usize,
    /// Mean loss of this epoch so far.
    pub train_loss: f64,
    /// Share of this epoch's images so far whose most probable class was right, as augmented and with dropout.
    pub train_accuracy: f64,
    /// Of this step.
    pub learning_rate: f64,
    /// Length of this step's gradients, as [`crate::network::StepReport`] has it; none where f32 cannot tell it, and of runs of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// Training speed of this epoch so far.
    pub images_per_second: f64,
}

/// An epoch, measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u32,
    /// Epochs of the run.
    pub epochs: u32,
    /// Mean over the epoch's steps, as trained: augmented, with dropout and label smoothing.
    pub train_loss: f64,
    /// Share of the epoch's images that were right when they were trained on.
    pub train_accuracy: f64,
    /// On the images that the best epoch is chosen by, where the recipe holds some out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// Mean cross-entropy on the test set after the epoch, in evaluation mode.
    pub test_loss: f64,
    /// Share of the test set that is right after the epoch, in evaluation mode.
    pub test_accuracy: f64,
    /// Images in the test set.
    pub test_images: usize,
    /// Of the epoch's last step.
    pub learning_rate: f64,
    /// Training images a second, evaluation not counted.
    pub images_per_second: f64,
    /// Since the run began, the time before a resumption included.
    pub elapsed_seconds: f64,
}

/// The figures of the validation set after an epoch, in evaluation mode.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share that is right.
    pub accuracy: f64,
    /// Images in the set.
    pub images: usize,
    /// The epoch that is the best by them so far, whose model answers for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<u32>,
}

/// A run that is complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The model's name.
    pub model: String,
    /// Epochs trained.
    pub epochs: u32,
    /// The epoch that the model is of, where it was chosen on a validation set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<u32>,
    /// Why that one, and why the run ended before all its epochs where it did, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Of the model that was written.
    pub test_accuracy: f64,
    /// Of the model that was written.
    pub test_loss: f64,
    /// Images it was measured on.
    pub test_images: usize,
    /// Since the run began, the time before a resumption included.
    pub elapsed_seconds: f64,
}

/// A run that gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A sentence that says what to do.
    pub error: String,
}

/// A run that was ended by request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Epochs that are over and kept.
    pub epoch: u32,
    /// Epochs of the run.
    pub epochs: u32,
}

/// `count` and what is counted: `1 epoch`, `2 epochs`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn an_epoch_is_written_as_promised() {
        let record = EpochRecord {
            epoch: 1,
            epochs: 20,
            train_loss: 1.75,
            train_accuracy: 0.375,
            validation: None,
            test_loss: 1.5,
            test_accuracy: 0.46,
            test_images: 10000,
            learning_rate: 0.001,
            images_per_second: 2048.0,
            elapsed_seconds: 24.5,
        };
        let line = Event::Epoch(record.clone()).to_line();
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({"event": "epoch", "data": {"epoch": 1, "epochs": 20, "train_loss": 1.75, "train_accuracy": 0.375,
                "test_loss": 1.5, "test_accuracy": 0.46, "test_images": 10000, "learning_rate": 0.001,
                "images_per_second": 2048.0, "elapsed_seconds": 24.5}})
        );
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), Event::Epoch(record));
    }

    #[test]
    fn a_step_is_read_with_and_without_its_gradients_length() {
        let step = StepRecord {
            epoch: 1,
            epochs: 2,
            step: 3,
            steps: 4,
            train_loss: 1.0,
            train_accuracy: 0.5,
            learning_rate: 0.1,
            gradient_norm: Some(2.5),
            images_per_second: 10.0,
        };
        let line = Event::Step(step.clone()).to_line();
        assert!(line.contains(r#""learning_rate":0.1,"gradient_norm":2.5,"#), "{line}");
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), Event::Step(step.clone()));
        let without = line.replace(r#""gradient_norm":2.5,"#, "");
        assert_eq!(serde_json::from_str::<Event>(&without).unwrap(), Event::Step(StepRecord { gradient_norm: None, ..step }));
    }

    #[test]
    fn names_are_those_that_are_written() {
        let ready = DataStage::Ready { train_images: 50_000, test_images: 10_000, classes: 10, notes: vec![] };
        let failure = Failure { error: "lower `learning_rate`".into() };
        for event in [Event::Data(ready), Event::Failed(failure), Event::Cancelled(Ended { epoch: 1, epochs: 2 })] {
            let line: Value = serde_json::from_str(&event.to_line()).unwrap();
            assert_eq!(line["event"], event.name());
            assert_eq!(event.is_last(), event.name() != "data");
        }
    }
}
