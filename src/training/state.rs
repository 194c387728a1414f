//! What a run resumes from: parameters, optimizer buffers, average, and the epochs that are over. One file, replaced after
//! every epoch; nothing else is needed, since order, augmentation and dropout follow from the seed, the epoch and the index.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::event::{EpochRecord, plural};
use super::recipe::Recipe;
use crate::checkpoint::{Contents, Dtype, Tensor, atomic, safetensors_bytes};
use crate::network::weights::specs;
use crate::network::{Architecture, LayerShape, Parameter, Preprocessing, Weights};

/// Layout of the file.
const FORMAT: u32 = 2;
/// The key of the file's metadata that holds [`Head`].
const KEY: &str = "convscope_run";
const WEIGHTS: &str = "weights.";
const MOMENTUM: &str = "momentum.";
const SQUARES: &str = "squares.";
const AVERAGE: &str = "average.";
const SLOW: &str = "slow.";
const BEST: &str = "best.";

/// A run after a whole number of epochs.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// What was trained, how and how far.
    pub head: Head,
    /// The parameters that the next step starts from.
    pub weights: Weights,
    /// The optimizer's buffers, in the order of the parameters.
    pub momentum: Vec<Parameter>,
    /// AdamW's second means, of the parameters that it has moved.
    pub squares: Vec<Parameter>,
    /// The averaged parameters, where the recipe averages.
    pub average: Option<Weights>,
    /// Lookahead's slow parameters, where the recipe has them.
    pub slow: Option<Weights>,
    /// What the best epoch gave, where one is chosen on a validation set.
    pub best: Option<Weights>,
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
    /// What computed the epochs so far, each once: a tier of the kernels, or `cuda`. Each rounds in its own way.
    pub arithmetic: Vec<String>,
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
    /// SHA-256 of their pixels and labels, in their order.
    pub train_digest: String,
    /// Images held out.
    pub test_images: usize,
    /// SHA-256 of their pixels and labels, in their order.
    pub test_digest: String,
}

impl DataSummary {
    /// What `now` has otherwise, if anything.
    fn differs_from(&self, now: &Self) -> Option<String> {
        let content = "their number is the same, their content is not";
        Some(if self.classes != now.classes {
            format!("its classes were {} and are now {}", self.classes.join(", "), now.classes.join(", "))
        } else if self.train_images != now.train_images {
            format!("it was begun on {} training images and there are {} now", self.train_images, now.train_images)
        } else if self.test_images != now.test_images {
            format!("it was measured on {} test images and there are {} now", self.test_images, now.test_images)
        } else if self.train_digest != now.train_digest {
            format!("it was begun on other training images: {content}")
        } else if self.test_digest != now.test_digest {
            format!("it was measured on other test images: {content}")
        } else if self.preprocessing != now.preprocessing {
            "its images were brought to the network's input in another way".into()
        } else {
            return None;
        })
    }
}

impl Head {
    /// The head of a run that is about to start.
    pub fn new(architecture: Architecture, recipe: Recipe, data: DataSummary, arithmetic: String) -> Self {
        Self { format: FORMAT, architecture, recipe, data, arithmetic: vec![arithmetic], records: Vec::new() }
    }

    /// Goes on with `arithmetic`. What that means for the result, where it is not what all epochs so far were computed with.
    pub fn go_on_with(&mut self, arithmetic: String) -> Option<String> {
        if self.records.is_empty() || self.arithmetic == [arithmetic.as_str()] {
            self.arithmetic = vec![arithmetic];
            return None;
        }
        let note = format!(
            "{} computed by {} so far, and the next by {arithmetic}: the model will not be, to the last bit, that of a run without a break",
            plural(self.records.len(), "epoch"),
            self.arithmetic.join(" and ")
        );
        if !self.arithmetic.contains(&arithmetic) {
            self.arithmetic.push(arithmetic);
        }
        Some(note)
    }

    /// Whether this run can go on as `now`: everything but the number of epochs must be the same.
    fn continues_as(&self, now: &Head) -> Result<(), String> {
        if self.architecture != now.architecture {
            return Err(format!("it trains another network (`{}`)", self.architecture.name));
        }
        if let Some(difference) = self.data.differs_from(&now.data) {
            return Err(difference);
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
            return Err(format!("it has {} already, more than the {} asked for", plural(over, "epoch"), now.recipe.epochs));
        }
        Ok(())
    }
}

impl State {
    /// Writes it to `path`, wholly or not at all, and synced: the moment from which the epoch is kept.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let head = serde_json::to_string(&self.head).unwrap_or_else(|e| unreachable!("the head is plain data: {e}"));
        let metadata = BTreeMap::from([(KEY.to_owned(), head)]);
        let remembered = [(MOMENTUM, &self.momentum), (SQUARES, &self.squares)].map(|(prefix, all)| (prefix, all.iter().collect()));
        let (average, slow, best) = (self.average.as_ref(), self.slow.as_ref(), self.best.as_ref());
        let networks = [(WEIGHTS, Some(&self.weights)), (AVERAGE, average), (SLOW, slow), (BEST, best)];
        let networks = networks.into_iter().filter_map(|(prefix, all)| Some((prefix, all?.iter().collect::<Vec<_>>())));
        let named: Vec<(String, &Parameter)> = (networks.chain(remembered))
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
        let network = |there: bool, prefix: &str| there.then(|| Weights::fit(name, layers, part(prefix))).transpose();
        let average = network(head.recipe.ema_decay > 0.0, AVERAGE)?;
        let slow = network(head.recipe.lookahead.every > 0, SLOW)?;
        let best = network(head.recipe.restores_best(), BEST)?;
        // The file is sorted by name; buffers go in the order of the parameters.
        let sorted = |prefix: &str| -> Vec<Parameter> {
            let mut buffers = part(prefix);
            let mut take = |name: &str| buffers.iter().position(|b| b.name == name).map(|at| buffers.swap_remove(at));
            specs(layers).filter_map(|spec| take(&spec.name)).collect()
        };
        let (momentum, squares) = (sorted(MOMENTUM), sorted(SQUARES));
        Ok(Some(Self { head: Head { recipe: now.recipe.clone(), ..head }, weights, momentum, squares, average, slow, best }))
    }
}

/// The epochs that are over in the state at `path`, of whatever layout; none where there is no such file. Reads no more than the
/// file's head.
pub fn records(path: &Path) -> Result<Vec<EpochRecord>, Error> {
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__")]
        metadata: BTreeMap<String, String>,
    }
    #[derive(Deserialize)]
    struct Part {
        records: Vec<EpochRecord>,
    }
    let header = match header(path) {
        Ok(header) => header,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(Error::io("read", path)(fault)),
    };
    let refuse = |reason: String| Error::Resume { path: path.into(), reason };
    let header: Header = serde_json::from_slice(&header).map_err(|e| refuse(e.to_string()))?;
    let text = header.metadata.get(KEY).ok_or_else(|| refuse("it is no state of a run".into()))?;
    let part: Part = serde_json::from_str(text).map_err(|e| refuse(format!("its head cannot be read: {e}")))?;
    Ok(part.records)
}

/// The header of the safetensors file at `path`: JSON behind its length.
fn header(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > file.metadata()?.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no state of a run"));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    Ok(header)
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
    let unreadable = |e: serde_json::Error| refuse(format!("its head cannot be read: {e}"));
    // Looked at before anything else: another layout has other keys.
    let head: serde_json::Value = serde_json::from_str(text).map_err(unreadable)?;
    if head["format"] != FORMAT {
        return Err(refuse(format!("its layout is version {}, and this program reads {FORMAT}", head["format"])));
    }
    let head: Head = serde_json::from_value(head).map_err(unreadable)?;
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
            train_digest: "a".into(),
            test_images: 2,
            test_digest: "b".into(),
        };
        let mut head = Head::new(architecture, Recipe::named("tutorial").unwrap(), data, "avx2".into());
        head.recipe.ema_decay = 0.9;
        head.recipe.lookahead.every = 5;
        head.recipe.validation_share = 0.5;
        let weights = |seed| init::weights(&layers, Init::Pytorch, seed);
        let momentum = weights(1).iter().cloned().collect();
        let squares = weights(3).iter().skip(2).step_by(2).cloned().collect();
        let (average, slow, best) = (Some(weights(2)), Some(weights(4)), Some(weights(5)));
        (State { head, weights: weights(0), momentum, squares, average, slow, best }, layers)
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
        assert!(refusal(|now| now.data.train_images = 5).contains("on 4 training images and there are 5 now"));
        assert!(refusal(|now| now.data.train_digest = "c".into()).contains("other training images: their number is the same"));
        assert!(refusal(|now| now.data.test_digest = "c".into()).contains("other test images: their number is the same"));
        assert!(refusal(|now| now.data.classes[1] = "emu".into()).contains("cat, dog and are now cat, emu"));
        assert!(refusal(|now| now.architecture.name = "x".into()).contains("another network (`tutorial`)"));
        std::fs::write(&path, b"not a state").unwrap();
        assert!(refusal(|_| ()).contains("m.state"));
        assert!(records(&path).unwrap_err().to_string().contains("m.state"));
    }

    #[test]
    fn epochs_are_told_from_the_files_head_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.state");
        assert_eq!(records(&path).unwrap(), []);
        let (mut state, _) = example();
        state.head.records.push(record());
        state.save(&path).unwrap();
        let head = header(&path).unwrap().len() as u64 + 8;
        File::options().write(true).open(&path).unwrap().set_len(head).unwrap();
        assert_eq!(records(&path).unwrap(), [record()]);
    }

    #[test]
    fn other_arithmetic_is_said_and_remembered() {
        let (mut state, _) = example();
        assert_eq!(state.head.go_on_with("portable".into()), None, "nothing was computed yet");
        state.head.records.push(record());
        assert_eq!(state.head.go_on_with("portable".into()), None);
        let note = state.head.go_on_with("avx2".into()).unwrap();
        assert!(note.starts_with("1 epoch computed by portable so far, and the next by avx2: "), "{note}");
        // Going back does not make it what it would have been.
        let note = state.head.go_on_with("portable".into()).unwrap();
        assert!(note.contains("by portable and avx2 so far, and the next by portable: "), "{note}");
        assert_eq!(state.head.arithmetic, ["portable", "avx2"]);
    }

    fn record() -> EpochRecord {
        EpochRecord {
            epoch: 1,
            epochs: 2,
            train_loss: 1.0,
            train_accuracy: 0.5,
            validation: None,
            test_loss: 1.0,
            test_accuracy: 0.5,
            test_images: 2,
            learning_rate: 0.1,
            images_per_second: 1.0,
            elapsed_seconds: 1.0,
        }
    }
}
