//! The safetensors container: named arrays of numbers and a map of strings.
//!
//! Reading goes through the `safetensors` crate, which checks offsets, shapes and overlaps. Writing does not: its metadata
//! is a `HashMap`, so that two keys give other bytes each run. Layout: <https://github.com/huggingface/safetensors#format>.

use std::collections::BTreeMap;

use ::safetensors::{Dtype as StoredDtype, SafeTensors};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::dtype::Dtype;
use super::error::Error;
use crate::network::Parameter;

/// One array to be written.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    /// Unique in the file.
    pub name: &'a str,
    /// Its product is the number of values.
    pub shape: &'a [usize],
    /// Row-major.
    pub values: &'a [f32],
}

impl<'a> From<&'a Parameter> for Tensor<'a> {
    fn from(parameter: &'a Parameter) -> Self {
        Self { name: &parameter.name, shape: &parameter.shape, values: &parameter.values }
    }
}

/// What a file held: every number as f32.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contents {
    /// The file's strings.
    pub metadata: BTreeMap<String, String>,
    /// The file's arrays, in the file's order.
    pub parameters: Vec<Parameter>,
}

impl Contents {
    /// Reads a safetensors file whose arrays are F32, F16 or BF16. Integer arrays that PyTorch keeps beside weights
    /// (`num_batches_tracked`) have no meaning in evaluation and are left out.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let format = |e: ::safetensors::SafeTensorError| Error::Format(e.to_string());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        let mut parameters = Vec::new();
        for name in header.offset_keys() {
            let view = file.tensor(&name).map_err(format)?;
            let dtype = match view.dtype() {
                StoredDtype::F32 => Dtype::F32,
                StoredDtype::F16 => Dtype::F16,
                StoredDtype::BF16 => Dtype::BF16,
                _ if is_counter(&name) => continue,
                other => return Err(Error::Dtype { tensor: name, dtype: other.to_string() }),
            };
            parameters.push(Parameter { shape: view.shape().to_vec(), values: dtype.decode(view.data()), name });
        }
        Ok(Self { metadata, parameters })
    }
}

/// Whether PyTorch keeps the tensor called `name` only for itself: batch norm's count of training batches.
pub fn is_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some("num_batches_tracked")
}

/// The bytes of a safetensors file: `metadata`, and `tensors` sorted by name, all stored as `dtype`. Equal content gives
/// equal bytes, in whatever order it comes.
///
/// # Panics
/// In debug builds, if a shape does not fit its values or a name is there twice: such a file could not be read back.
pub fn safetensors_bytes(metadata: &BTreeMap<String, String>, tensors: &[Tensor<'_>], dtype: Dtype) -> Vec<u8> {
    let mut tensors = tensors.to_vec();
    tensors.sort_by_key(|tensor| tensor.name);
    debug_assert!(tensors.iter().all(|tensor| tensor.shape.iter().product::<usize>() == tensor.values.len()));
    debug_assert!(tensors.windows(2).all(|pair| pair[0].name != pair[1].name));
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for tensor in &tensors {
        let start = end;
        end += tensor.values.len() * dtype.size();
        let entry = json!({"dtype": dtype.name(), "shape": tensor.shape, "data_offsets": [start, end]});
        header.insert(tensor.name.into(), entry);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // Arrays begin at a multiple of 8, so that a reader may map the file and use them where they are.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header);
    for tensor in tensors {
        dtype.encode(tensor.values, &mut bytes);
    }
    bytes
}

/// SHA-256 of the numbers of `tensors` as [`safetensors_bytes`] stores them, in hexadecimal.
pub(super) fn digest(tensors: &[Tensor<'_>], dtype: Dtype) -> String {
    let mut tensors = tensors.to_vec();
    tensors.sort_by_key(|tensor| tensor.name);
    let (mut hasher, mut stored) = (Sha256::new(), Vec::new());
    for values in tensors.iter().flat_map(|tensor| tensor.values.chunks(1 << 14)) {
        stored.clear();
        dtype.encode(values, &mut stored);
        hasher.update(&stored);
    }
    hex(&hasher.finalize())
}

/// The same of a whole file: of all that comes after its header.
pub(super) fn digest_of_file(bytes: &[u8]) -> String {
    let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    let start = usize::try_from(header.saturating_add(8)).unwrap_or(usize::MAX);
    hex(&Sha256::digest(bytes.get(start..).unwrap_or_default()))
}

fn hex(digest: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    digest.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn metadata() -> BTreeMap<String, String> {
        ["z", "format", "a"].map(|key| (key.to_owned(), format!("{key} \"quoted\" é"))).into()
    }

    #[test]
    fn equal_content_gives_equal_bytes_and_reads_back() {
        let (one, two) = ([1.0, 2.5, -3.0], [0.5]);
        let a = Tensor { name: "b.weight", shape: &[3, 1], values: &one };
        let b = Tensor { name: "a.bias", shape: &[], values: &two };
        let bytes = safetensors_bytes(&metadata(), &[a, b], Dtype::F16);
        assert_eq!(bytes, safetensors_bytes(&metadata(), &[b, a], Dtype::F16));
        let contents = Contents::read(&bytes).unwrap();
        assert_eq!(contents.metadata, metadata());
        assert_eq!(contents.parameters[0], Parameter { name: "a.bias".into(), shape: vec![], values: vec![0.5] });
        assert_eq!(contents.parameters[1].values, one);
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
    }

    #[test]
    fn integers_are_refused_by_name_unless_they_are_counters() {
        let file = |name: &str| {
            let header = format!("{{\"{name}\":{{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]}}}}");
            [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 8]].concat()
        };
        assert_eq!(Contents::read(&file("bn1.num_batches_tracked")).unwrap().parameters, []);
        let message = Contents::read(&file("steps")).unwrap_err().to_string();
        assert_eq!(message, "`steps` is of type I64: weights must be F32, F16 or BF16");
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Contents::read(&bytes);
        }

        #[test]
        fn a_damaged_file_gives_an_answer(at in 0usize..400, value in any::<u8>(), cut in 0usize..400) {
            let values = [1.0; 20];
            let tensors = [Tensor { name: "w", shape: &[4, 5], values: &values }];
            let mut bytes = safetensors_bytes(&metadata(), &tensors, Dtype::F32);
            let length = bytes.len();
            bytes[at % length] = value;
            bytes.truncate(length - cut % length);
            if let Ok(contents) = Contents::read(&bytes) {
                prop_assert!(contents.parameters.iter().map(|p| p.values.len() * 4).sum::<usize>() <= length);
            }
        }
    }
}
