//! Weights of other programs: PyTorch's `torch.save(model.state_dict(), …)` and plain safetensors files, fitted to an
//! architecture. What the file does not say (preprocessing, classes) the caller gives as [`Metadata`].

use std::path::Path;

use super::container::{Contents, is_counter};
use super::error::Error;
use super::pth;
use crate::network::{self, Metadata, Model, Parameter};

/// What `torch.nn.DataParallel` and `torch.compile` put before every name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// How Python's pickles begin, among them PyTorch's files before version 1.6.
const PICKLE_MAGIC: u8 = 0x80;

/// A file's tensors, named as in the architecture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Imported {
    /// Those that can be weights, in no order.
    pub parameters: Vec<Parameter>,
    /// Name and fault of those that cannot; the fault follows the name in a sentence.
    pub unreadable: Vec<(String, String)>,
    /// What was assumed or passed over, one sentence each.
    pub notes: Vec<String>,
}

impl Imported {
    /// Reads the file at `path`, whichever of the two kinds it is; errors name the file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|fault| Error::Io { doing: "read", path: path.into(), fault })?;
        Self::read(&bytes).map_err(|fault| fault.within(path))
    }

    /// Reads a file's bytes. Takes no more memory than a small multiple of them, whatever they are.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut imported = if bytes.starts_with(pth::ZIP_MAGIC) {
            pth::read(bytes)?
        } else if bytes.first() == Some(&PICKLE_MAGIC) {
            return Err(Error::Pytorch(
                "this is PyTorch's format before version 1.6: write it again with a newer one, `torch.save(torch.load(FILE), FILE)`".into(),
            ));
        } else {
            plain(bytes)?
        };
        imported.unwrap_names();
        Ok(imported)
    }

    /// Joins the tensors with `metadata`.
    ///
    /// # Errors
    /// Names every tensor that is missing, left over, misshapen or unreadable, with what was expected.
    pub fn model(self, metadata: Metadata) -> Result<Model, Error> {
        let architecture = metadata.architecture.name.clone();
        let mut unreadable = self.unreadable;
        unreadable.sort_unstable();
        let told = |fault: &String| !unreadable.iter().any(|(name, _)| fault.starts_with(&format!("`{name}` is missing")));
        let (model, mut faults) = match Model::new(metadata, self.parameters) {
            Ok(model) => (Some(model), Vec::new()),
            Err(network::Error::Parameters { faults, .. }) => (None, faults.into_iter().filter(told).collect()),
            Err(other) => return Err(other.into()),
        };
        faults.extend(unreadable.iter().map(|(name, reason)| format!("`{name}` {reason}")));
        match model {
            Some(model) if faults.is_empty() => Ok(model),
            _ => Err(network::Error::Parameters { architecture, faults }.into()),
        }
    }

    pub(super) fn push(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) {
        self.parameters.push(Parameter { name: name.to_owned(), shape, values });
    }

    /// Takes wrappers' prefixes off, outermost first, where every name has them.
    fn unwrap_names(&mut self) {
        while let Some(prefix) = WRAPPERS.into_iter().find(|prefix| {
            let mut names = self.names();
            names.next().is_some() && self.names().all(|name| name.starts_with(prefix))
        }) {
            for parameter in &mut self.parameters {
                parameter.name.drain(..prefix.len());
            }
            for (name, _) in &mut self.unreadable {
                name.drain(..prefix.len());
            }
            self.notes.push(format!("every tensor's name began with `{prefix}`, which was taken off"));
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|parameter| parameter.name.as_str()).chain(self.unreadable.iter().map(|(name, _)| name.as_str()))
    }
}

fn plain(bytes: &[u8]) -> Result<Imported, Error> {
    let contents = Contents::read(bytes).map_err(|fault| match fault {
        Error::Format(reason) => {
            Error::Pytorch(format!("this is neither a safetensors file ({reason}) nor one of PyTorch's zip archives"))
        }
        other => other,
    })?;
    let mut imported = Imported { parameters: contents.parameters, ..Imported::default() };
    imported.parameters.retain(|parameter| !is_counter(&parameter.name));
    if contents.metadata.contains_key(super::METADATA_KEY) {
        imported.notes.push("the file is a convscope model already; only its tensors were taken".into());
    }
    Ok(imported)
}
