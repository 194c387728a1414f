//! One run's process, from start to end: its reports, its end, and how it is asked to end.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::event::Event;
use super::folder::RunFolder;
use super::queue::JobState;
use super::supervisor::{CANCEL, Settings};

/// Why a process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody does not want the run any more.
    Cancel,
    /// The server goes away.
    Shutdown,
}

/// What to start.
#[derive(Debug, Clone)]
pub(super) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, String)>,
    /// Between being asked to end and being killed.
    grace: Duration,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) status: ExitStatus,
    /// What it was asked, if anything.
    pub(super) stop: Option<Stop>,
    /// The last line it wrote to its standard error.
    pub(super) last_words: Option<String>,
}

impl Program {
    /// What trains the run in `folder`. It reads what was asked for there, and is told the rest: what this server runs with, wherever
    /// that was written.
    pub(super) fn new(settings: &Settings, folder: &RunFolder) -> Self {
        let run_dir = folder.path().as_os_str().to_owned();
        let words = ["train", "--events", "jsonl", "--device", &settings.device, "--run-dir"];
        Self {
            path: settings.program.clone(),
            arguments: words.map(OsString::from).into_iter().chain([run_dir]).collect(),
            environment: settings.environment.clone(),
            grace: settings.grace,
        }
    }

    /// Runs it until it ends; `on_event` sees its reports, and `stop` is heeded once.
    pub(super) async fn run(self, mut stop: mpsc::Receiver<Stop>, mut on_event: impl FnMut(Event)) -> io::Result<Ending> {
        let mut child = self.start()?;
        let mut input = child.stdin.take();
        let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("a process without its pipes"));
        };
        let last_words = tokio::spawn(last_line(BufReader::new(errors).lines()));
        let mut reports = BufReader::new(output).lines();
        let (mut stopped, mut deadline) = (None, None);
        loop {
            tokio::select! {
                line = reports.next_line() => match line? {
                    Some(line) => if let Ok(event) = serde_json::from_str(&line) { on_event(event) },
                    None => break,
                },
                Some(why) = stop.recv(), if stopped.is_none() => {
                    ask(&mut input, why).await;
                    (stopped, deadline) = (Some(why), Some(Instant::now() + self.grace));
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    child.start_kill()?;
                    deadline = None;
                }
            }
        }
        let status = child.wait().await?;
        Ok(Ending { status, stop: stopped, last_words: last_words.await.unwrap_or_default() })
    }

    /// Starts it; that it goes behind everything else on the machine is its own first act.
    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).kill_on_drop(true);
        // The server's settings are no run's business, its secrets least of all.
        let names = std::env::vars_os().map(|(name, _)| name).filter(|name| name.as_encoded_bytes().starts_with(b"CONVSCOPE_"));
        for name in names {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A Ctrl-C at the server's terminal is the server's: it ends its runs in its own way.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn()
    }
}

/// A process that ended in the meantime does not read any more, and has been asked enough.
async fn ask(input: &mut Option<ChildStdin>, why: Stop) {
    if let Some(mut input) = input.take()
        && why == Stop::Cancel
    {
        let _ = input.write_all(format!("{CANCEL}\n").as_bytes()).await;
    }
}

async fn last_line(mut lines: Lines<BufReader<tokio::process::ChildStderr>>) -> Option<String> {
    let mut last = None;
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::debug!(line, "a run's process says");
        if !line.trim().is_empty() {
            last = Some(line);
        }
    }
    last
}

/// What a process that ended without a last event leaves behind.
pub(super) fn conclude(ending: &io::Result<Ending>) -> (JobState, Option<String>) {
    let ending = match ending {
        Ok(ending) => ending,
        Err(fault) => return (JobState::Failed, Some(format!("the training process cannot be run: {fault}"))),
    };
    match (ending.stop, signal(ending.status)) {
        (Some(Stop::Cancel), _) => (JobState::Cancelled, None),
        (Some(Stop::Shutdown), _) => (JobState::Interrupted, Some("the server was stopped".into())),
        (None, Some(9)) => (JobState::Interrupted, Some("its process was killed (signal 9): perhaps memory ran out".into())),
        (None, Some(signal)) => (JobState::Interrupted, Some(format!("its process was ended by signal {signal}"))),
        (None, None) => {
            let words = ending.last_words.clone();
            (JobState::Failed, Some(words.unwrap_or_else(|| format!("its process ended without a word ({})", ending.status))))
        }
    }
}

fn signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    return None;
}
