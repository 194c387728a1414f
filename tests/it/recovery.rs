//! What kills, full disks and other processes leave of runs: nothing is lost, nothing comes back, nothing half stays.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use convscope::training::event::{EpochRecord, Event};
use convscope::training::folder::RunFolder;
use convscope::training::job::JobState;
use convscope::training::journal::Reader;
use convscope::training::request::Request;
use convscope::training::{Error, Recipe};
use serde_json::json;

mod disk;

pub(crate) use self::disk::undisturbed;
use self::disk::{Disk, PREFERRED};
use crate::supervisor::{follow, over, request, supervisor};
use crate::support::{TOKEN, eventually, models};
use crate::training::{images, small};

const ID: &str = "1234abcd";
const PART: &str = ".convscope-x1y2z3.tmp";

fn asked(epochs: u32) -> Request {
    let changes = json!({"epochs": epochs, "batch_size": 64, "schedule": "constant", "validation_share": 0.2});
    Request {
        arch: small(),
        recipe: Recipe::named("default").unwrap().with(changes.as_object().unwrap()).unwrap(),
        data: "cifar-10".into(),
        data_path: images(),
        fit_data: false,
        skip_unreadable: false,
        created: "2026-01-01T00:00:00Z".into(),
    }
}

/// The folder of a run under `data` that was asked for and has not begun.
pub(crate) fn put(data: &Path, epochs: u32) -> RunFolder {
    let folder = RunFolder::new(data, ID);
    write(&folder.request(), &serde_json::to_vec(&asked(epochs)).unwrap());
    folder
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The epochs in the journal of `folder`, whose lines are all whole, and the name of its last event.
pub(crate) fn journaled(folder: &RunFolder) -> (Vec<EpochRecord>, String) {
    let mut reader = Reader::open(&folder.events()).unwrap();
    let lines: Vec<_> = std::iter::from_fn(|| Some(reader.read(0).unwrap()).filter(|lines| !lines.is_empty())).flatten().collect();
    let whole = fs::read_to_string(folder.events()).unwrap();
    assert!(whole.ends_with('\n') && whole.lines().count() == lines.len());
    assert!(lines.iter().map(|line| line.id).eq(1..=lines.len() as u64));
    let epochs = lines.iter().filter_map(|line| match line.parse().expect("a whole event") {
        Event::Epoch(record) => Some(record),
        _ => None,
    });
    (epochs.collect(), lines.last().unwrap().event.clone())
}

/// `convscope train --run-dir` of the run in `folder`, told nothing else.
pub(crate) fn child(folder: &RunFolder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convscope"));
    command.args(["train", "--events", "jsonl", "--device", "cpu", "--run-dir"]).arg(folder.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn half_written(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![data.to_owned()];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path.clone());
            }
            if path.file_name().unwrap().to_str().unwrap().starts_with('.') {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_that_a_kill_can_leave_is_gone_on_from_without_loss() {
    let whole = undisturbed(2);
    let mut disks: Vec<(usize, Disk)> =
        (0..2).flat_map(|over| whole[over].way_to(&whole[over + 1]).into_iter().map(move |disk| (over, disk))).collect();
    // All epochs are over, and the last word is not written, or half.
    disks.push((2, whole[2].clone()));
    disks.push((2, whole[2].with(|disk| disk.journal.extend(br#"{"event":"done","data":{"mod"#))));
    for (over, (_, disk)) in disks.iter().enumerate().map(|(step, disk)| (format!("step {step} after {} epochs", disk.0), disk)) {
        let data = tempfile::tempdir().unwrap();
        let folder = put(data.path(), 2);
        disk.write(&folder);
        // A ./config.toml of somebody else's is not read.
        write(&data.path().join("config.toml"), b"nonsense = 1");
        let output = child(&folder).current_dir(data.path()).output().unwrap();
        assert!(output.status.success(), "{over}: {}", String::from_utf8_lossy(&output.stderr));
        let (epochs, last) = journaled(&folder);
        assert_eq!((epochs.iter().map(|record| record.epoch).collect::<Vec<_>>(), last.as_str()), (vec![1, 2], "done"), "{over}");
        for (model, epoch) in whole[2].models.iter().zip(1..) {
            let path = folder.models().join(format!("{epoch}.safetensors"));
            assert!(fs::read(path).unwrap() == *model, "{over}: the same bytes");
        }
        let preferred = fs::read(folder.models().join(PREFERRED)).unwrap();
        assert_eq!(Some(preferred), whole[2].preferred, "{over}: the same epoch answers");
        assert_eq!(half_written(data.path()), Vec::<PathBuf>::new(), "{over}");
    }
}

#[tokio::test]
async fn a_server_tells_from_the_state_and_the_last_line_what_has_become_of_a_run() {
    let whole = undisturbed(2);
    let started = br#"{"event":"data","data":{"stage":"reading"}}"#;
    let started = [&started[..], b"\n"].concat();
    let begun = whole[0].with(|disk| disk.journal.clone_from(&started));
    // The state was written, its line in the journal was not: the epoch is over all the same.
    let kept = whole[1].with(|disk| disk.journal.clone_from(&started));
    let cancelled =
        whole[1].with(|disk| disk.parts.push((format!("runs/{ID}/wanted.json").into(), br#"{"wanted":"cancelled"}"#.into())));
    let done = whole[2].with(|disk| {
        let outcome =
            json!({"model": "m", "epochs": 2, "test_accuracy": 0.5, "test_loss": 1.0, "test_images": 9, "elapsed_seconds": 1.0});
        disk.journal.extend(Event::Done(serde_json::from_value(outcome).unwrap()).to_line().bytes().chain([b'\n']));
    });
    let cases = [(begun, JobState::Interrupted, 0), (kept, JobState::Interrupted, 1), (cancelled, JobState::Cancelled, 1)];
    for (disk, state, epoch) in cases.into_iter().chain([(done, JobState::Done, 2)]) {
        let data = tempfile::tempdir().unwrap();
        let folder = put(data.path(), 2);
        disk.write(&folder);
        let job = supervisor(data.path()).job(ID).unwrap();
        assert_eq!((job.state, job.epoch, job.last.map_or(0, |last| last.epoch)), (state, epoch, epoch));
    }
}

#[tokio::test]
async fn a_long_journal_is_followed_to_its_end() {
    let data = tempfile::tempdir().unwrap();
    let folder = put(data.path(), 2);
    let line = r#"{"event":"data","data":{"stage":"reading"}}"#;
    fs::write(folder.events(), format!("{line}\n").repeat(1000)).unwrap();
    let supervisor = supervisor(data.path());
    let lines = follow(&supervisor, ID, 10, "no such event").await;
    assert!(lines.iter().map(|line| line.id).eq(11..=1000));
}

#[tokio::test]
async fn what_killed_servers_left_is_swept_and_what_lives_is_not() {
    let data = tempfile::tempdir().unwrap();
    let folder = put(data.path(), 2);
    write(&folder.events(), b"{\"event\":\"data\",\"data\":{\"stage\":\"reading\"}}\n");
    let left = ["runs/.5678abcd.new/job.json", "runs/.9999ffff.removed/job.json", "models/.run-9999ffff.removed/1.safetensors"];
    let parts = [format!("runs/{ID}/{PART}"), format!("models/run-{ID}/{PART}"), format!("models/{PART}")];
    for path in left.iter().copied().chain(parts.iter().map(String::as_str)) {
        write(&data.path().join(path), b"x");
    }
    let others = ["models/.mine.tmp", "models/run-1/1.safetensors", "runs/notes.txt", "runs/mine/notes.txt"];
    for path in others {
        write(&data.path().join(path), b"x");
    }
    let live = data.path().join("models/.convscope-living.tmp");
    let writer = fs::File::create(&live).unwrap();
    writer.lock().unwrap();

    let jobs = supervisor(data.path()).jobs();
    assert_eq!(jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), [ID]);
    let there = |path: &str| data.path().join(path).exists();
    assert!(!left.iter().any(|path| data.path().join(path).parent().unwrap().exists()));
    assert!(!parts.iter().any(|path| there(path)), "{:?}", half_written(data.path()));
    assert!(others.into_iter().all(there) && live.exists());
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    // Where the folder of runs belongs there is a file: the disk refuses, whoever asks.
    fs::write(data.path().join("runs"), "x").unwrap();
    let fault = supervisor.start(request(1)).await.unwrap_err();
    assert!(matches!(fault, Error::Io { .. }), "{fault}");
    assert_eq!(supervisor.jobs(), []);
    fs::remove_file(data.path().join("runs")).unwrap();
    let job = supervisor.start(request(1)).await.unwrap();
    assert_eq!(over(&supervisor, &job.id).await.state, JobState::Done);
    let folders: Vec<_> = fs::read_dir(data.path().join("runs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(folders, [job.id.as_str()]);
}

#[tokio::test]
async fn a_run_that_cannot_be_removed_is_still_there() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    let job = supervisor.start(request(1)).await.unwrap();
    let done = over(&supervisor, &job.id).await;
    let folder_of_run = RunFolder::new(data.path(), &job.id);
    // The system does not rename a folder to the name of a file, not even for root.
    for (folder, name) in [("models", format!(".run-{}.removed", job.id)), ("runs", format!(".{}.removed", job.id))] {
        let blocked = data.path().join(folder).join(name);
        fs::write(&blocked, "x").unwrap();
        let fault = supervisor.delete(&job.id).await.unwrap_err().to_string();
        assert!(fault.starts_with("cannot remove "), "{fault}");
        assert_eq!(supervisor.jobs(), std::slice::from_ref(&done));
        assert!(folder_of_run.path().exists() && folder_of_run.models().exists(), "all of it");
        assert!(follow(&supervisor, &job.id, 0, "done").await.last().unwrap().event == "done");
        fs::remove_file(blocked).unwrap();
    }
    supervisor.delete(&job.id).await.unwrap();
    assert_eq!(supervisor.jobs(), []);
    assert!(!folder_of_run.path().exists() && !folder_of_run.models().exists());
    assert_eq!(half_written(data.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_process_outlived_its_server_is_not_removed_under_its_hands() {
    let data = tempfile::tempdir().unwrap();
    let folder = put(data.path(), 10_000);
    let mut orphan = child(&folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("a model", async || folder.models().join("1.safetensors").exists().then_some(())).await;
    let supervisor = supervisor(data.path());
    let fault = supervisor.delete(ID).await.unwrap_err();
    assert!(matches!(&fault, Error::Locked(_)) && fault.to_string().contains("wait for it to end"), "{fault}");
    assert_eq!(supervisor.job(ID).unwrap().state, JobState::Interrupted);
    orphan.kill().unwrap();
    orphan.wait().unwrap();
    supervisor.delete(ID).await.unwrap();
    assert!(!folder.path().exists() && !folder.models().exists());
    // A process that comes too late makes nothing.
    assert!(!child(&folder).status().unwrap().success());
    assert!(!folder.path().exists() && !folder.models().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_of_a_run_at_once_it_is_there_or_it_is_not() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    let busy = supervisor.start(request(10_000)).await.unwrap();
    for _ in 0..20 {
        let job = supervisor.start(request(1)).await.unwrap();
        let folder = RunFolder::new(data.path(), &job.id);
        let (cancelled, resumed) = tokio::join!(supervisor.cancel(&job.id), supervisor.resume(&job.id));
        assert!(cancelled.is_ok(), "{cancelled:?} {resumed:?}");
        let (deleted, ..) = tokio::join!(supervisor.delete(&job.id), supervisor.cancel(&job.id), supervisor.resume(&job.id));
        assert_eq!(deleted.is_ok(), !folder.path().exists());
        assert_eq!(deleted.is_ok(), supervisor.job(&job.id).is_none());
        assert_eq!(folder.path().exists(), folder.request().exists());
        let _ = supervisor.cancel(&job.id).await;
    }
    supervisor.cancel(&busy.id).await.unwrap();
    over(&supervisor, &busy.id).await;
    supervisor.shutdown().await;
}

#[tokio::test]
async fn a_run_that_was_to_go_on_is_gone_on_with_by_the_next_server() {
    let data = tempfile::tempdir().unwrap();
    let first = supervisor(data.path());
    let wanted = first.start(request(10_000)).await.unwrap();
    follow(&first, &wanted.id, 0, "epoch").await;
    first.cancel(&wanted.id).await.unwrap();
    let stopped = over(&first, &wanted.id).await;
    assert_eq!(stopped.state, JobState::Cancelled);
    let busy = first.start(request(10_000)).await.unwrap();
    assert_eq!(first.resume(&wanted.id).await.unwrap().state, JobState::Queued);
    follow(&first, &busy.id, 0, "data").await;
    first.shutdown().await;

    let next = supervisor(data.path());
    assert_eq!(next.job(&busy.id).unwrap().state, JobState::Interrupted);
    assert_eq!(next.job(&wanted.id).unwrap().state, JobState::Running, "it waited, and its turn has come");
    next.cancel(&wanted.id).await.unwrap();
    let goes_on = over(&next, &wanted.id).await;
    assert!(goes_on.state == JobState::Cancelled && goes_on.epoch >= stopped.epoch);
    next.shutdown().await;
}

#[tokio::test]
async fn whoever_hangs_up_while_a_run_is_written_down_leaves_a_run_that_is_known() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    for patience in [0, 1, 3, 10, 30, 100, 300].map(std::time::Duration::from_millis) {
        let _ = tokio::time::timeout(patience, supervisor.start(request(1))).await;
    }
    let known = || supervisor.jobs().len();
    let written = || fs::read_dir(data.path().join("runs")).map_or(0, Iterator::count);
    eventually("as many runs as folders", async || (known() > 0 && known() == written()).then_some(())).await;
    for job in supervisor.jobs() {
        assert_eq!(over(&supervisor, &job.id).await.state, JobState::Done);
    }
}

/// The server gets its settings from a file and an environment that its runs must not look at: by then one is broken, and
/// what the other names is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_what_its_server_runs_with_and_looks_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("mine.toml"), "device = \"cpu\"\n").unwrap();
    fs::write(at("config.toml"), "nonsense = 1\n").unwrap();
    fs::write(at("token"), TOKEN).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_convscope"));
    command.args(["--config", "mine.toml", "serve", "--listen", "127.0.0.1:0"]).current_dir(folder.path());
    command.env("CONVSCOPE_MODELS__DIR", models()).env("CONVSCOPE_SERVER__ADMIN_TOKEN_FILE", at("token"));
    let mut server = Killed(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).expect("a server");
    std::thread::spawn(move || lines.for_each(drop));
    fs::remove_file(at("token")).unwrap();

    let client = reqwest::Client::new();
    let body = json!({"arch": small(), "data": images(), "epochs": 1, "batch_size": 64});
    let request = client.post(format!("{address}/admin/train")).bearer_auth(TOKEN).header("accept", "text/event-stream");
    let events = request.json(&body).send().await.unwrap().text().await.unwrap();
    assert!(events.contains("event: done"), "{events}");
    let jobs = client.get(format!("{address}/admin/jobs")).bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap();
    assert!(jobs.contains("\"state\":\"done\""), "{jobs}");
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
