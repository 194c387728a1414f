//! Models exchanged, and their files replaced, cut and slowly copied, while callers ask: no request fails, and every answer is one
//! model's own, to the last bit.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use convscope::checkpoint::{self, Dtype};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Answer, Server, eventually, horse, of};
use crate::training::small;

/// Callers at a time.
const CALLERS: usize = 6;
/// Longer than from one look at the folders to the next.
const LOOK: Duration = Duration::from_millis(1300);

fn model(seed: u64) -> Vec<u8> {
    checkpoint::write(&of(small(), seed), Dtype::F32)
}

fn put(path: &Path, bytes: &[u8]) {
    convscope::checkpoint::atomic::write_file(path, bytes).unwrap();
}

/// A server whose default model is `m`, made of the first seed, and whose `seeds` holds all of them.
async fn server(seeds: u64) -> (Server, PathBuf) {
    let server = Server::with(|config| {
        config.models.default = "m".into();
        let models = config.data_dir.join("models");
        put(&models.join("m/1.safetensors"), &model(1));
        (1..=seeds).for_each(|seed| put(&models.join(format!("seeds/{seed}.safetensors")), &model(seed)));
    })
    .await;
    let models = server.data_dir().join("models");
    (server, models)
}

/// Each seed's answer, in order.
async fn alone(server: &Server, seeds: u64) -> Vec<Value> {
    let mut answers = Vec::new();
    for seed in 1..=seeds {
        answers.push(server.post(&format!("/classify?model=seeds&version={seed}"), horse()).await.ok()["probabilities"].clone());
    }
    answers
}

/// Callers who ask for the default model again and again.
struct Load {
    enough: Arc<AtomicBool>,
    callers: JoinSet<Vec<(u64, Value)>>,
}

impl Load {
    fn start(server: &Server) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (request, enough) = (server.request(Method::POST, "/classify").body(horse()), Arc::clone(&enough));
            callers.spawn(async move {
                let mut answers = Vec::new();
                while !enough.load(Ordering::SeqCst) {
                    let answer = Answer::of(request.try_clone().unwrap()).await.ok();
                    let answer = (answer["model"]["version"].as_u64().unwrap(), answer["probabilities"].clone());
                    // Thousands are the same, and memory is looked at here.
                    if answers.last() != Some(&answer) {
                        answers.push(answer);
                    }
                }
                answers
            });
        }
        Self { enough, callers }
    }

    /// Every answer's version and probabilities, each caller's in order. A request that failed fails the test.
    async fn end(self) -> Vec<Vec<(u64, Value)>> {
        self.enough.store(true, Ordering::SeqCst);
        self.callers.join_all().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_exchanges_under_load_cost_no_request_and_mix_no_answer() {
    let (server, models) = server(8).await;
    let alone = alone(&server, 8).await;
    let load = Load::start(&server);
    let version = async || server.post("/classify", horse()).await.ok()["model"]["version"].as_u64().unwrap();
    for seed in 2..=8u64 {
        put(&models.join(format!("m/{seed}.safetensors")), &model(seed));
        if seed == 2 {
            // Found by itself.
            eventually("the second version", async || (version().await == seed).then_some(())).await;
        } else {
            server.admin(Method::POST, "/admin/models/refresh", None).await.ok();
        }
        assert_eq!(version().await, seed);
    }
    for chosen in [3, 8, 1] {
        server.admin(Method::POST, "/admin/models/m/activate", Some(json!({"version": chosen}))).await.ok();
        assert_eq!(version().await, chosen, "from the answer on");
    }
    let answers = load.end().await;
    let mut seen: Vec<u64> = Vec::new();
    for (version, probabilities) in answers.iter().flatten() {
        assert_eq!(probabilities, &alone[*version as usize - 1], "an answer of version {version}");
        seen.push(*version);
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() >= 4 && seen.contains(&1), "{seen:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_cut_overwritten_replaced_or_slowly_copied_under_load_never_show() {
    let (server, models) = server(7).await;
    let alone = alone(&server, 7).await;
    let load = Load::start(&server);
    let file = models.join("m/1.safetensors");
    let answers_as = async |what: &str, seed: usize| {
        let answers = async || server.post("/classify", horse()).await.ok()["probabilities"] == alone[seed - 1];
        eventually(what, async || answers().await.then_some(())).await;
    };

    // Cut to half, to nothing, and whole again.
    let length = fs::metadata(&file).unwrap().len();
    for length in [length / 2, 0] {
        OpenOptions::new().write(true).open(&file).unwrap().set_len(length).unwrap();
        tokio::time::sleep(LOOK).await;
        assert_eq!(server.post("/classify", horse()).await.ok()["probabilities"], alone[0]);
    }
    put(&file, &model(2));
    answers_as("a whole file", 2).await;

    // Equal length and time, another file.
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    put(&file, &model(3));
    File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    answers_as("a file of equal length and time", 3).await;

    // Written over where it is, slowly, its time set back: at every look the right length and half of each.
    let bytes = model(4);
    let mut open = OpenOptions::new().write(true).open(&file).unwrap();
    for part in bytes.chunks(bytes.len() / 4 + 1) {
        open.write_all(part).unwrap();
        open.sync_data().unwrap();
        open.set_modified(time).unwrap();
        tokio::time::sleep(LOOK).await;
    }
    answers_as("a file that was written over", 4).await;

    // Copied as `cp` does it: emptied, and growing.
    let bytes = model(5);
    open.seek(SeekFrom::Start(0)).unwrap();
    open.set_len(0).unwrap();
    for part in bytes.chunks(bytes.len() / 3 + 1) {
        tokio::time::sleep(LOOK / 2).await;
        open.write_all(part).unwrap();
    }
    answers_as("a file that was copied", 5).await;

    // Removed, and a moment later another one.
    fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    put(&file, &model(6));
    answers_as("a file that came back", 6).await;

    // A second version that grows slowly beside the first.
    let second = models.join("m/2.safetensors");
    let bytes = model(7);
    fs::write(&second, &bytes[..bytes.len() - 100]).unwrap();
    tokio::time::sleep(LOOK).await;
    File::options().append(true).open(&second).unwrap().write_all(&bytes[bytes.len() - 100..]).unwrap();
    answers_as("a version that grew", 7).await;

    for answers in load.end().await {
        // Each caller meets them in their order, and nothing else.
        let seeds: Vec<usize> =
            answers.iter().map(|(_, answer)| alone.iter().position(|one| one == answer).expect("one model's")).collect();
        assert!(seeds.is_sorted(), "{seeds:?}");
        assert!(answers.iter().all(|(version, answer)| *version == if *answer == alone[6] { 2 } else { 1 }));
    }
    server.stop().await;
}

/// Memory of this process, in MiB. A long test, since only many large exchanges show what stays. Where the C library keeps freed
/// blocks of megabytes for itself it fails: `MALLOC_MMAP_THRESHOLD_=1048576` in the environment makes it give them back.
#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
#[ignore = "takes a minute"]
async fn after_a_hundred_exchanges_memory_is_back() {
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    };
    let server = Server::start().await;
    let models = server.data_dir().join("models/tutorial");
    let [one, other] = [1, 2].map(|seed| checkpoint::write(&crate::support::untrained("tutorial", seed), Dtype::F32));
    let exchange = async |version: u64| {
        put(&models.join(format!("{version}.safetensors")), if version.is_multiple_of(2) { &other } else { &one });
        server.admin(Method::POST, "/admin/models/refresh", None).await.ok();
        assert_eq!(server.post("/classify", horse()).await.ok()["model"]["version"], version);
        let _ = fs::remove_file(models.join(format!("{}.safetensors", version - 1)));
    };
    let load = Load::start(&server);
    for version in 2..=10 {
        exchange(version).await;
    }
    let before = resident();
    for version in 11..=110 {
        exchange(version).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = resident();
    println!("{before} MiB after ten exchanges, {after} MiB after a hundred more");
    load.end().await;
    // A model takes some 50; a hundred of them would be thousands.
    assert!(after < before + 64, "{before} MiB before, {after} MiB after");
    server.stop().await;
}
