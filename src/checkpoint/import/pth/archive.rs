//! The zip archive around a pickle: its entries are plain slices of the file.

use std::io::Cursor;

use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use crate::checkpoint::Error;

/// An archive as `torch.save` writes it.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// The folder in which everything is: the file's name when it was saved.
    root: String,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        // The end record states where the directory is. To look for it, as this reader does by itself, finds another place
        // where the records between the two happen to look like one.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let zip = ZipArchive::with_config(config, Cursor::new(bytes)).map_err(|e| {
            let length = bytes.len();
            fault(format!("this is a part of a PyTorch file, or a damaged one: of a zip archive only {length} bytes are there ({e}); copy or download it again"))
        })?;
        let names: Vec<&str> = zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok()).collect();
        if names.iter().any(|name| name.ends_with("/constants.pkl")) {
            let sentence = "this is a TorchScript program: save `torch.jit.load(FILE).state_dict()` with `torch.save` instead";
            return Err(fault(sentence.into()));
        }
        let root =
            names.iter().find_map(|name| name.strip_suffix("data.pkl").filter(|root| root.is_empty() || root.ends_with('/')));
        let Some(root) = root.map(str::to_owned) else {
            return Err(fault(format!(
                "this zip archive was not written by `torch.save` (it has no `data.pkl`){}",
                inside(&names)
            )));
        };
        let mut archive = Self { bytes, zip, root };
        match archive.entry("byteorder") {
            Ok(b"big") => Err(fault("its numbers are big-endian: save it on a little-endian machine".into())),
            _ => Ok(archive),
        }
    }

    /// The bytes of the entry `name` under the root; the fault follows what it is the part of.
    pub(super) fn entry(&mut self, name: &str) -> Result<&'a [u8], String> {
        let entry = self
            .zip
            .by_name(&format!("{}{name}", self.root))
            .map_err(|e| format!("has no part `{name}` that can be read ({e})"))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!(
                "has its part `{name}` compressed, as `torch.save` never does: load it in PyTorch and save it again"
            ));
        }
        let range = entry.data_start().and_then(|start| Some(start as usize..(start.checked_add(entry.size())?) as usize));
        let bytes = self.bytes;
        range.and_then(|range| bytes.get(range)).ok_or_else(|| format!("has a part `{name}` that reaches past the end of the file"))
    }
}

/// What to do with an archive of other things.
fn inside(names: &[&str]) -> String {
    let ends = |name: &str, endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let weights = |name: &&&str| ends(name, &[".pth", ".pt", ".ckpt", ".safetensors"]);
    match names.iter().find(weights) {
        Some(name) => format!(": unpack it, and import `{name}`"),
        None if names.iter().any(|name| ends(name, &[".npy"])) => {
            ": these are NumPy arrays; save them as tensors in PyTorch".into()
        }
        None => String::new(),
    }
}

fn fault(sentence: String) -> Error {
    Error::Foreign(sentence)
}
