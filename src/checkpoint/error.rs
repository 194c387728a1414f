//! What can be wrong with a model file, in sentences that say what to do.

use std::path::{Path, PathBuf};

use super::dtype::Dtype;
use crate::network::{self, model};

/// Everything this module refuses. A fault that is shown in a message is not also its source: printed as a chain, each
/// sentence stands once.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("cannot {doing} {}: {fault}", .path.display())]
    Io {
        /// `read`, `write`, `list`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        fault: std::io::Error,
    },
    /// A fault of the file at this path.
    #[error("{}: {fault}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Box<Error>,
    },
    /// The bytes are no safetensors file.
    #[error("this is no whole safetensors file ({0})")]
    Format(String),
    /// The numbers are not those that the file's digest was made of.
    #[error("its numbers are not those that were written: the file is damaged, or was not copied to its end; copy it again")]
    Damaged,
    /// The file was another one when it had been read.
    #[error("it changed while it was read: it is tried again")]
    Changing,
    /// A safetensors file of another program.
    #[error(
        "these are weights without `convscope` metadata: turn them into a model with `convscope import FILE --arch NAME --out FILE`"
    )]
    NoMetadata,
    /// The metadata cannot be read.
    #[error("its `convscope` metadata cannot be read: {0}")]
    Metadata(String),
    /// Written by a later program.
    #[error("its metadata is version {found} and this program reads up to {}: use a newer convscope", model::FORMAT)]
    TooNew {
        /// The file's version.
        found: u64,
    },
    /// A tensor of a type that no weight has.
    #[error("`{tensor}` is of type {dtype}: weights must be F32, F16 or BF16")]
    Dtype {
        /// The tensor.
        tensor: String,
        /// Its type, as the file has it.
        dtype: String,
    },
    /// Numbers that cannot be stored in half precision.
    #[error("`{tensor}` has numbers beyond the range of {dtype}: store the model as BF16 or F32")]
    Range {
        /// The tensor.
        tensor: String,
        /// The type asked for.
        dtype: Dtype,
    },
    /// The parts of the file do not belong together.
    #[error(transparent)]
    Network(Box<network::Error>),
    /// A file of another program that cannot be taken over.
    #[error("{0}")]
    Foreign(String),
    /// A word that cannot be a model's name.
    #[error("`{0}` cannot be a model's name: use letters, digits, `_`, `-` and `.`, at most 100, a letter or digit first")]
    Name(String),
    /// Two places claim a model's versions.
    #[error("the model `{name}` is both {} and {}: move one of them away", .file.display(), .folder.display())]
    TwoPlaces {
        /// The model.
        name: String,
        /// `NAME.safetensors`.
        file: PathBuf,
        /// `NAME/`.
        folder: PathBuf,
    },
    /// No model of this name.
    #[error("there is no model `{name}`; there {}", named(.known))]
    UnknownModel {
        /// As asked for.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// No such version of a model.
    #[error("the model `{name}` has no version {version}; it has {}", list(.known))]
    UnknownVersion {
        /// The model.
        name: String,
        /// As asked for.
        version: u64,
        /// Those there are, ascending.
        known: Vec<u64>,
    },
}

impl From<network::Error> for Error {
    fn from(fault: network::Error) -> Self {
        Self::Network(Box::new(fault))
    }
}

impl Error {
    /// The same fault, with the name of the file it is in.
    #[must_use]
    pub fn within(self, path: &Path) -> Self {
        Self::File { path: path.into(), fault: Box::new(self) }
    }
}

impl Error {
    /// The sentence for people who need not know where on this machine the file lies.
    pub fn without_place(&self) -> String {
        match self {
            Self::File { fault, .. } => fault.without_place(),
            Self::Io { doing, fault, .. } => format!("the system did not {doing} it: {fault}"),
            Self::TwoPlaces { name, .. } => {
                format!("it is both `{name}.safetensors` and a folder `{name}/`: move one of them away")
            }
            other => other.to_string(),
        }
    }
}

fn named(known: &[String]) -> String {
    match known {
        [] => "are none".into(),
        [only] => format!("is `{only}`"),
        several => format!("are `{}`", several.join("`, `")),
    }
}

fn list(versions: &[u64]) -> String {
    versions.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
