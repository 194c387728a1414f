//! What every command has at hand: the configuration, and what it means.

use std::path::Path;

use anyhow::Context;
use candle_core::Device;

use super::Usage;
use crate::checkpoint::{self, Store, store};
use crate::config::Config;
use crate::network::check::Written;
use crate::network::{Architecture, Model, presets};
use crate::words::nearest;

/// The configuration a command runs with.
#[derive(Debug, Clone)]
pub struct Globals {
    /// Validated, flags included.
    pub config: Config,
}

/// A model and what it was found as.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The model.
    pub model: Model,
}

impl Globals {
    /// Opens the configured device.
    pub fn device(&self) -> anyhow::Result<Device> {
        Ok(self.config.device.open()?)
    }

    /// The models there are.
    pub fn store(&self) -> Store {
        Store::new(self.config.model_folders())
    }

    /// The model that `--model NAME|FILE` means: a file that is there, else the version of a name that its writer
    /// prefers, or the highest; without it, the configured default.
    pub fn model(&self, wanted: Option<&str>) -> anyhow::Result<Found> {
        let wanted = wanted.unwrap_or(&self.config.models.default);
        let path = Path::new(wanted);
        if path.is_file() || is_path(wanted) {
            let (name, version) = store::identity(path);
            return Ok(Found { name, version, model: checkpoint::load(path)? });
        }
        let entry = self.store().find(wanted)?;
        let none = || format!("the model `{wanted}` has no version");
        let (version, source) = match entry.preferred()? {
            Some(preferred) => (preferred.version, entry.version(preferred.version)?),
            None => entry.highest().with_context(none)?,
        };
        Ok(Found { version, model: source.load()?, name: entry.name.clone() })
    }
}

/// The layer list that `--arch NAME|FILE.toml` means.
pub fn architecture(wanted: &str) -> anyhow::Result<Architecture> {
    let path = Path::new(wanted);
    if let Some(preset) = presets::named(wanted) {
        return Ok(preset);
    }
    if path.is_file() || is_path(wanted) {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {wanted}"))?;
        let checked = Written::toml(&text).and_then(|written| written.check());
        return checked.map(|checked| checked.architecture).with_context(|| wanted.to_owned());
    }
    let names: Vec<_> = presets::names().collect();
    let hint = nearest(wanted, &names).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let names = names.join(", ");
    Err(Usage(format!("there is no network `{wanted}`: use {names} or a file such as my-network.toml{hint}")).into())
}

/// Whether `text` is meant as a path, whatever is there.
fn is_path(text: &str) -> bool {
    text.contains(std::path::MAIN_SEPARATOR) || Path::new(text).extension().is_some_and(|e| e == "safetensors" || e == "toml")
}
