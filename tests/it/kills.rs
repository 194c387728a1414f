//! Runs that are killed (SIGKILL) the moment something of theirs is seen on the disk, and gone on with.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use convscope::training::folder::RunFolder;

use crate::recovery::{child, half_written, journaled, put, undisturbed};

const EPOCHS: u32 = 3;
const SIGKILL: i32 = 9;

/// What is seen, and how it is looked for.
type Moment = (&'static str, fn(&RunFolder) -> bool);

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn model(folder: &RunFolder, epoch: u32) -> PathBuf {
    folder.models().join(format!("{epoch}.safetensors"))
}

fn epochs_told(folder: &RunFolder) -> usize {
    fs::read_to_string(folder.events()).unwrap_or_default().matches("\"event\":\"epoch\"").count()
}

const MOMENTS: [Moment; 8] = [
    ("the journal begins", |folder| fs::metadata(folder.events()).is_ok_and(|file| file.len() > 0)),
    ("the first model is being written, or is there", |folder| !names(&folder.models()).is_empty()),
    ("which epoch is preferred is told", |folder| folder.models().join("preferred.json").exists()),
    ("the first state is being written, or is there", |folder| {
        folder.state().exists() || names(folder.path()).iter().any(|name| name.starts_with(".convscope-"))
    }),
    ("the first epoch counts", |folder| folder.state().exists()),
    ("the second model has its name", |folder| model(folder, 2).exists()),
    ("the second epoch is told", |folder| epochs_told(folder) >= 2),
    ("the last model has its name", |folder| model(folder, EPOCHS).exists()),
];

/// Whenever a run is killed, what is gone on with ends in the bytes of a run that nothing disturbed.
#[test]
fn a_run_that_is_killed_at_any_of_its_writes_goes_on_to_the_same_bytes() {
    let whole = undisturbed(EPOCHS).pop().unwrap().models;
    for (what, seen) in MOMENTS {
        let data = tempfile::tempdir().unwrap();
        let folder = put(data.path(), EPOCHS);
        let mut killed = child(&folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Without a pause: what is looked for may be there for no longer than a write takes.
        while !seen(&folder) {
            assert_eq!(killed.try_wait().unwrap(), None, "{what}: the run ended before it was seen");
        }
        killed.kill().unwrap();
        assert_eq!(killed.wait().unwrap().signal(), Some(SIGKILL), "{what}");
        let left = names(&folder.models()).len();
        eprintln!("{what}: {left} files of models, {} half written", half_written(data.path()).len());
        for (epoch, expected) in (1..).zip(&whole).take_while(|(epoch, _)| model(&folder, *epoch).exists()) {
            assert!(fs::read(model(&folder, epoch)).unwrap() == *expected, "{what}: what has its name is whole");
        }
        let output = child(&folder).output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        for (epoch, expected) in (1..).zip(&whole) {
            assert!(fs::read(model(&folder, epoch)).unwrap() == *expected, "{what}: the same bytes");
        }
        let (epochs, last) = journaled(&folder);
        assert_eq!(
            (epochs.iter().map(|record| record.epoch).collect::<Vec<_>>(), last.as_str()),
            (vec![1, 2, 3], "done"),
            "{what}"
        );
        assert_eq!(half_written(data.path()), Vec::<PathBuf>::new(), "{what}");
    }
}
