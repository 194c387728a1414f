//! PyTorch's `torch.save` files: a zip archive with one pickle that describes the tensors and one stored entry a storage.
//!
//! [`pickle`] reads the description without running any code of the file's, [`tensor`] says which of its objects are tensors
//! and where in the archive their numbers are, [`dicts`] finds the dicts that have some. The whole file is in memory; nothing
//! is allocated because a file says so.

mod archive;
mod dicts;
mod pickle;
mod tensor;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};

use archive::Archive;
pub(super) use dicts::Found;

use crate::checkpoint::Error;

/// How the file begins.
pub(super) const ZIP_MAGIC: &[u8] = b"PK\x03\x04";

/// Finds every dict of tensors in `bytes`.
pub(super) fn read(bytes: &[u8]) -> Result<Found<'_>, Error> {
    // The libraries below are meant to return errors. This is for the panic that nobody has found yet.
    catch_unwind(AssertUnwindSafe(|| read_archive(bytes)))
        .unwrap_or_else(|_| Err(fault("this PyTorch file is damaged in a way that its reader does not know")))
}

fn read_archive(bytes: &[u8]) -> Result<Found<'_>, Error> {
    let mut archive = Archive::open(bytes)?;
    let pickle = archive.entry("data.pkl").map_err(|reason| fault(&format!("this PyTorch file {reason}")))?;
    let tree = pickle::read(pickle)
        .map_err(|reason| fault(&format!("its pickle {reason}: where the file is whole, save `model.state_dict()` alone")))?;
    Ok(dicts::find(&tree, &mut archive))
}

fn fault(sentence: &str) -> Error {
    Error::Foreign(sentence.to_owned())
}
