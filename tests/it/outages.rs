//! Servers that are killed (SIGKILL) while runs of theirs are at work or being taken, and the servers after them.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::admin::run;
use crate::program::{Program, command};
use crate::recovery::{half_written, journaled, put, undisturbed};
use crate::support::{TOKEN, eventually};

const EPOCHS: u32 = 3;
const SETTINGS: &[(&str, &str)] = &[("CONVSCOPE_ADMIN_TOKEN", TOKEN)];

/// An event that is seen in a journal's whole lines.
type Moment = (&'static str, fn(&str) -> bool);

const MOMENTS: [Moment; 6] = [
    ("it reads", |told| told.contains("\"stage\":\"reading\"")),
    ("it is ready", |told| told.contains("\"stage\":\"ready\"")),
    ("the first epoch", |told| epochs(told) >= 1),
    ("the second epoch", |told| epochs(told) >= 2),
    ("the last epoch", |told| epochs(told) >= EPOCHS as usize),
    ("its end", |told| told.contains("\"event\":\"done\"")),
];

fn epochs(told: &str) -> usize {
    told.matches("\"event\":\"epoch\"").count()
}

async fn ask(program: &Program, path: &str) -> Value {
    Client::new().get(program.url(path)).bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap()
}

/// The events after the one numbered `after`, a line each, until the run is over.
async fn listen(program: &Program, id: &str, after: usize) -> Vec<Value> {
    let request = Client::new().get(program.url(&format!("/admin/jobs/{id}/events"))).bearer_auth(TOKEN);
    let request = request.header("accept", "application/x-ndjson").header("last-event-id", after);
    let text = request.send().await.unwrap().text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many processes train for a server that was started in `folder`.
fn at_work(folder: &Path) -> usize {
    let folder = folder.canonicalize().unwrap();
    let trains = |process: &Path| {
        let here = fs::read_link(process.join("cwd")).is_ok_and(|at| at == folder);
        here && fs::read(process.join("cmdline")).is_ok_and(|words| String::from_utf8_lossy(&words).contains("--run-dir"))
    };
    fs::read_dir("/proc").unwrap().flatten().filter(|entry| trains(&entry.path())).count()
}

fn kill(mut program: Program) -> TempDir {
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    std::mem::replace(&mut program.folder, tempfile::tempdir().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_at_any_event_of_a_run_loses_none_of_it() {
    let whole = undisturbed(EPOCHS).pop().unwrap().models;
    for (what, seen) in MOMENTS {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let run = put(&data, EPOCHS);
        let id = run.path().file_name().unwrap().to_str().unwrap().to_owned();
        // It finds a run that waits, and starts it.
        let mut killed = command(folder.path(), "127.0.0.1:0", SETTINGS).stderr(Stdio::null()).spawn().unwrap();
        let told = loop {
            let text = fs::read_to_string(run.events()).unwrap_or_default();
            let told = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
            if seen(told) {
                break told.to_owned();
            }
            assert!(killed.try_wait().unwrap().is_none(), "{what}: the server ended before it was seen");
        };
        killed.kill().unwrap();
        killed.wait().unwrap();

        // Its successor comes at once: the run's process may be there for another moment.
        let program = Program::start_in(folder, SETTINGS);
        if ask(&program, &format!("/admin/jobs/{id}")).await["job"]["state"] == "interrupted" {
            let resume = Client::new().post(program.url(&format!("/admin/jobs/{id}/resume"))).bearer_auth(TOKEN);
            let resumed = resume.send().await.unwrap();
            assert_eq!(resumed.status(), 200, "{what}: {}", resumed.text().await.unwrap());
        }
        let known = told.lines().count();
        let (missed, all) = tokio::join!(listen(&program, &id, known), listen(&program, &id, 0));
        let before: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (line, (event, number)) in before.iter().zip(all.iter().zip(1..)) {
            assert_eq!(json!({"id": number, "event": line["event"], "data": line["data"]}), *event, "{what}: what was told stays");
        }
        assert_eq!(missed, all[known..], "{what}: what was missed, and two who listen hear the same");
        eventually("its end", async || {
            let job = ask(&program, &format!("/admin/jobs/{id}")).await;
            (job["job"]["state"] == "done").then_some(())
        })
        .await;
        let (epochs, last) = journaled(&run);
        assert_eq!(
            (epochs.iter().map(|record| record.epoch).collect::<Vec<_>>(), last.as_str()),
            (vec![1, 2, 3], "done"),
            "{what}"
        );
        for (epoch, expected) in (1..).zip(&whole) {
            let bytes = fs::read(run.models().join(format!("{epoch}.safetensors"))).unwrap();
            assert!(bytes == *expected, "{what}: the same bytes");
        }
        eventually("the end of every process", async || (at_work(program.folder.path()) == 0).then_some(())).await;
        assert_eq!(half_written(&data), Vec::<PathBuf>::new(), "{what}");
        program.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_while_it_takes_runs_keeps_every_one_that_it_answered_for() {
    let program = Program::start(SETTINGS);
    let data = program.folder.path().join("data");
    let posts: Vec<_> = (0..16)
        .map(|_| {
            let request = Client::new().post(program.url("/admin/train")).bearer_auth(TOKEN).json(&run(100_000));
            tokio::spawn(async move {
                let answer = request.send().await.ok()?;
                let accepted = answer.status() == 202;
                let job = answer.json::<Value>().await.ok()?;
                accepted.then(|| job["job"]["id"].as_str().unwrap().to_owned())
            })
        })
        .collect();
    eventually("a run", async || fs::read_dir(data.join("runs")).ok()?.next().map(drop)).await;
    let folder = kill(program);
    let mut answered = Vec::new();
    for post in posts {
        answered.extend(post.await.unwrap());
    }

    let program = Program::start_in(folder, SETTINGS);
    let jobs = ask(&program, "/admin/jobs").await;
    let mut known: Vec<String> =
        jobs["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
    assert!(answered.iter().all(|id| known.contains(id)), "{answered:?} of {known:?}");
    let mut folders: Vec<String> =
        fs::read_dir(data.join("runs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    folders.sort_unstable();
    known.sort_unstable();
    assert_eq!(folders, known, "every folder is a run");
    // From the last, so that none begins. One that was interrupted is over already.
    for job in jobs["jobs"].as_array().unwrap().iter().rev() {
        let cancel = program.url(&format!("/admin/jobs/{}/cancel", job["id"].as_str().unwrap()));
        Client::new().post(cancel).bearer_auth(TOKEN).send().await.unwrap();
    }
    eventually("the end of every process", async || (at_work(program.folder.path()) == 0).then_some(())).await;
    assert_eq!(half_written(&data), Vec::<PathBuf>::new());
    program.stop().await;
}
