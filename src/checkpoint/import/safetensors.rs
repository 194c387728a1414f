//! Plain safetensors files: one dict, its tensors contiguous.

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype as StoredDtype, SafeTensors};

use super::state_dict::{Entry, StateDict};
use super::view::{ALLOWED, Number, View};
use crate::checkpoint::{Dtype, Error, METADATA_KEY};

/// The largest header the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// Whether `bytes` begin as a safetensors file does: the header's length, and a JSON object.
pub(super) fn is_one(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|&length| u64::from_le_bytes(length));
    length.is_some_and(|length| length <= MAX_HEADER) && bytes.get(8) == Some(&b'{')
}

/// The file, and whether it is a model of this program.
pub(super) fn open(bytes: &[u8]) -> Result<(SafeTensors<'_>, bool), Error> {
    let format = |e: ::safetensors::SafeTensorError| {
        Error::Foreign(format!(
            "this is a part of a safetensors file, or a damaged one ({e}; {} bytes are there); copy or download it again",
            bytes.len()
        ))
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
    let own = header.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(METADATA_KEY));
    Ok((SafeTensors::deserialize(bytes).map_err(format)?, own))
}

/// Its tensors, by name.
pub(super) fn read<'a>(file: &'a SafeTensors<'a>) -> StateDict<'a> {
    let entry = |tensor: &TensorView<'a>| {
        let number = match tensor.dtype() {
            StoredDtype::F32 => Number::Stored(Dtype::F32),
            StoredDtype::F16 => Number::Stored(Dtype::F16),
            StoredDtype::BF16 => Number::Stored(Dtype::BF16),
            StoredDtype::F64 => Number::F64,
            other => return Entry::Unreadable(format!("is of type {other}: {ALLOWED}")),
        };
        View::whole(number, tensor.data(), tensor.shape()).map_or_else(Entry::Unreadable, Entry::Tensor)
    };
    let mut entries: Vec<_> = file.iter().map(|(name, tensor)| (name, entry(&tensor))).collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    StateDict { place: Vec::new(), entries }
}
