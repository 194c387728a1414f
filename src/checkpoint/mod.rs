//! Model files: safetensors with a `convscope` key of metadata, written so that no crash leaves half a file, and PyTorch's
//! files turned into them.
//!
//! [`container`] is the file format, [`atomic`] the way any file of this program reaches the disk, [`sweep`] removes what is left of
//! one whose writer was killed, [`store`] which file a model's name and version mean, [`activation`] which version somebody chose to
//! answer, [`preferred`] which one its writer would have answer, [`embedded`] the models inside the program, [`import`] takes over weights of other programs. This module does not know who asks, what a model is used for, or where its folders come from.

pub mod activation;
pub mod atomic;
pub mod container;
mod describe;
pub mod dtype;
pub mod embedded;
pub mod error;
pub mod import;
pub mod preferred;
pub mod store;
pub mod sweep;

use std::collections::BTreeMap;
use std::path::Path;

pub use activation::Activation;
pub use container::{Contents, Tensor, safetensors_bytes};
pub use describe::Description;
pub use dtype::Dtype;
pub use error::Error;
pub use preferred::Preferred;
pub use store::Store;

use crate::network::{Metadata, Model, model};

/// The key of a file's metadata that holds [`Metadata`] as JSON.
pub const METADATA_KEY: &str = "convscope";
/// The key of a file's metadata that holds the SHA-256 of its numbers as they are stored: a file that is half one model and half
/// another has the right length and a right header. Files without it are read all the same.
pub const DIGEST_KEY: &str = "convscope_sha256";

/// Reads the model in the file at `path`; errors name the file.
pub fn load(path: &Path) -> Result<Model, Error> {
    let bytes = std::fs::read(path).map_err(|fault| Error::Io { doing: "read", path: path.into(), fault })?;
    read(&bytes).map_err(|fault| fault.within(path))
}

/// Reads a model from a file's bytes. Takes no more memory than the numbers in them, whatever the bytes are.
pub fn read(bytes: &[u8]) -> Result<Model, Error> {
    let contents = Contents::read(bytes)?;
    let text = contents.metadata.get(METADATA_KEY).ok_or(Error::NoMetadata)?;
    if contents.metadata.get(DIGEST_KEY).is_some_and(|written| *written != container::digest_of_file(bytes)) {
        return Err(Error::Damaged);
    }
    Ok(Model::new(read_metadata(text)?, contents.parameters)?)
}

/// Writes `model` to `path` in full precision: wholly or not at all, and synced.
pub fn save(path: &Path, model: &Model) -> Result<(), Error> {
    save_as(path, model, Dtype::F32)
}

/// As [`save`], its numbers rounded to `dtype`.
///
/// # Errors
/// Numbers beyond the range of `dtype` are an error that names their tensor.
pub fn save_as(path: &Path, model: &Model, dtype: Dtype) -> Result<(), Error> {
    check_range(model, dtype)?;
    atomic::write_file(path, &write(model, dtype)).map_err(|fault| Error::Io { doing: "write", path: path.into(), fault })
}

/// What a file of `model` in `dtype` gives back when it is read.
///
/// # Errors
/// As [`save_as`].
pub fn rounded(model: &Model, dtype: Dtype) -> Result<Model, Error> {
    check_range(model, dtype)?;
    read(&write(model, dtype))
}

fn check_range(model: &Model, dtype: Dtype) -> Result<(), Error> {
    match model.weights().iter().find(|parameter| !dtype.holds(&parameter.values)) {
        Some(parameter) => Err(Error::Range { tensor: parameter.name.clone(), dtype }),
        None => Ok(()),
    }
}

/// The bytes of `model`'s file. Equal models give equal bytes.
pub fn write(model: &Model, dtype: Dtype) -> Vec<u8> {
    // Plain structs of strings and numbers: serde_json has no way to fail on them.
    let text = serde_json::to_string(model.metadata()).unwrap_or_else(|e| unreachable!("metadata is plain data: {e}"));
    let tensors: Vec<Tensor<'_>> = model.weights().iter().map(Tensor::from).collect();
    let digest = container::digest(&tensors, dtype);
    let strings = [("format", "pt".to_owned()), (METADATA_KEY, text), (DIGEST_KEY, digest)];
    let metadata: BTreeMap<_, _> = strings.map(|(key, value)| (key.to_owned(), value)).into();
    safetensors_bytes(&metadata, &tensors, dtype)
}

/// The version is looked at before anything else: a newer layout may have keys that this program would call unknown.
fn read_metadata(text: &str) -> Result<Metadata, Error> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| Error::Metadata(e.to_string()))?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        None => return Err(Error::Metadata("it has no `format` number".into())),
        Some(found) if found > u64::from(model::FORMAT) => return Err(Error::TooNew { found }),
        Some(_) => {}
    }
    serde_json::from_value(value).map_err(|e| Error::Metadata(e.to_string()))
}
