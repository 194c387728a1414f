//! One server a data folder: two would run the same queue twice and take each other's token away.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

const FILE: &str = "server.lock";

/// The folder is another server's.
#[derive(Debug, thiserror::Error)]
#[error("the data folder {} is another convscope's (process {process}): stop that one, or set another `data_dir` for this one", .folder.display())]
pub struct Taken {
    folder: PathBuf,
    process: String,
}

/// Makes `data_dir` this server's until the result is dropped; a process that dies gives it back. None where the folder or its
/// file system allows no lock: then nothing can be written there either, or nobody can tell.
pub fn take(data_dir: &Path) -> Result<Option<File>, Taken> {
    let opened = std::fs::create_dir_all(data_dir)
        .and_then(|()| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(data_dir.join(FILE)));
    let locked = opened.map_err(TryLockError::Error).and_then(|file| file.try_lock().map(|()| file));
    match locked {
        Ok(mut file) => {
            // For the sentence of the next one only.
            let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
            Ok(Some(file))
        }
        Err(TryLockError::WouldBlock) => {
            let process = std::fs::read_to_string(data_dir.join(FILE)).unwrap_or_default();
            Err(Taken { folder: data_dir.to_owned(), process })
        }
        Err(TryLockError::Error(e)) => {
            let folder = data_dir.display();
            tracing::warn!(%folder, error = %e, "the data folder cannot be locked: see that no other server uses it");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_servers_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let held = take(&data).unwrap();
        assert!(held.is_some());
        let sentence = take(&data).unwrap_err().to_string();
        assert!(sentence.contains(&format!("process {}", std::process::id())), "{sentence}");
        drop(held);
        assert!(take(&data).unwrap().is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_made_stops_no_server() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert!(take(&folder.path().join("file/data")).unwrap().is_none());
    }
}
