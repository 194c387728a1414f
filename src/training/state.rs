//! What a run resumes from: parameters, optimizer buffers, average, and the epochs that are over. One file, replaced after
//! every epoch; nothing else is needed, since order, augmentation and dropout follow from the seed, the epoch and the index.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::event::EpochRecord;
use super::recipe::Recipe;
use crate::checkpoint::{Contents, Dtype, Tensor, atomic, safetensors_bytes};
use crate::network::weights::specs;
use crate::network::{Architecture, LayerShape, Parameter, Preprocessing, Weights};

/// Layout of the file.
const FORMAT: u32 = 1;
/// The key of the file's metadata that holds [`Head`].
const KEY: &str = "convscope_run";
const WEIGHTS: &str = "weights.";
const MOMENTUM: &str = "momentum.";
const AVERAGE: &str = "average.";

/// A run after a whole number of epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// What was trained, how and how far.
    pub head: Head,
    /// The parameters that the next step starts from.
    pub weights: Weights,
    /// The optimizer's buffers, in the order of the parameters.
    pub momentum: Vec<Parameter>,
    /// The averaged parameters, where the recipe averages.
    pub average: Option<Weights>,
}

/// The part of a state that is not numbers of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    format: u32,
    /// The network.
    pub architecture: Architecture,
    /// The recipe.
    pub recipe: Recipe,
    /// The images, as far as a run depends on them.
    pub data: DataSummary,
    /// The epochs that are over.
    pub records: Vec<EpochRecord>,
}

/// What tells one dataset from another without keeping it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSummary {
    /// From pixels to input; with `normalize = "channel"` measured on the training images.
    pub preprocessing: Preprocessing,
    /// Class names, in order.
    pub classes: Vec<String>,
    /// Images trained on.
    pub train_images: usize,
    /// Images held out.
    pub test_images: usize,
}

impl Head {
    /// The head of a run that is about to start.
    pub fn new(architecture: Architecture, recipe: Recipe, data: DataSummary) -> Self {
        Self { format: FORMAT, architecture, recipe, data, records: Vec::new() }
    }

    /// Whether this run can go on as `now`: everything but the number of epochs must be the same.
    fn continues_as(&self, now: &Head) -> Result<(), String> {
        if self.architecture != now.architecture {
            return Err(format!("it trains another network (`{}`)", self.architecture.name));
        }
        if self.data != now.data {
            return Err("it was begun on other images".into());
        }
        let fields = |recipe: &Recipe| serde_json::to_value(recipe).unwrap_or_default();
        let (before, after) = (fields(&self.recipe), fields(&now.recipe));
        let pairs = before.as_object().into_iter().flatten().map(|(key, value)| (key, value, &after[key]));
        let changed: Vec<String> = pairs
            .filter(|(key, old, new)| old != new && *key != "epochs")
            .map(|(key, old, new)| format!("`{key}` was {old} and is now {new}"))
            .collect();
        if !changed.is_empty() {
            return Err(changed.join(", "));
        }
        let over = self.records.len();
        if over > now.recipe.epochs as usize {
            return Err(format!("it has {over} epochs and {} are asked for", now.recipe.epochs));
        }
        Ok(())
    }
}

impl State {
    /// Writes it to `path`, wholly or not at all, and synced: the moment from which the epoch is kept.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let head = serde_json::to_string(&self.head).unwrap_or_else(|e| unreachable!("the head is plain data: {e}"));
        let metadata = BTreeMap::from([(KEY.to_owned(), head)]);
        let parts = [(WEIGHTS, self.weights.iter().collect()), (MOMENTUM, self.momentum.iter().collect::<Vec<_>>())];
        let average = self.average.iter().map(|average| (AVERAGE, average.iter().collect()));
        let named: Vec<(String, &Parameter)> = (parts.into_iter().chain(average))
            .flat_map(|(prefix, entries)| entries.into_iter().map(move |entry| (format!("{prefix}{}", entry.name), entry)))
            .collect();
        let tensors: Vec<Tensor<'_>> =
            named.iter().map(|(name, entry)| Tensor { name, shape: &entry.shape, values: &entry.values }).collect();
        atomic::write_file(path, &safetensors_bytes(&metadata, &tensors, Dtype::F32)).map_err(Error::io("write", path))
    }

    /// The state at `path` to go on from as `now`; none where there is no such file.
    pub fn load(path: &Path, now: &Head, layers: &[LayerShape]) -> Result<Option<Self>, Error> {
        let Some((head, parameters)) = read(path)? else { return Ok(None) };
        let refuse = |reason: String| Error::Resume { path: path.into(), reason };
        head.continues_as(now).map_err(refuse)?;
        let name = &now.architecture.name;
        let part = |prefix: &str| -> Vec<Parameter> {
            let own = parameters.iter().filter_map(|p| Some((p.name.strip_prefix(prefix)?, p)));
            own.map(|(name, p)| Parameter { name: name.into(), ..p.clone() }).collect()
        };
        let weights = Weights::fit(name, layers, part(WEIGHTS))?;
        let average = if head.recipe.ema_decay > 0.0 { Some(Weights::fit(name, layers, part(AVERAGE))?) } else { None };
        // The file is sorted by name; buffers go in the order of the parameters.
        let mut buffers = part(MOMENTUM);
        let mut take = |name: &str| buffers.iter().position(|b| b.name == name).map(|at| buffers.swap_remove(at));
        let momentum = specs(layers).filter_map(|spec| take(&spec.name)).collect();
        Ok(Some(Self { head: Head { recipe: now.recipe.clone(), ..head }, weights, momentum, average }))
    }
}

/// The epochs that are over in the state at `path`; none where there is no such file.
pub fn records(path: &Path) -> Result<Vec<EpochRecord>, Error> {
    Ok(read(path)?.map_or_else(Vec::new, |(head, _)| head.records))
}

fn read(path: &Path) -> Result<Option<(Head, Vec<Parameter>)>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(Error::io("read", path)(fault)),
    };
    let refuse = |reason: String| Error::Resume { path: path.into(), reason };
    let contents = Contents::read(&bytes).map_err(|e| refuse(e.to_string()))?;
    let text = contents.metadata.get(KEY).ok_or_else(|| refuse("it is no state of a run".into()))?;
    let head: Head = serde_json::from_str(text).map_err(|e| refuse(format!("its head cannot be read: {e}")))?;
    if head.format != FORMAT {
        return Err(refuse(format!("its layout is version {}, and this program reads {FORMAT}", head.format)));
    }
    Ok(Some((head, contents.parameters)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Init, infer, init, presets};

    fn example() -> (State, Vec<LayerShape>) {
        let architecture = presets::named("tutorial").unwrap();
        let layers = infer(&architecture).unwrap();
        let data = DataSummary {
            preprocessing: Preprocessing::unit(architecture.input),
            classes: vec!["cat".into(), "dog".into()],
            train_images: 4,
            test_images: 2,
        };
        let mut head = Head::new(architecture, Recipe::named("tutorial").unwrap(), data);
        head.recipe.ema_decay = 0.9;
        let weights = |seed| init::weights(&layers, Init::Pytorch, seed);
        let momentum = weights(1).iter().cloned().collect();
        (State { head, weights: weights(0), momentum, average: Some(weights(2)) }, layers)
    }

    #[test]
    fn a_state_reads_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.state");
        let (state, layers) = example();
        assert_eq!(State::load(&path, &state.head, &layers).unwrap(), None);
        state.save(&path).unwrap();
        assert_eq!(State::load(&path, &state.head, &layers).unwrap(), Some(state.clone()));
        let mut longer = state.head.clone();
        longer.recipe.epochs += 1;
        assert_eq!(State::load(&path, &longer, &layers).unwrap().unwrap().head.recipe.epochs, state.head.recipe.epochs + 1);
    }

    #[test]
    fn another_run_is_refused_by_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.state");
        let (state, layers) = example();
        state.save(&path).unwrap();
        let refusal = |change: fn(&mut Head)| {
            let mut now = state.head.clone();
            change(&mut now);
            State::load(&path, &now, &layers).unwrap_err().to_string()
        };
        let message = refusal(|now| now.recipe.learning_rate = 0.5);
        assert!(message.contains("`learning_rate` was 0.02 and is now 0.5"), "{message}");
        assert!(refusal(|now| now.data.train_images = 5).contains("other images"));
        assert!(refusal(|now| now.architecture.name = "x".into()).contains("another network (`tutorial`)"));
        std::fs::write(&path, b"not a state").unwrap();
        assert!(refusal(|_| ()).contains("m.state"));
    }
}
