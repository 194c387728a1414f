//! The name that somebody gave a run, in a file of its own: what a run does never depends on it.

use std::path::Path;

use super::error::Error;
use crate::checkpoint::atomic;

/// Characters of the longest name.
const LONGEST: usize = 100;

/// `text` without the spaces around it, if it can be a name: a line of at most 100 characters. None where nothing is left.
pub(super) fn checked(text: &str) -> Result<Option<String>, Error> {
    let text = text.trim();
    if text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err(Error::Name);
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// The name in the file at `path`; one that cannot be read is none, since nothing but a label is lost.
pub(super) fn read(path: &Path) -> Option<String> {
    checked(&std::fs::read_to_string(path).ok()?).ok().flatten()
}

/// Writes `name` to the file at `path`, wholly or not at all.
pub(super) fn write(path: &Path, name: Option<&str>) -> Result<(), Error> {
    atomic::write_file(path, name.unwrap_or_default().as_bytes()).map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("name");
        assert_eq!(read(&path), None);
        for (text, name) in [("  wide, 3 × 3 🙂 ", Some("wide, 3 × 3 🙂")), (" ", None), ("", None)] {
            let checked = checked(text).unwrap();
            assert_eq!(checked.as_deref(), name);
            write(&path, checked.as_deref()).unwrap();
            assert_eq!(read(&path).as_deref(), name);
        }
        for wrong in ["a\nb", "a\u{0}", &"x".repeat(101)] {
            assert!(checked(wrong).unwrap_err().to_string().contains("100 characters"), "{wrong:?}");
        }
    }
}
