//! Names in archives, made paths that lead nowhere but into the folder they are joined to.

use std::path::PathBuf;

/// What file systems take.
const LONGEST: usize = 255;
const DEEPEST: usize = 32;

/// The path that `name` means within a folder; none where it is that folder itself. Backslashes separate, as some programs on Windows
/// have it.
pub(super) fn path(name: &[u8]) -> Result<Option<PathBuf>, String> {
    let text = std::str::from_utf8(name)
        .map_err(|_| "has a name that is not UTF-8, as a class's and an image's must be: make the archive with UTF-8 names")?;
    if text.chars().any(char::is_control) {
        return Err("has a control character in its name: rename it".into());
    }
    let text = text.replace('\\', "/");
    let drive = text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic();
    if text.starts_with('/') || drive {
        return Err("has an absolute path: make the archive of a folder, with paths within it".into());
    }
    let mut path = PathBuf::new();
    let mut depth = 0;
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        depth += 1;
        if part == ".." {
            return Err("leads out of the archive's folder (`..`): make the archive of a folder, with paths within it".into());
        }
        if part.len() > LONGEST || depth > DEEPEST {
            return Err(format!("has a name of more than {LONGEST} bytes, or lies more than {DEEPEST} folders deep: shorten it"));
        }
        path.push(part);
    }
    Ok((depth > 0).then_some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_within_its_folder_or_is_refused() {
        for (name, expected) in [
            ("a/b.png", "a/b.png"),
            ("./a//b.png", "a/b.png"),
            ("a\\b\\c.png", "a/b/c.png"),
            ("a/./b/", "a/b"),
            ("ünï/ö.png", "ünï/ö.png"),
        ] {
            assert_eq!(path(name.as_bytes()).unwrap(), Some(PathBuf::from(expected)), "{name}");
        }
        for name in ["", ".", "./", "//"] {
            assert!(matches!(path(name.as_bytes()), Ok(None) | Err(_)), "{name}");
        }
        let long = "x".repeat(256);
        let deep = "a/".repeat(33);
        for (name, reason) in [
            ("../a.png", "leads out"),
            ("a/../../b.png", "leads out"),
            ("a\\..\\..\\b.png", "leads out"),
            ("/etc/passwd", "absolute"),
            ("\\\\server\\share", "absolute"),
            ("C:\\a.png", "absolute"),
            ("c:a.png", "absolute"),
            ("a\0.png", "control"),
            ("a\n.png", "control"),
            (&long, "255 bytes"),
            (&deep, "32 folders"),
        ] {
            let refused = path(name.as_bytes()).unwrap_err();
            assert!(refused.contains(reason), "{name:?}: {refused}");
        }
        assert!(path(b"caf\xe9.png").unwrap_err().contains("not UTF-8"));
    }
}
