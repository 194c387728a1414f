//! Training over HTTP: real runs, in processes of their own, on a few hundred real images.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, TOKEN, eventually, horse};

/// A network that learns little, quickly.
pub(crate) fn small() -> Value {
    json!({"name": "small", "input": {"channels": 3, "height": 32, "width": 32}, "layers": [
        {"name": "conv1", "kind": "conv2d", "out_channels": 4, "kernel_size": 3, "stride": 2, "padding": 1},
        {"name": "act1", "kind": "relu"},
        {"name": "pool1", "kind": "max_pool2d", "kernel_size": 4},
        {"name": "flat", "kind": "flatten"},
        {"name": "fc", "kind": "linear", "out_features": 10},
    ]})
}

pub(crate) fn run(epochs: u32) -> Value {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin");
    json!({"arch": small(), "data": data, "epochs": epochs, "batch_size": 32, "seed": 7})
}

/// `id`, `event` and `data` of each event of a stream that ended.
pub(crate) fn events(answer: &Answer) -> Vec<(u64, String, Value)> {
    assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{}", String::from_utf8_lossy(&answer.body));
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let field = |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(|v| v.trim().to_owned()));
    let blocks = text.split("\n\n").filter(|block| block.contains("data:"));
    blocks
        .map(|block| {
            let data = serde_json::from_str(&field(block, "data:").unwrap()).unwrap();
            (field(block, "id:").unwrap().parse().unwrap(), field(block, "event:").unwrap(), data)
        })
        .collect()
}

async fn state(server: &Server, id: &str) -> Value {
    server.admin(Method::GET, &format!("/admin/jobs/{id}"), None).await.ok()["job"]["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_followed_replayed_served_and_removed() {
    let server = Server::start().await;
    let started = server.admin(Method::POST, "/admin/train", Some(run(2))).await;
    assert_eq!(started.status.as_u16(), 202, "{}", String::from_utf8_lossy(&started.body));
    let started = started.json();
    let id = started["job"]["id"].as_str().unwrap().to_owned();
    assert_eq!(started["events"], format!("/admin/jobs/{id}/events"));
    assert!(["queued", "running"].contains(&started["job"]["state"].as_str().unwrap()));
    // Behind a proxy that says where it has put this server, the link leads there.
    let behind = server.request(Method::POST, "/admin/train").bearer_auth(TOKEN).header("x-forwarded-prefix", "/cnn");
    let behind = Answer::of(behind.json(&run(1))).await.json();
    let other = behind["job"]["id"].as_str().unwrap();
    assert_eq!(behind["events"], format!("/cnn/admin/jobs/{other}/events"));
    server.admin(Method::POST, &format!("/admin/jobs/{other}/cancel"), None).await.ok();

    // Ends by itself when the run does.
    let path = format!("/admin/jobs/{id}/events");
    let all = events(&server.admin(Method::GET, &path, None).await);
    assert!(all.iter().enumerate().all(|(i, (id, ..))| *id == i as u64 + 1), "{all:?}");
    let epochs: Vec<&Value> = all.iter().filter(|(_, name, _)| name == "epoch").map(|(.., data)| data).collect();
    assert_eq!(epochs.len(), 2, "{all:?}");
    let last = epochs[1];
    assert_eq!((&last["epoch"], &last["epochs"], &last["test_images"]), (&json!(2), &json!(2), &json!(200)));
    for share in ["train_accuracy", "test_accuracy"] {
        assert!((0.0..=1.0).contains(&last[share].as_f64().unwrap()), "{last}");
    }
    for number in ["train_loss", "test_loss", "learning_rate", "images_per_second", "elapsed_seconds"] {
        assert!(last[number].as_f64().unwrap() >= 0.0, "{number}: {last}");
    }
    assert_eq!(all.last().unwrap().1, "done", "{all:?}");

    let after = all.len() as u64 - 2;
    let request = || server.request(Method::GET, &path).bearer_auth(TOKEN);
    let replayed = Answer::of(request().header("last-event-id", after)).await;
    assert_eq!(events(&replayed), all[all.len() - 2..]);
    Answer::of(request().header("last-event-id", "x")).await.refused(400, "bad_request");
    let lines = Answer::of(request().header("accept", "application/x-ndjson")).await;
    let lines: Vec<Value> =
        String::from_utf8(lines.body).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: Vec<Value> = all.iter().map(|(id, event, data)| json!({"id": id, "event": event, "data": data})).collect();
    assert_eq!(lines, expected);
    for kind in ["application/x-ndjson", "text/event-stream"] {
        let answer = Answer::of(request().header("accept", kind)).await;
        assert_eq!((answer.header("content-type"), answer.header("x-accel-buffering")), (Some(kind), Some("no")));
    }

    assert_eq!(state(&server, &id).await, "done");
    let jobs = server.admin(Method::GET, "/admin/jobs", None).await.ok();
    assert_eq!((&jobs["jobs"][0]["id"], &jobs["jobs"][0]["epoch"]), (&json!(id), &json!(2)));
    let run = format!("run-{id}");
    eventually("the last epoch's answer", async || {
        let answer = server.post(&format!("/classify?model={run}"), horse()).await.ok();
        (answer["model"] == json!({"name": run, "version": 2})).then_some(())
    })
    .await;
    server.post(&format!("/classify?model=run-{id}&version=1"), horse()).await.ok();
    let layers = server.get(&format!("/layers?model=run-{id}")).await.ok();
    assert_eq!(layers["layers"][2]["name"], "pool1");

    server.admin(Method::POST, &format!("/admin/jobs/{id}/cancel"), None).await.refused(409, "conflict");
    assert_eq!(server.admin(Method::DELETE, &format!("/admin/jobs/{id}"), None).await.status.as_u16(), 204);
    server.admin(Method::GET, &format!("/admin/jobs/{id}"), None).await.refused(404, "unknown_job");
    eventually("the end of its model", async || {
        let answer = server.post(&format!("/classify?model={run}"), horse()).await;
        (answer.status == 404).then(|| answer.refused(404, "unknown_model"))
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_is_cancelled_and_cannot_be_removed_before() {
    let server = Server::start().await;
    let request = server.request(Method::POST, "/admin/train").bearer_auth(TOKEN).header("accept", "text/event-stream");
    let mut stream = request.json(&run(100_000)).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut seen = String::new();
    while !seen.contains("event: epoch") {
        seen += std::str::from_utf8(&stream.chunk().await.unwrap().expect("more events")).unwrap();
    }
    // Hanging up does not stop the run.
    drop(stream);
    let jobs = server.admin(Method::GET, "/admin/jobs", None).await.ok();
    let id = jobs["jobs"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(state(&server, &id).await, "running");
    let sentence = server.admin(Method::DELETE, &format!("/admin/jobs/{id}"), None).await.refused(409, "conflict");
    assert!(sentence.contains("cancel it first"), "{sentence}");
    server.post("/classify", horse()).await.ok();
    server.admin(Method::POST, &format!("/admin/jobs/{id}/cancel"), None).await.ok();
    let all = events(&server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), None).await);
    assert_eq!(all.last().unwrap().1, "cancelled", "{:?}", all.last());
    assert_eq!(state(&server, &id).await, "cancelled");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_streams_and_runs_and_the_next_server_finds_them() {
    let server = Server::start().await;
    let id = server.admin(Method::POST, "/admin/train", Some(run(100_000))).await.json()["job"]["id"].as_str().unwrap().to_owned();
    eventually("an epoch", async || {
        let job = server.admin(Method::GET, &format!("/admin/jobs/{id}"), None).await.ok();
        (job["job"]["epoch"].as_u64().unwrap() > 0).then_some(())
    })
    .await;
    let request = server.request(Method::GET, &format!("/admin/jobs/{id}/events")).bearer_auth(TOKEN);
    let mut stream = request.send().await.unwrap();
    let mut seen = stream.chunk().await.unwrap().expect("an event").to_vec();
    let data = server.data_dir();
    let stopping = tokio::spawn(server.stop_and_keep());
    while let Some(chunk) = stream.chunk().await.expect("the stream ends properly") {
        seen.extend(chunk);
    }
    assert!(seen.ends_with(b"\n\n"), "no event is cut");
    let folder = stopping.await.unwrap();

    let server = Server::with(|config| (config.data_dir, config.train.resume_interrupted) = (data, false)).await;
    assert_eq!(state(&server, &id).await, "interrupted");
    server.post(&format!("/classify?model=run-{id}"), horse()).await.ok();
    server.stop().await;
    drop(folder);
}

/// A disk that refuses, whoever asks: a folder is not renamed to the name of a file, not even for root.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_disk_will_not_remove_is_a_failure_of_ours_and_still_there() {
    let server = Server::start().await;
    let id = server.admin(Method::POST, "/admin/train", Some(run(1))).await.json()["job"]["id"].as_str().unwrap().to_owned();
    let path = format!("/admin/jobs/{id}");
    events(&server.admin(Method::GET, &format!("{path}/events"), None).await);
    let before = server.admin(Method::GET, "/admin/jobs", None).await.ok();
    assert_eq!(before["jobs"][0]["state"], "done");
    for blocked in [format!("models/.run-{id}.removed"), format!("runs/.{id}.removed")] {
        let blocked = server.data_dir().join(blocked);
        std::fs::write(&blocked, "x").unwrap();
        let sentence = server.admin(Method::DELETE, &path, None).await.refused(500, "internal");
        assert!(!sentence.contains("removed") && !sentence.contains(&id), "{sentence}");
        assert_eq!(server.admin(Method::GET, "/admin/jobs", None).await.ok(), before);
        let all = events(&server.admin(Method::GET, &format!("{path}/events"), None).await);
        assert_eq!(all.last().unwrap().1, "done");
        server.post(&format!("/classify?model=run-{id}"), horse()).await.ok();
        std::fs::remove_file(blocked).unwrap();
    }
    assert_eq!(server.admin(Method::DELETE, &path, None).await.status.as_u16(), 204);
    server.admin(Method::GET, &path, None).await.refused(404, "unknown_job");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_s_other_pages_are_refused_whatever_token_they_have() {
    let server = Server::start().await;
    let from = async |site: Option<&str>| {
        let request = server.request(Method::GET, "/admin/jobs").bearer_auth(TOKEN);
        Answer::of(match site {
            Some(site) => request.header("sec-fetch-site", site),
            None => request,
        })
        .await
    };
    for own in [None, Some("same-origin"), Some("none")] {
        from(own).await.ok();
    }
    for other in ["cross-site", "same-site", "anything"] {
        let sentence = from(Some(other)).await.refused(403, "forbidden");
        assert!(sentence.contains("this server's own page"), "{sentence}");
    }
    // What is open to all stays so.
    Answer::of(server.request(Method::GET, "/models").header("sec-fetch-site", "cross-site")).await.ok();
    server.stop().await;
}
