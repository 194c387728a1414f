//! What can go wrong with a run of training, in sentences that say what to change.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use super::queue::{JobState, Refusal};
use super::recipe::{Recipe, ReductionKind, ScheduleKind};
use crate::{checkpoint, dataset, evaluation, network};

/// Everything this module refuses. None of it depends on who asked. A fault that is shown in a message is not also its source:
/// printed as a chain, each sentence stands once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No recipe has this name.
    #[error("there is no recipe `{name}`; the recipes are {}", .known.join(", "))]
    UnknownRecipe {
        /// As asked for.
        name: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
    /// No preset has this name.
    #[error("there is no architecture `{name}`; the presets are {}", .known.join(", "))]
    UnknownArchitecture {
        /// As asked for.
        name: String,
        /// Those there are.
        known: Vec<&'static str>,
    },
    /// A recipe file is not TOML.
    #[error("the recipe cannot be read: {0}")]
    RecipeFile(String),
    /// Keys or values of a recipe are wrong, one sentence each.
    #[error("the recipe cannot be used:\n  {}", .0.join("\n  "))]
    Recipe(Vec<String>),
    /// The images are not what the network or the recipe needs.
    #[error("{0}")]
    Mismatch(String),
    /// The loss, a gradient or a parameter left the numbers.
    #[error("the {what} left the finite numbers in epoch {epoch}, step {step}: {advice}")]
    Diverged {
        /// Which of them.
        what: &'static str,
        /// From 1.
        epoch: u32,
        /// From 1, within the epoch.
        step: u64,
        /// What to change.
        advice: String,
    },
    /// A run cannot go on from this state.
    #[error("cannot resume from {}: {reason}. Start without `--resume`, or move the file away", .path.display())]
    Resume {
        /// The state's file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Another process works in this run's folder.
    #[error("another process is training in {}: wait for it to end", .0.display())]
    Locked(PathBuf),
    /// A folder that holds no run.
    #[error("{} is no run's folder: there is no job.json in it, or it is not in a folder called runs", .0.display())]
    NoRun(PathBuf),
    /// The file system refused.
    #[error("cannot {doing} {}: {fault}", .path.display())]
    Io {
        /// `read`, `write`, `lock`, `remove`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        fault: io::Error,
    },
    /// No such job.
    #[error("there is no job `{0}`")]
    UnknownJob(String),
    /// The job is over.
    #[error("the job `{id}` is {state} already")]
    Over {
        /// The job.
        id: String,
        /// How it ended.
        state: JobState,
    },
    /// The job is not over.
    #[error("the job `{id}` is {state}: cancel it first")]
    Live {
        /// The job.
        id: String,
        /// What it does.
        state: JobState,
    },
    /// The job has nothing to go on with.
    #[error("the job `{id}` is {state}: only one that was interrupted, was cancelled or failed can go on")]
    GoesOn {
        /// The job.
        id: String,
        /// What it does, or how it ended.
        state: JobState,
    },
    /// The run does not fit on the disk.
    #[error(
        "the run needs at least {needed} of disk for its models and its state, and {free} are free where the data folder is: remove \
         runs, ask for fewer `epochs`, or lower `train.keep_epochs`"
    )]
    Disk {
        /// What it and the runs before it have yet to write.
        needed: Bytes,
        /// What is free.
        free: Bytes,
    },
    /// The run does not fit in memory.
    #[error(
        "the run needs at least {needed} of memory and {free} are available: lower `batch_size`, train a smaller network, or end other \
         programs"
    )]
    Memory {
        /// What it takes, at least.
        needed: Bytes,
        /// What it could have.
        free: Bytes,
    },
    /// CIFAR-10 is not there and cannot be had.
    #[error(
        "CIFAR-10 is not there, and fetching it failed: {fault}. Without a network, put the files of cifar-10-binary.tar.gz into {}, or \
         bring that folder from a machine where `convscope fetch-data` works",
        .folder.display()
    )]
    Fetch {
        /// Where it belongs.
        folder: PathBuf,
        /// Why not.
        fault: dataset::Error,
    },
    /// What was given cannot be a run's name.
    #[error("a run's name is one line of at most 100 characters: shorten it")]
    Name,
    /// No jobs are taken any more.
    #[error("the server is shutting down: start the run again once it is back")]
    Closing,
    /// The images cannot be read.
    #[error(transparent)]
    Dataset(#[from] dataset::Error),
    /// The network cannot be measured.
    #[error(transparent)]
    Evaluation(#[from] evaluation::Error),
    /// The network refused.
    #[error(transparent)]
    Network(Box<network::Error>),
    /// The model's file refused.
    #[error(transparent)]
    Checkpoint(Box<checkpoint::Error>),
}

/// So many bytes, as people read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.0 as f64 / (1_u64 << 20) as f64;
        if mib < 1024.0 { write!(f, "{mib:.1} MiB") } else { write!(f, "{:.1} GiB", mib / 1024.0) }
    }
}

impl From<network::Error> for Error {
    fn from(fault: network::Error) -> Self {
        Self::Network(Box::new(fault))
    }
}

impl From<checkpoint::Error> for Error {
    fn from(fault: checkpoint::Error) -> Self {
        Self::Checkpoint(Box::new(fault))
    }
}

impl Error {
    /// What the queue refuses of the job called `id`.
    pub(super) fn refused(id: &str, refusal: Refusal) -> Self {
        let id = id.to_owned();
        match refusal {
            Refusal::Unknown => Self::UnknownJob(id),
            Refusal::Live(state) => Self::Live { id, state },
            Refusal::Over(state) => Self::Over { id, state },
            Refusal::Closing => Self::Closing,
        }
    }

    /// In the step numbered `step`, from 1, of `epoch`.
    pub(super) fn diverged(recipe: &Recipe, what: &'static str, (epoch, step): (u32, u64)) -> Self {
        let rates = recipe.groups.iter().filter_map(|group| Some(format!(", {} in a group", group.learning_rate?)));
        let mut advice = format!("lower `learning_rate` ({} at its peak{})", recipe.learning_rate, rates.collect::<String>());
        advice.push_str(match recipe.schedule {
            ScheduleKind::OneCycle => ", or lengthen `warmup`",
            _ => ", or lengthen `warmup_epochs`",
        });
        if recipe.reduction == ReductionKind::Sum {
            advice.push_str(", or take gradients of the mean (`reduction`)");
        }
        Self::Diverged { what, epoch, step, advice }
    }

    /// After `step` steps of `epoch`, for what a learner says of its own parameters: they are always the architecture's, so
    /// that all that can be wrong with them is that they are not finite.
    pub(super) fn if_diverged(recipe: &Recipe, epoch: u32, step: u64) -> impl FnOnce(network::Error) -> Self {
        let diverged = Self::diverged(recipe, "network", (epoch, step));
        |fault| match fault {
            network::Error::Parameters { .. } => diverged,
            other => other.into(),
        }
    }

    /// No room on the disk.
    pub(super) fn disk(needed: u64, free: u64) -> Self {
        Self::Disk { needed: Bytes(needed), free: Bytes(free) }
    }

    /// No room in memory.
    pub(super) fn memory(needed: u64, free: u64) -> Self {
        Self::Memory { needed: Bytes(needed), free: Bytes(free) }
    }

    /// The fault of a file, for `map_err`.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |fault| Self::Io { doing, path: path.into(), fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_a_learner_that_are_no_weights_mean_that_the_run_diverged() {
        let recipe = Recipe::named("published").unwrap_or_else(|e| panic!("{e}"));
        let faults = vec!["`fc.weight` has 1 of 2 numbers that are not finite".to_owned()];
        let fault = Error::if_diverged(&recipe, 3, 9)(network::Error::Parameters { architecture: "a".into(), faults });
        assert!(matches!(fault, Error::Diverged { epoch: 3, step: 9, .. }), "{fault}");
        assert!(fault.to_string().contains("lower `learning_rate` (0.001"), "{fault}");
        let other = Error::if_diverged(&recipe, 3, 9)(network::Error::Device("no card".into()));
        assert!(matches!(other, Error::Network(_)), "{other}");
    }
}
