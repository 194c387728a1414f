//! `convscope train`: a run of training in this process, whoever started it: a person, a batch system, or the server.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Map, Value};

use self::report::Reporter;
use self::stop::{Stop, StopFlag};
use super::globals::architecture;
use super::{Globals, Usage};
use crate::checkpoint::Dtype;
use crate::dataset::Rules;
use crate::picture::decode::Limits;
use crate::training::event::{Event, Failure};
use crate::training::folder::RunFolder;
use crate::training::trainer::{Finish, Models, Output, Run, train};
use crate::training::{self, Recipe, overrides};

mod report;
mod stop;

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A preset's name, or an architecture file (.toml)
    #[arg(long, value_name = "NAME|FILE")]
    arch: String,
    /// Images: CIFAR-10's binary layout (folder or .tar.gz), or a folder of images with train/CLASS/ and test/CLASS/, or CLASS/
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The model file to write; FILE.state beside it is what --resume reads
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A recipe's name (default, published, tutorial) or file (.toml); without it the preset's own
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
    /// Leave out images that cannot be read, with a note; otherwise all of them are named before the first step
    #[arg(long)]
    skip_unreadable: bool,
    /// How the model's numbers are stored: f32, f16 or bf16; its accuracy is measured as stored
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    dtype: Dtype,
    /// Print every event as a line of JSON, and end when standard input, being a pipe, does
    #[arg(long, value_name = "FORMAT")]
    events: Option<EventFormat>,
    /// The server's: keep state and journal in this folder, and every epoch's model in the folder OUT
    #[arg(long, value_name = "DIR", hide = true)]
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
    let folder = args.run_dir.as_ref().map(RunFolder::new);
    // Held until the process ends.
    let _lock = folder.as_ref().map(RunFolder::lock).transpose()?;
    let stop = StopFlag::watching(args.events.is_some());
    let mut reporter = Reporter::open(args.events.is_some(), folder.as_ref())?;
    let mut unheard = None;
    let mut on_event = |event: &Event| {
        unheard = reporter.report(event).err();
        if unheard.is_some() || stop.get().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    // A panic is a fault of ours, but whoever follows the run must still hear that it is over.
    let attempt = AssertUnwindSafe(|| Ok(train(&prepare(args, globals, folder.as_ref())?, &mut on_event)?));
    let finish = catch_unwind(attempt).unwrap_or_else(|_| Err(anyhow!("the program failed; the lines above say where")));
    let (last, result) = match finish {
        Ok(Finish::Done(outcome)) => (Some(Event::Done(outcome)), Ok(())),
        Err(fault) => (Some(Event::Failed(Failure { error: format!("{fault:#}") })), Err(fault)),
        Ok(Finish::Stopped(ended)) => {
            let how = format!("stopped after {} of {} epochs; with --resume the same command goes on", ended.epoch, ended.epochs);
            // An interrupted run has no last event: it is to be gone on with.
            let last = if stop.get() == Some(Stop::Cancel) { Some(Event::Cancelled(ended)) } else { None };
            (last, Err(unheard.map_or_else(|| anyhow!(how), anyhow::Error::from)))
        }
    };
    if let Some(last) = last {
        reporter.report(&last).context("the last event cannot be written")?;
    }
    result
}

/// Everything that is read before the first image.
fn prepare(args: &Args, globals: &Globals, folder: Option<&RunFolder>) -> anyhow::Result<Run> {
    let architecture = architecture(&args.arch)?;
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
    Ok(Run {
        architecture,
        data: args.data.clone(),
        rules: Rules { limits: Limits::of(globals.config.limits.pixels), skip_unreadable: args.skip_unreadable },
        recipe,
        device: globals.config.device,
        output: args.output(folder),
        resume: args.resume,
    })
}

impl Args {
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

    fn output(&self, folder: Option<&RunFolder>) -> Output {
        let name = self.out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut state = self.out.clone().into_os_string();
        state.push(".state");
        match folder {
            Some(folder) => Output { name, state: folder.state(), models: Models::Every(self.out.clone()) },
            None => Output { name, state: state.into(), models: Models::Last { path: self.out.clone(), dtype: self.dtype } },
        }
    }
}
