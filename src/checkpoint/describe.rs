//! What a model says of itself, from the first kilobytes of its file: a list of models reads no weights.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::error::Error;
use super::read_metadata;
use super::store::Source;
use crate::network::Metadata;

/// The largest header the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// What a file's head tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// What the model says of itself.
    pub metadata: Metadata,
    /// Whether loading it will show that all of its numbers belong together.
    pub digest: bool,
}

impl Source {
    /// Reads the file's head alone, and checks that the file is as long as it says. Whether the weights are the
    /// architecture's, and whole, shows when it is loaded.
    pub fn describe(&self) -> Result<Description, Error> {
        match self {
            Self::File(path) => describe_file(path),
            Self::Embedded(bytes) => describe(*bytes, bytes.len() as u64),
        }
    }

    /// Whether it was a file that is not there any more; one that the system does not tell of may be.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::File(path) if matches!(path.try_exists(), Ok(false)))
    }
}

fn describe_file(path: &Path) -> Result<Description, Error> {
    let failed = |fault| Error::Io { doing: "read", path: path.into(), fault };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    describe(file, length).map_err(|fault| fault.within(path))
}

fn describe(mut bytes: impl Read, length: u64) -> Result<Description, Error> {
    let format = |e: &dyn std::fmt::Display| Error::Format(e.to_string());
    let mut size = [0; 8];
    bytes.read_exact(&mut size).map_err(|e| format(&e))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER || size > length.saturating_sub(8) {
        return Err(Error::Format("its header is longer than the file".into()));
    }
    let mut header = Vec::new();
    bytes.take(size).read_to_end(&mut header).map_err(|e| format(&e))?;
    let header: Header = serde_json::from_slice(&header).map_err(|e| format(&e))?;
    let expected = size.saturating_add(8).saturating_add(header.end);
    if expected != length {
        return Err(Error::Format(format!("it should have {expected} bytes and has {length}")));
    }
    let metadata = read_metadata(&header.strings.convscope.ok_or(Error::NoMetadata)?)?;
    Ok(Description { metadata, digest: header.strings.convscope_sha256.is_some() })
}

/// What is kept of a header: whatever else it holds costs no memory.
struct Header {
    strings: Strings,
    /// Where the last tensor ends, in bytes after the header.
    end: u64,
}

/// [`super::METADATA_KEY`] and [`super::DIGEST_KEY`].
#[derive(Default, serde::Deserialize)]
struct Strings {
    convscope: Option<String>,
    convscope_sha256: Option<String>,
}

#[derive(serde::Deserialize)]
struct Extent {
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header { strings: Strings::default(), end: 0 };
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        header.strings = map.next_value()?;
                    } else {
                        header.end = header.end.max(map.next_value::<Extent>()?.data_offsets.1);
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{self, Dtype};
    use crate::network::{Model, Parameter, Preprocessing, infer, model, presets, weights};

    fn tutorial() -> Model {
        let architecture = presets::named("tutorial").unwrap();
        let layers = infer(&architecture).unwrap();
        let zero = |spec: &crate::network::shape::ParameterSpec| Parameter {
            name: spec.name.clone(),
            shape: spec.shape.clone(),
            values: vec![0.0; spec.shape.iter().product()],
        };
        let metadata = Metadata {
            format: model::FORMAT,
            name: "tutorial".into(),
            preprocessing: Preprocessing::unit(architecture.input),
            architecture,
            classes: (0..10).map(|i| i.to_string()).collect(),
            accuracy: None,
            measured: model::Measured::default(),
            recipe: None,
            familiarity: None,
            created_by: model::created_by(),
        };
        Model::new(metadata, weights::specs(&layers).map(zero).collect()).unwrap()
    }

    #[test]
    fn the_header_alone_tells_what_the_whole_file_tells() {
        let model = tutorial();
        let bytes = checkpoint::write(&model, Dtype::F16);
        let told = describe(&bytes[..], bytes.len() as u64).unwrap();
        assert_eq!(told, Description { metadata: model.metadata().clone(), digest: true });
    }

    #[test]
    fn a_cut_file_is_found_without_reading_it() {
        let bytes = checkpoint::write(&tutorial(), Dtype::F16);
        let cut = bytes.len() as u64 - 1;
        let message = describe(&bytes[..bytes.len() - 1], cut).unwrap_err().to_string();
        assert!(message.contains(&format!("should have {} bytes and has {cut}", bytes.len())), "{message}");
        for length in [0, 7, 8, 100] {
            assert!(describe(&bytes[..length], length as u64).is_err(), "{length}");
        }
    }
}
