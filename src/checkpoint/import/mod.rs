//! Weights of other programs: PyTorch's `torch.save(model.state_dict(), …)` and plain safetensors files, fitted to an
//! architecture. What the file does not say (preprocessing, classes) the caller gives as [`Metadata`].
//!
//! Both readers find dicts of tensors (`state_dict`) without reading a number (`view`); `choose` says which one is the network's;
//! only then the numbers are read that the network has, in the shapes it has. `nature` says what a file is that is neither.

mod choose;
mod nature;
mod pth;
mod safetensors;
mod state_dict;
mod view;

use std::collections::HashMap;
use std::path::Path;

use choose::{Choice, choose};
use state_dict::{Entry, StateDict};

use super::container::is_counter;
use super::error::Error;
use crate::network::shape::ParameterSpec;
use crate::network::{self, Metadata, Model, Parameter, infer, weights};

/// A model made of a file's tensors.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The model.
    pub model: Model,
    /// What was assumed or passed over, one sentence each.
    pub notes: Vec<String>,
}

impl Imported {
    /// Reads the file at `path`, whichever of the two kinds it is, and fits it to `metadata`; errors name the file.
    ///
    /// # Errors
    /// Names every tensor that is missing, left over, misshapen or unreadable, with what was expected, or says what the file is.
    pub fn load(path: &Path, metadata: Metadata) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|fault| Error::Io { doing: "read", path: path.into(), fault })?;
        Self::read(&bytes, metadata).map_err(|fault| fault.within(path))
    }

    /// Reads a file's bytes. Takes no more memory than a small multiple of them and of the network's size, whatever they are.
    ///
    /// # Errors
    /// As [`Imported::load`].
    pub fn read(bytes: &[u8], metadata: Metadata) -> Result<Self, Error> {
        let layers = infer(&metadata.architecture)?;
        let wanted: Vec<&ParameterSpec> = weights::specs(&layers).collect();
        if bytes.starts_with(pth::ZIP_MAGIC) {
            let found = pth::read(bytes)?;
            let choice = choose(&found.dicts, &wanted).filter(|choice| choice.names > 0 || found.module.is_none());
            let choice = choice.ok_or_else(|| no_tensors(&found))?;
            let notes = notes(&found, &choice);
            return Taken::new(&found.dicts[choice.at], &choice.prefix, &wanted).model(metadata, notes);
        }
        if safetensors::is_one(bytes) {
            let (file, own) = safetensors::open(bytes)?;
            let dicts = [safetensors::read(&file)];
            let prefix = choose(&dicts, &wanted).map_or_else(String::new, |choice| choice.prefix);
            let notes = own.then(|| "the file is a convscope model already; only its tensors were taken".to_owned());
            return Taken::new(&dicts[0], &prefix, &wanted).model(metadata, notes.into_iter().collect());
        }
        let nature = nature::of(bytes);
        Err(Error::Foreign(format!(
            "this is {nature}. `import` reads the zip archives that PyTorch's `torch.save` writes, and safetensors files"
        )))
    }
}

fn no_tensors(found: &pth::Found<'_>) -> Error {
    let what_to_do = "save `model.state_dict()` alone";
    Error::Foreign(match &found.module {
        Some(class) => {
            format!("this file holds a whole model object (`{class}`), which only its own Python code can load: {what_to_do}")
        }
        None if found.keys.is_empty() => format!("there are no tensors in it: {what_to_do}"),
        None => format!("there are no tensors in it; its keys are: {}: {what_to_do}", listed(&found.keys)),
    })
}

/// Where the state dict was, and what else there is.
fn notes(found: &pth::Found<'_>, choice: &Choice) -> Vec<String> {
    let chosen = &found.dicts[choice.at];
    let mut notes = Vec::new();
    if let Some(first) = chosen.place.first() {
        let beside: Vec<_> = found.keys.iter().filter(|key| *key != first).collect();
        let beside =
            if beside.is_empty() { String::new() } else { format!("; passed over what is beside it: {}", listed(&beside)) };
        notes.push(format!("the state dict is the one under the key {}{beside}", chosen.place()));
    }
    if !choice.also.is_empty() {
        let others: Vec<String> = choice.also.iter().map(|&at| found.dicts[at].place()).collect();
        notes.push(format!("{} would fit as well: to import another one, save it alone", others.join(", ")));
    }
    notes
}

/// At most this many words of a file's own in a sentence, each cut at this many characters.
const MOST: usize = 20;
const LONGEST: usize = 60;

fn listed(words: &[impl AsRef<str>]) -> String {
    let cut = |word: &str| match word.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &word[..end]),
        None => format!("`{word}`"),
    };
    let mut words: Vec<String> = words.iter().map(|word| cut(word.as_ref())).collect();
    words.sort_unstable();
    let more = words.len().saturating_sub(MOST);
    words.truncate(MOST);
    words.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// The tensors of one dict, named as in the architecture.
#[derive(Default)]
struct Taken {
    parameters: Vec<Parameter>,
    /// Those that the network has and that cannot be weights: name, and the reason that follows it.
    unreadable: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Taken {
    fn new(dict: &StateDict<'_>, prefix: &str, wanted: &[&ParameterSpec]) -> Self {
        let mut taken = Self::default();
        let wanted: HashMap<&str, &[usize]> = wanted.iter().map(|spec| (spec.name.as_str(), spec.shape.as_slice())).collect();
        let (mut others, mut rounded) = (Vec::new(), false);
        for (name, entry) in &dict.entries {
            let name = name.strip_prefix(prefix).unwrap_or(name);
            let expected = wanted.get(name).copied();
            match entry {
                _ if is_counter(name) => {}
                Entry::Tensor(view) => {
                    let shape = view.shape().to_vec();
                    // What does not fit is named by its shape; its numbers are of no use.
                    let fits = expected == Some(shape.as_slice());
                    rounded |= fits && view.is_rounded();
                    let values = if fits { view.values() } else { Vec::new() };
                    taken.parameters.push(Parameter { name: name.to_owned(), shape, values });
                }
                Entry::Unreadable(reason) if expected.is_some() => taken.unreadable.push((name.to_owned(), reason.clone())),
                Entry::Other(kind) if expected.is_some() => {
                    taken.unreadable.push((name.to_owned(), format!("is {kind}, no tensor")));
                }
                Entry::Unreadable(_) | Entry::Other(_) => others.push(name),
            }
        }
        if !prefix.is_empty() {
            taken.notes.push(format!("the tensors' names begin with `{prefix}`, which was taken off"));
        }
        if rounded {
            taken.notes.push("numbers of 64 bits were rounded to 32".into());
        }
        if !others.is_empty() {
            taken.notes.push(format!("passed over among the tensors, since no layer has them: {}", listed(&others)));
        }
        taken
    }

    /// Joins the tensors with `metadata`. A refusal says what was found and where, too: it may be the reason.
    fn model(self, metadata: Metadata, mut notes: Vec<String>) -> Result<Imported, Error> {
        notes.extend(self.notes);
        let architecture = metadata.architecture.name.clone();
        let told = |fault: &String| !self.unreadable.iter().any(|(name, _)| fault.starts_with(&format!("`{name}` is missing")));
        let mut faults = match Model::new(metadata, self.parameters) {
            Ok(model) => return Ok(Imported { model, notes }),
            Err(network::Error::Parameters { faults, .. }) => faults.into_iter().filter(told).collect::<Vec<_>>(),
            Err(other) => return Err(other.into()),
        };
        faults.extend(self.unreadable.iter().map(|(name, reason)| format!("`{name}` {reason}")));
        faults.extend(notes.iter().map(|note| format!("note: {note}")));
        Err(network::Error::Parameters { architecture, faults }.into())
    }
}
