//! `convscope train`: a run of training in this process, whoever started it: a person, a batch system, or the server.

use std::fs::File;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde_json::{Map, Value};

use self::report::Reporter;
use self::stop::{Stop, StopFlag};
use super::globals::architecture;
use super::{Globals, Stopped, Usage};
use crate::checkpoint::{self, Dtype};
use crate::dataset::Rules;
use crate::dataset::fetch::Source;
use crate::picture::decode::Limits;
use crate::training::event::{Ended, Event, Failure, plural};
use crate::training::fetching::fetch_missing;
use crate::training::folder::RunFolder;
use crate::training::request::Request;
use crate::training::trainer::{Finish, Models, Output, Run, train};
use crate::training::{self, Recipe, overrides, recipe, state};

mod behind;
mod report;
mod stop;
mod tensorboard;

/// How long to wait for a predecessor in the same folder to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = recipe::help())]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag that is there or not")]
pub struct Args {
    /// A preset's name, or an architecture file (.toml)
    #[arg(long, value_name = "NAME|FILE", required_unless_present = "run_dir")]
    arch: Option<String>,
    /// Images: CIFAR-10's binary layout (folder or .tar.gz), or a folder of images with train/CLASS/ and test/CLASS/, or CLASS/
    #[arg(long, value_name = "DIR", required_unless_present = "run_dir")]
    data: Option<PathBuf>,
    /// The model file to write; FILE.state beside it is what --resume reads
    #[arg(long, value_name = "FILE", required_unless_present = "run_dir")]
    out: Option<PathBuf>,
    /// A recipe's name (default, published, tutorial, speedrun, accurate, adamw, muon) or file (.toml); without it the preset's own
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Passes over the training images
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Images a step
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Decides everything that is random; equal seeds give equal models on the CPU
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Any key of the recipe, as in `--set learning_rate=0.01 --set augmentation.flip=false`
    #[arg(long, value_name = "KEY=VALUE", value_parser = overrides::parse)]
    set: Vec<(String, Value)>,
    /// Go on from FILE.state, where there is one; more --epochs than before are fine
    #[arg(long)]
    resume: bool,
    /// Begin anew where OUT, or epochs of an unfinished run, are there; they are replaced
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Leave out images that cannot be read, with a note; otherwise all of them are named before the first step
    #[arg(long)]
    skip_unreadable: bool,
    /// Change the network's input and last layer to what the images need, and say how
    #[arg(long)]
    fit_data: bool,
    /// How the model's numbers are stored: f32, f16 or bf16; its accuracy is measured as stored
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Dtype,
    /// Print every event as a line of JSON, and end when standard input, being a pipe, does
    #[arg(long, value_name = "FORMAT")]
    events: Option<EventFormat>,
    /// Write losses, accuracies and learning rates for TensorBoard into this folder as well
    #[arg(long, value_name = "DIR")]
    tensorboard: Option<PathBuf>,
    /// The server's: everything that is asked for is read from this folder, and everything that comes of it is kept there
    #[arg(
        long,
        value_name = "DIR",
        hide = true,
        conflicts_with_all = ["arch", "data", "out", "recipe", "epochs", "batch_size", "seed", "set", "resume", "force", "fit_data", "dtype", "tensorboard"]
    )]
    run_dir: Option<PathBuf>,
}

/// How events are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum EventFormat {
    /// One JSON object a line.
    Jsonl,
}

/// Trains as `args` say.
pub fn run(args: &Args, globals: &Globals) -> anyhow::Result<()> {
    let folder = args.run_dir.as_deref().map(RunFolder::at).transpose()?;
    if folder.is_some() {
        behind::step_behind();
    }
    let stop = StopFlag::watching(args.events.is_some());
    // Held until the process ends.
    let _lock = folder.as_ref().map(|folder| claim(folder, &stop)).transpose()?;
    let mut reporter = Reporter::open(args.events.is_some(), folder.as_ref())?;
    if let Some(folder) = &args.tensorboard {
        reporter.write_for_tensorboard(folder)?;
    }
    let mut unheard = None;
    let mut on_event = |event: &Event| {
        unheard = reporter.report(event).err();
        if unheard.is_some() || stop.get().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    // A panic is a fault of ours, but whoever follows the run must still hear that it is over.
    let attempt = AssertUnwindSafe(|| {
        let run = match &folder {
            Some(folder) => Request::read(folder)?.run(folder, globals.config.device, args.rules(globals))?,
            None => prepare(args, globals)?,
        };
        sweep(&run.output);
        let datasets = folder.as_ref().map_or(globals.config.data_dir.as_path(), RunFolder::data_dir).join("datasets");
        let source = Source::cifar10(&globals.config.train.cifar10_url);
        if fetch_missing(&run.data, &datasets, &source, &mut on_event)?.is_break() {
            let epoch = state::records(&run.output.state)?.len() as u32;
            return Ok(Finish::Stopped(Ended { epoch, epochs: run.recipe.epochs }));
        }
        Ok(train(&run, &mut on_event)?)
    });
    let finish = catch_unwind(attempt).unwrap_or_else(|_| Err(anyhow!("the program failed; the lines above say where")));
    let (last, result) = match finish {
        Ok(Finish::Done(outcome)) => (Some(Event::Done(outcome)), Ok(())),
        Err(fault) => (Some(Event::Failed(Failure { error: format!("{fault:#}") })), Err(fault)),
        Ok(Finish::Stopped(ended)) => {
            let how = Stopped(stopped(&ended));
            // An interrupted run has no last event: it is to be gone on with.
            let last = if stop.get() == Some(Stop::Cancel) { Some(Event::Cancelled(ended)) } else { None };
            (last, Err(unheard.map_or_else(|| how.into(), anyhow::Error::from)))
        }
    };
    if let Some(last) = last {
        reporter.report(&last).context("the last event cannot be written")?;
    }
    reporter.close();
    result
}

/// Claims `folder`. A process whose server was killed may still hold it, and takes a moment to see that it is alone.
fn claim(folder: &RunFolder, stop: &StopFlag) -> Result<File, training::Error> {
    let asked = Instant::now();
    loop {
        match folder.lock() {
            Err(training::Error::Locked(_)) if asked.elapsed() < PATIENCE && stop.get().is_none() => {
                std::thread::sleep(Duration::from_millis(50));
            }
            claimed => return claimed,
        }
    }
}

/// What to know of a run that was stopped.
fn stopped(ended: &Ended) -> String {
    match (ended.epoch, ended.epochs) {
        (0, _) => "stopped before the first epoch was over: nothing is kept".into(),
        (epoch, epochs) => {
            format!(
                "stopped after {epoch} of {}, which are kept: the same command with --resume goes on",
                plural(epochs as usize, "epoch")
            )
        }
    }
}

/// Removes what an earlier run of the same `output` left half written when it was killed.
fn sweep(output: &Output) {
    let beside = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        checkpoint::sweep::sweep(folder);
    };
    beside(&output.state);
    match &output.models {
        Models::Last { path, .. } => beside(path),
        Models::Every(folder) => drop(checkpoint::sweep::sweep(folder)),
    }
}

/// Everything that is read before the first image.
fn prepare(args: &Args, globals: &Globals) -> anyhow::Result<Run> {
    // clap asks for all three where there is no --run-dir.
    let (Some(arch), Some(data), Some(out)) = (&args.arch, &args.data, &args.out) else { anyhow::bail!("nothing to train") };
    let architecture = architecture(arch)?;
    let usage = |fault: training::Error| Usage(fault.to_string());
    let recipe = match &args.recipe {
        None => Recipe::of(&architecture)?,
        Some(name) if Recipe::names().any(|known| known == name) || !Path::new(name).exists() => {
            Recipe::named(name).map_err(usage)?
        }
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the recipe {file}"))?;
            Recipe::from_toml(&text).map_err(|fault| Usage(format!("{file}: {fault}")))?
        }
    };
    let recipe = recipe.fitted(&architecture, &args.changes()).map_err(usage)?;
    let output = args.output(out);
    args.may_write(out, &output.state)?;
    let rules = args.rules(globals);
    Ok(Run {
        architecture,
        data: data.clone(),
        rules,
        recipe,
        device: globals.config.device,
        output,
        resume: args.resume,
        fit_data: args.fit_data,
    })
}

impl Args {
    /// Whether this is a server's run, which is told everything and looks nowhere else.
    pub(super) fn is_told(&self) -> bool {
        self.run_dir.is_some()
    }

    fn rules(&self, globals: &Globals) -> Rules {
        Rules { limits: Limits::of(globals.config.limits.pixels), skip_unreadable: self.skip_unreadable }
    }

    /// What flags say of the recipe; those with a name of their own are stronger than `--set`.
    fn changes(&self) -> Map<String, Value> {
        let own = [
            ("epochs", self.epochs.map(Value::from)),
            ("batch_size", self.batch_size.map(Value::from)),
            ("seed", self.seed.map(Value::from)),
        ];
        let own = own.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        overrides::collect(self.set.iter().cloned().chain(own))
    }

    fn output(&self, out: &Path) -> Output {
        let name = out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut state = out.to_owned().into_os_string();
        state.push(".state");
        Output { name, state: state.into(), models: Models::Last { path: out.into(), dtype: self.dtype } }
    }

    /// Nobody's work is replaced unless that is said.
    fn may_write(&self, out: &Path, state: &Path) -> Result<(), Usage> {
        let (there, kept) = (out.exists(), state.exists());
        let (out, state) = (out.display(), state.display());
        match self.resume {
            _ if self.force || !(there || kept) => Ok(()),
            true if kept => Ok(()),
            true => Err(Usage(format!(
                "{out} is there and {state}, from which --resume would go on, is not: give --force to replace the model, or another --out"
            ))),
            false if there => Err(Usage(format!(
                "{out} is there already: --resume goes on with its run, --force replaces it, another --out keeps it"
            ))),
            false => Err(Usage(format!(
                "{state} has the epochs of an unfinished run: --resume goes on with it, --force begins anew, another --out keeps it"
            ))),
        }
    }
}
