//! The command line: what can be typed, read into a [`Config`] and a command's arguments. One file a command, each with its
//! `Args` and `run(args, globals)`.
//!
//! Results go to stdout, everything else to stderr. Threads are rayon's: as many as this process may use of the machine
//! (its affinity and a container's share), or `RAYON_NUM_THREADS`.

pub mod bench;
pub mod calibrate;
pub mod classify;
pub mod eval;
pub mod familiarize;
pub mod fetch_data;
pub mod globals;
pub mod health;
pub mod import;
pub mod log;
pub mod output;
pub mod selftest;
pub mod serve;
pub mod train;

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Config, FileSource, Sources};
use crate::console;
use crate::kernels::Tier;
pub use globals::{Globals, architecture};
pub use output::{Stopped, Usage, print, report};

/// Classifies images with convolutional networks, shows what every layer sees, and trains new ones while you watch.
///
/// Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "convscope", version, max_term_width = 100, override_usage = "convscope [OPTIONS] [COMMAND]")]
struct Cli {
    #[command(flatten)]
    serve: serve::Args,
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct GlobalArgs {
    /// Configuration file [default: ./config.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where arithmetic runs: auto, cpu, cuda or cuda:N [default: auto]
    #[arg(long, global = true, value_name = "DEVICE")]
    device: Option<String>,
    /// How the log on stderr is written: pretty or json [default: pretty]
    #[arg(long, global = true, value_name = "FORMAT")]
    log: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer over HTTP and show the page (the default)
    Serve(serve::Args),
    /// Train a network
    Train(train::Args),
    /// Measure a model on the test images of a dataset
    Eval(eval::Args),
    /// Make a model's probabilities as often right as they say
    Calibrate(calibrate::Args),
    /// Say what images show
    Classify(classify::Args),
    /// Turn PyTorch's weights into a model
    Import(import::Args),
    /// Let a model tell how familiar an image is
    Familiarize(familiarize::Args),
    /// Download CIFAR-10
    FetchData(fetch_data::Args),
    /// Ask a running server whether it is ready
    Health(health::Args),
    /// Time a model on this machine
    Bench(bench::Args),
    /// Find out whether this machine computes what it should
    Selftest(selftest::Args),
}

impl Command {
    /// What a command's own flags set in the configuration.
    fn settings(&self) -> Vec<(&'static str, Option<String>)> {
        match self {
            Self::Serve(args) => vec![("server.listen", args.listen.clone())],
            Self::Selftest(args) => vec![("kernels", args.kernels.clone())],
            _ => Vec::new(),
        }
    }

    /// Whether a server started it and told it everything: ./config.toml may be another one's than the server's.
    fn is_told(&self) -> bool {
        matches!(self, Self::Train(args) if args.is_told())
    }

    fn run(self, globals: &Globals) -> anyhow::Result<()> {
        match self {
            Self::Serve(args) => serve::run(args, globals),
            Self::Train(args) => train::run(&args, globals),
            Self::Eval(args) => eval::run(&args, globals),
            Self::Calibrate(args) => calibrate::run(&args, globals),
            Self::Classify(args) => classify::run(&args, globals),
            Self::Import(args) => import::run(args, globals),
            Self::Familiarize(args) => familiarize::run(&args, globals),
            Self::FetchData(args) => fetch_data::run(args, globals),
            Self::Health(args) => health::run(&args, globals),
            Self::Bench(args) => bench::run(&args, globals),
            Self::Selftest(args) => selftest::run(&args, globals),
        }
    }
}

/// Does what the process's arguments ask for. Arguments that cannot be read end the process here, as `--help` does.
pub fn run() -> anyhow::Result<()> {
    let Cli { serve, global, command } = Cli::parse();
    let command = match command {
        None => Command::Serve(serve),
        Some(command) if serve == serve::Args::default() => command,
        Some(_) => Cli::command()
            .error(ErrorKind::ArgumentConflict, "options of `serve` stand after it, not before another command")
            .exit(),
    };
    let own = [("device", global.device), ("log.format", global.log)];
    let flags = own.into_iter().chain(command.settings()).filter_map(|(key, value)| Some((key, value?))).collect();
    let mut sources = Sources::of_process(global.config, flags);
    if command.is_told() {
        sources.file = FileSource::None;
    }
    let config = Config::load(&sources)?;
    log::start(&config.log);
    Tier::of(config.kernels).map_err(|fault| Usage(format!("the setting `kernels`: {fault}")))?.choose();
    let outcome = command.run(&Globals { config });
    console::flush();
    outcome
}
