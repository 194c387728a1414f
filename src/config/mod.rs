//! What the program runs with: config.toml, the environment and flags joined into one validated [`Config`].
//!
//! `sources` collects what was written and where, `reader` gives it types, ranges and defaults, `sections` is every key
//! there is, `token` the one secret. All faults are found in one pass. What [`Config::load`] returns can run; nothing
//! later asks the environment, re-reads the file or doubts a range. This module does not know what its values are used for.

mod reader;
mod sections;
mod sources;
mod token;

use std::path::PathBuf;

pub use sections::{Limits, Log, LogFormat, Models, Server, Train};
pub use sources::{FileSource, Sources};
pub use token::Token;

use crate::words::{DeviceChoice, KernelChoice};
use reader::Reader;

/// Everything that can be set, at values that can run.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The one folder that is written to: models/, runs/ and datasets/ in it. Made when first written.
    pub data_dir: PathBuf,
    /// Where arithmetic runs.
    pub device: DeviceChoice,
    /// The instruction set of the processor's kernels. Whether it has them is not known here.
    pub kernels: KernelChoice,
    /// Listening and connections.
    pub server: Server,
    /// What one request may take, and all of them together.
    pub limits: Limits,
    /// Which models are served.
    pub models: Models,
    /// Training started over HTTP.
    pub train: Train,
    /// What is logged, and how.
    pub log: Log,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", listed(.faults))]
pub struct Error {
    /// One sentence each: where it was written, what is wrong, what is allowed.
    pub faults: Vec<String>,
}

impl Config {
    /// Joins `sources`; a flag overrides the environment, the environment the file, the file the default.
    pub fn load(sources: &Sources) -> Result<Self, Error> {
        let (written, faults) = sources.collect();
        let mut reader = Reader::new(written, faults);
        let config = Self::read(&mut reader);
        let faults = reader.finish();
        if faults.is_empty() { Ok(config) } else { Err(Error { faults }) }
    }

    /// The folders in which models are looked for, in order; embedded models come after them.
    pub fn model_folders(&self) -> Vec<PathBuf> {
        vec![self.data_dir.join("models"), self.models.dir.clone()]
    }

    /// What of it a run that is started as a process has to know besides its device, as that process's environment: it reads no
    /// file, which may be another one by then, and goes on with the same kernels, and so the same bits, after a restart.
    pub fn for_runs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CONVSCOPE_KERNELS", self.kernels.to_string()),
            ("CONVSCOPE_LIMITS__MEGAPIXELS", (self.limits.pixels / 1_000_000).to_string()),
            ("CONVSCOPE_LOG__LEVEL", self.log.level.clone()),
            ("CONVSCOPE_TRAIN__CIFAR10_URL", self.train.cifar10_url.clone()),
        ]
    }

    fn read(reader: &mut Reader) -> Self {
        let server = Server::read(reader);
        let train = Train::read(reader, server.listen);
        Self {
            data_dir: reader.path("data_dir", "./data"),
            device: reader.text("device", "auto", str::parse),
            kernels: reader.text("kernels", "auto", str::parse),
            server,
            limits: Limits::read(reader),
            models: Models::read(reader),
            train,
            log: Log::read(reader),
        }
    }
}

impl Default for Config {
    /// The built-in defaults: what an empty file means.
    fn default() -> Self {
        Self::read(&mut Reader::new(sources::Written::default(), Vec::new()))
    }
}

fn listed(faults: &[String]) -> String {
    match faults {
        [only] => only.clone(),
        several => format!("the configuration has {} faults:\n  {}", several.len(), several.join("\n  ")),
    }
}
