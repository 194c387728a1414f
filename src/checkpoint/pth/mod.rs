//! PyTorch's `torch.save` files: a zip archive with one pickle that describes the tensors and one stored entry a storage.
//!
//! Pickle is a program that builds objects. candle's reader executes it without running any code of the file's; [`pickle`]
//! keeps that reader within the file's size, [`tensor`] says which of the objects are tensors and takes their numbers out
//! of the archive. The whole file is in memory; nothing is allocated because a file says so.

mod pickle;
mod tensor;

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::pickle::Object;
use zip::{CompressionMethod, ZipArchive};

use super::container::is_counter;
use super::error::Error;
use super::import::Imported;

/// How the file begins.
pub(super) const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// Where training scripts keep a state dict inside a checkpoint.
const NESTED: [&str; 3] = ["state_dict", "model", "model_state_dict"];

/// Reads every tensor of the state dict in `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Imported, Error> {
    // Both libraries below are meant to return errors. This is for the panic that nobody has found yet.
    catch_unwind(AssertUnwindSafe(|| read_archive(bytes)))
        .unwrap_or_else(|_| Err(fault("this PyTorch file is damaged in a way that its reader does not know")))
}

fn read_archive(bytes: &[u8]) -> Result<Imported, Error> {
    let mut archive = Archive::open(bytes)?;
    let objects = pickle::read(archive.entry("data.pkl")?).map_err(|reason| fault(&format!("its pickle {reason}")))?;
    let mut imported = Imported::default();
    let entries = state_dict(objects, &mut imported.notes)?;
    let mut budget = bytes.len().saturating_mul(2);
    for (key, value) in &entries {
        let Object::Unicode(name) = key else { continue };
        if is_counter(name) || name == "_metadata" {
            continue;
        }
        match tensor::describe(value) {
            None => imported.notes.push(format!("passed over `{name}`: it is no tensor")),
            Some(Err(reason)) => imported.unreadable.push((name.clone(), reason)),
            Some(Ok(description)) => {
                match description.read(archive.entry(&format!("data/{}", description.storage))?, &mut budget) {
                    Ok((shape, values)) => imported.push(name, shape, values),
                    Err(reason) => imported.unreadable.push((name.clone(), reason)),
                }
            }
        }
    }
    Ok(imported)
}

/// The state dict itself, wherever it is kept.
fn state_dict(object: Object, notes: &mut Vec<String>) -> Result<Vec<(Object, Object)>, Error> {
    let Object::Dict(mut entries) = object else {
        return Err(fault(
            "this file holds a whole model object, which only its own Python code can load: save `model.state_dict()`",
        ));
    };
    if entries.iter().any(|(_, value)| tensor::describe(value).is_some()) {
        return Ok(entries);
    }
    for nested in NESTED {
        if let Some(at) = entries.iter().position(|(key, _)| matches!(key, Object::Unicode(key) if key == nested)) {
            notes.push(format!("the state dict is the one under the key `{nested}`"));
            return match entries.swap_remove(at).1 {
                Object::Dict(inner) => Ok(inner),
                _ => Err(fault(&format!("`{nested}` is no state dict: save `model.state_dict()` there"))),
            };
        }
    }
    let mut keys: Vec<&str> =
        entries.iter().filter_map(|(key, _)| if let Object::Unicode(key) = key { Some(key.as_str()) } else { None }).collect();
    keys.sort_unstable();
    Err(fault(&format!("there are no tensors in it, nor under `{}`; its keys are: {}", NESTED.join("`, `"), keys.join(", "))))
}

fn fault(sentence: &str) -> Error {
    Error::Pytorch(sentence.to_owned())
}

/// The zip archive, whose entries are plain slices of the file.
struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// The folder in which everything is: the file's name when it was saved.
    root: String,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| fault(&format!("this is no whole PyTorch file ({e})")))?;
        let names: Vec<&str> = zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok()).collect();
        if names.iter().any(|name| name.ends_with("/constants.pkl")) {
            return Err(fault("this is a TorchScript program: save `torch.jit.load(FILE).state_dict()` with `torch.save` instead"));
        }
        let root =
            names.iter().find_map(|name| name.strip_suffix("data.pkl").filter(|root| root.is_empty() || root.ends_with('/')));
        let root = root.ok_or_else(|| fault("this zip archive has no `data.pkl`: it was not written by `torch.save`"))?.to_owned();
        let mut archive = Self { bytes, zip, root };
        match archive.entry("byteorder") {
            Ok(b"big") => Err(fault("its numbers are big-endian: save it on a little-endian machine")),
            _ => Ok(archive),
        }
    }

    /// The bytes of the entry `name` under the root.
    fn entry(&mut self, name: &str) -> Result<&'a [u8], Error> {
        let entry = self
            .zip
            .by_name(&format!("{}{name}", self.root))
            .map_err(|e| fault(&format!("its part `{name}` cannot be read ({e})")))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(fault(&format!("its part `{name}` is compressed, as `torch.save` never does")));
        }
        let range = entry.data_start().and_then(|start| Some(start as usize..(start.checked_add(entry.size())?) as usize));
        let bytes = self.bytes;
        range
            .and_then(|range| bytes.get(range))
            .ok_or_else(|| fault(&format!("its part `{name}` reaches past the end of the file")))
    }
}
