//! Runs as processes of the real program: reported, queued, ended, killed, found again and gone on with.

use std::path::Path;
use std::time::Duration;

use convscope::checkpoint;
use convscope::config::Config;
use convscope::network::Architecture;
use convscope::training::event::Event;
use convscope::training::job::{Job, JobState};
use convscope::training::journal::Line;
use convscope::training::supervisor::{ArchSource, RunRequest, Settings, Supervisor};
use serde_json::json;
use tokio::time::timeout;

use crate::training::{images, small};

/// Far beyond what anything here takes; a test that waits so long has failed.
const TOO_LONG: Duration = Duration::from_secs(120);

pub(crate) fn supervisor(data_dir: &Path) -> Supervisor {
    supervisor_that(data_dir, |_| {})
}

/// The same, its settings changed.
pub(crate) fn supervisor_that(data_dir: &Path, change: impl FnOnce(&mut Settings)) -> Supervisor {
    let mut settings = Settings {
        program: env!("CARGO_BIN_EXE_convscope").into(),
        data_dir: data_dir.into(),
        device: "cpu".into(),
        environment: Config::default().for_runs(),
        concurrent: 1,
        grace: Duration::from_secs(20),
        resume_interrupted: false,
        keep_epochs: 20,
    };
    change(&mut settings);
    Supervisor::new(settings).unwrap()
}

pub(crate) fn request(epochs: u32) -> RunRequest {
    let overrides = json!({"epochs": epochs, "batch_size": 64, "schedule": "constant"});
    RunRequest {
        arch: ArchSource::Inline(small()),
        data: "cifar-10".into(),
        data_path: images(),
        recipe: None,
        overrides: overrides.as_object().unwrap().clone(),
        name: None,
        fit_data: false,
        skip_unreadable: false,
    }
}

/// Waits for the first event that `wanted` names, or for the end of the events.
pub(crate) async fn follow(supervisor: &Supervisor, id: &str, after: u64, wanted: &str) -> Vec<Line> {
    let mut events = supervisor.events(id, after).unwrap();
    let mut seen = Vec::new();
    while let Some(line) = timeout(TOO_LONG, events.recv()).await.unwrap() {
        let found = line.event == wanted;
        seen.push(line);
        if found {
            break;
        }
    }
    seen
}

/// Waits until the run called `id` is neither waiting nor at work, its process being gone.
pub(crate) async fn over(supervisor: &Supervisor, id: &str) -> Job {
    follow(supervisor, id, 0, "no such event").await;
    let job = supervisor.job(id).unwrap();
    assert!(!job.state.is_live(), "{job:?}");
    job
}

#[tokio::test]
async fn a_run_is_a_process_whose_events_can_be_followed_and_replayed() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    let job = supervisor.start(request(2)).await.unwrap();
    assert_eq!((job.state, job.epochs, job.arch.as_str(), job.data.as_str()), (JobState::Running, 2, "small", "cifar-10"));

    let lines = follow(&supervisor, &job.id, 0, "done").await;
    assert!(lines.iter().map(|line| line.id).eq(1..=lines.len() as u64));
    let names: Vec<_> = lines.iter().map(|line| line.event.as_str()).filter(|name| *name != "step").collect();
    assert_eq!(names, ["data", "data", "epoch", "epoch", "done"]);
    assert!(lines.iter().all(|line| line.parse().is_some()));
    let done = over(&supervisor, &job.id).await;
    assert_eq!((done.state, done.epoch, &done.error), (JobState::Done, 2, &None));
    assert_eq!(done.last.clone().unwrap().test_images, 200);

    let last = &lines[lines.len() - 1];
    assert_eq!(follow(&supervisor, &job.id, last.id - 1, "done").await, std::slice::from_ref(last));
    for version in 1..=2 {
        let model = checkpoint::load(&data.path().join(format!("models/run-{}/{version}.safetensors", job.id))).unwrap();
        assert_eq!(model.metadata().name, format!("run-{}", job.id));
    }

    supervisor.shutdown().await;
    let again = self::supervisor(data.path());
    assert_eq!(again.jobs(), [done]);
    again.delete(&job.id).await.unwrap();
    assert_eq!(again.jobs(), []);
    assert_eq!(std::fs::read_dir(data.path().join("runs")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(data.path().join("models")).unwrap().count(), 0);
}

#[tokio::test]
async fn runs_wait_for_each_other_and_are_cancelled_in_either_state() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    let first = supervisor.start(request(10_000)).await.unwrap();
    let second = supervisor.start(request(1)).await.unwrap();
    let third = supervisor.start(request(1)).await.unwrap();
    assert_eq!((second.state, third.state), (JobState::Queued, JobState::Queued));
    assert!(supervisor.delete(&second.id).await.unwrap_err().to_string().contains("cancel it first"));
    assert_eq!(supervisor.cancel(&second.id).await.unwrap().state, JobState::Cancelled);

    follow(&supervisor, &first.id, 0, "epoch").await;
    supervisor.cancel(&first.id).await.unwrap();
    let lines = follow(&supervisor, &first.id, 0, "cancelled").await;
    assert!(matches!(lines.last().unwrap().parse(), Some(Event::Cancelled(ended)) if ended.epoch >= 1));
    assert_eq!(over(&supervisor, &first.id).await.state, JobState::Cancelled);
    assert!(supervisor.cancel(&first.id).await.unwrap_err().to_string().contains("is cancelled already"));
    // The place is free again.
    assert_eq!(over(&supervisor, &third.id).await.state, JobState::Done);
    assert_eq!(over(&supervisor, &second.id).await.state, JobState::Cancelled);

    supervisor.shutdown().await;
    let states: Vec<_> = self::supervisor(data.path()).jobs().iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Cancelled, JobState::Cancelled, JobState::Done]);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_killed_run_is_interrupted_and_goes_on_where_it_was() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    let job = supervisor.start(request(3)).await.unwrap();
    follow(&supervisor, &job.id, 0, "epoch").await;
    let killed = std::process::Command::new("kill").args(["-9", &process_of(&job.id).to_string()]).status().unwrap();
    assert!(killed.success());
    let interrupted = over(&supervisor, &job.id).await;
    assert_eq!(interrupted.state, JobState::Interrupted);
    assert!(interrupted.error.unwrap().contains("signal 9"));

    // Whoever comes next is not bothered.
    let next = supervisor.start(request(1)).await.unwrap();
    assert_eq!(over(&supervisor, &next.id).await.state, JobState::Done);
    supervisor.shutdown().await;

    let again = self::supervisor(data.path());
    assert_eq!(again.job(&job.id).unwrap().state, JobState::Interrupted);
    again.resume(&job.id).await.unwrap();
    let resumed = over(&again, &job.id).await;
    assert_eq!((resumed.state, resumed.epoch), (JobState::Done, 3));
    let lines = follow(&again, &job.id, 0, "done").await;
    let epochs = lines.iter().filter_map(|line| match line.parse() {
        Some(Event::Epoch(record)) => Some(record.epoch),
        _ => None,
    });
    assert_eq!(epochs.collect::<Vec<_>>(), [1, 2, 3], "every epoch once");
    again.shutdown().await;
}

/// The process that trains in the folder of the run called `id`.
#[cfg(target_os = "linux")]
pub(crate) fn process_of(id: &str) -> u32 {
    let found = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&command).contains(&format!("/runs/{id}\0")).then_some(pid)
    });
    found.last().expect("a process at work")
}

#[tokio::test]
async fn a_server_that_stops_interrupts_its_runs_and_its_successor_starts_those_that_waited() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    let running = supervisor.start(request(10_000)).await.unwrap();
    let waiting = supervisor.start(request(1)).await.unwrap();
    follow(&supervisor, &running.id, 0, "data").await;
    supervisor.shutdown().await;
    assert_eq!(supervisor.job(&running.id).unwrap().state, JobState::Interrupted);
    assert!(supervisor.start(request(1)).await.unwrap_err().to_string().contains("shutting down"));

    let successor = self::supervisor(data.path());
    assert_eq!(successor.job(&running.id).unwrap().state, JobState::Interrupted);
    assert_eq!(over(&successor, &waiting.id).await.state, JobState::Done);
    successor.shutdown().await;
}

#[tokio::test]
async fn what_is_wrong_is_said_before_or_by_the_run() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = supervisor(data.path());
    let mut wrong = request(1);
    wrong.overrides.insert("learning_rat".into(), json!(1));
    assert!(supervisor.start(wrong).await.unwrap_err().to_string().contains("did you mean `learning_rate`?"));
    let unknown = RunRequest { arch: ArchSource::Preset("tutoral".into()), ..request(1) };
    assert!(supervisor.start(unknown).await.unwrap_err().to_string().contains("tutorial"));
    assert_eq!(supervisor.jobs(), []);

    let strange = toml::to_string(&small()).unwrap().replace("channels = 3", "channels = 2");
    let strange = RunRequest { arch: ArchSource::Inline(Architecture::from_toml(&strange).unwrap()), ..request(1) };
    let sentence = supervisor.start(strange).await.unwrap_err().to_string();
    assert!(sentence.contains("images of 2 channels, and images have 1 (grey) or 3"), "{sentence}");
    assert_eq!(supervisor.jobs(), []);

    let missing = RunRequest { data_path: data.path().join("nothing-here"), ..request(1) };
    let job = supervisor.start(missing).await.unwrap();
    let failed = over(&supervisor, &job.id).await;
    assert_eq!(failed.state, JobState::Failed);
    assert!(failed.error.clone().unwrap().contains("nothing-here"), "{failed:?}");
    supervisor.shutdown().await;
    assert_eq!(self::supervisor(data.path()).jobs(), [failed]);
}
