//! Room on the disk, asked before something large is written.

use std::path::Path;

/// What is left free for everything else.
pub const RESERVE: u64 = 64 << 20;

/// Bytes that may be written where `path` is (or its nearest folder that is there); none where the system does not say.
pub fn free(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|folder| folder.exists())?;
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let system = rustix::fs::statvfs(there).ok()?;
    system.f_bavail.checked_mul(system.f_frsize)
}

/// Makes everything written under `folder` survive a loss of power, as far as the system can.
pub fn sync(folder: &Path) -> std::io::Result<()> {
    let folder = std::fs::File::open(folder)?;
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(&folder)?;
    folder.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_has_its_parents_room() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free(folder.path()).unwrap() > 0);
        assert!(free(&folder.path().join("a/b")).unwrap() > 0);
        sync(folder.path()).unwrap();
    }
}
