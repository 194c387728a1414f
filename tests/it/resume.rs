//! Runs over HTTP as their owner has to do with them: killed and gone on with, in a row, refused where there is no room, ended while
//! they read.

use reqwest::Method;
use serde_json::{Value, json};

use crate::admin::{events, run};
use crate::recovery::{put, undisturbed};
use crate::supervisor::{follow, over, request, supervisor, supervisor_that};
use crate::support::{Server, eventually, file};
use convscope::training::job::JobState;

async fn start(server: &Server, body: Value) -> Value {
    let started = server.admin(Method::POST, "/admin/train", Some(body)).await;
    assert_eq!(started.status.as_u16(), 202, "{}", String::from_utf8_lossy(&started.body));
    started.json()["job"].clone()
}

async fn job(server: &Server, id: &str) -> Value {
    server.admin(Method::GET, &format!("/admin/jobs/{id}"), None).await.ok()["job"].clone()
}

async fn post(server: &Server, id: &str, what: &str) -> crate::support::Answer {
    server.admin(Method::POST, &format!("/admin/jobs/{id}/{what}"), None).await
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_killed_run_is_gone_on_with_and_steps_behind_everything_else() {
    use crate::supervisor::process_of;
    let server = Server::start().await;
    let started = start(&server, run(100)).await;
    let id = started["id"].as_str().unwrap();
    eventually("an epoch", async || (job(&server, id).await["epoch"].as_u64().unwrap() > 0).then_some(())).await;
    let sentence = post(&server, id, "resume").await.refused(409, "conflict");
    assert!(sentence.contains("is running") && sentence.contains("can go on"), "{sentence}");

    let process = process_of(id);
    let niceness = |process: u32| -> i32 {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
    };
    assert_eq!(niceness(process), (niceness(std::process::id()) + 10).min(19));
    assert_eq!(std::fs::read_to_string(format!("/proc/{process}/oom_score_adj")).unwrap().trim(), "1000");

    assert!(std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    let ended = eventually("its end", async || Some(job(&server, id).await).filter(|job| job["state"] != "running")).await;
    assert_eq!(ended["state"], "interrupted");
    assert!(ended["error"].as_str().unwrap().contains("signal 9"), "{ended}");
    let path = format!("/admin/jobs/{id}/events");
    let before = events(&server.admin(Method::GET, &path, None).await);
    let resumed = post(&server, id, "resume").await.ok();
    assert_eq!((&resumed["job"]["state"], &resumed["job"]["error"]), (&json!("running"), &Value::Null));
    let all = events(&server.admin(Method::GET, &path, None).await);
    assert!(all.len() > before.len() && all[..before.len()] == before, "what was told stays");
    assert!(all.iter().map(|(id, ..)| *id).eq(1..=all.len() as u64), "numbers go on");
    let epochs = all.iter().filter(|(_, name, _)| name == "epoch").map(|(.., data)| data["epoch"].as_u64().unwrap());
    assert!(epochs.eq(1..=100), "every epoch once");
    assert_eq!(all.last().unwrap().1, "done");
    let sentence = post(&server, id, "resume").await.refused(409, "conflict");
    assert!(sentence.contains("is done"), "{sentence}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_equal_requests_at_once_are_sixteen_runs_in_a_row() {
    let server = Server::start().await;
    let all = (0..16).map(|_| start(&server, run(100_000)));
    let started: Vec<Value> = futures(all).await;
    let jobs = server.admin(Method::GET, "/admin/jobs", None).await.ok()["jobs"].as_array().unwrap().clone();
    assert_eq!(jobs.len(), 16);
    for job in &started {
        assert_eq!(jobs.iter().filter(|other| other["id"] == job["id"]).count(), 1, "one each");
    }
    let (running, waiting): (Vec<&Value>, Vec<&Value>) = jobs.iter().partition(|job| job["state"] == "running");
    assert!(running.len() == 1 && running[0]["position"] == Value::Null && running[0]["queue_length"] == Value::Null);
    let mut places: Vec<u64> = waiting.iter().map(|job| job["position"].as_u64().unwrap()).collect();
    places.sort_unstable();
    assert!(places.into_iter().eq(1..=15) && waiting.iter().all(|job| job["state"] == "queued" && job["queue_length"] == 15));
    let last = waiting.iter().find(|job| job["position"] == 15).unwrap()["id"].as_str().unwrap();
    let sentence = post(&server, last, "resume").await.refused(409, "conflict");
    assert!(sentence.contains("is queued"), "{sentence}");
    for job in waiting.iter().chain(&running) {
        post(&server, job["id"].as_str().unwrap(), "cancel").await.ok();
    }
    let id = running[0]["id"].as_str().unwrap();
    eventually("the end of all", async || (job(&server, id).await["state"] == "cancelled").then_some(())).await;
    // One that never began goes on from its beginning.
    let resumed = post(&server, last, "resume").await.ok();
    assert!(["queued", "running"].contains(&resumed["job"]["state"].as_str().unwrap()), "{resumed}");
    post(&server, last, "cancel").await.ok();
    server.stop().await;
}

/// All of them at the same time.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, done) in all.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = one.as_mut().poll(context) {
                *done = Some(value);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_no_room_for_is_refused_with_both_numbers() {
    let server = Server::with(|config| config.train.keep_epochs = 100_000).await;
    let train = async |body| server.admin(Method::POST, "/admin/train", Some(body)).await;
    // A hundred thousand models of 16 MiB.
    let long = json!({"arch": "tutorial", "data": run(1)["data"], "epochs": 100_000});
    let sentence = train(long).await.refused(507, "no_room");
    assert!(sentence.contains("GiB of disk") && sentence.contains("are free") && sentence.contains("`epochs`"), "{sentence}");
    // 900 layers of a GiB each.
    let mut layers = vec![json!({"name": "flat", "kind": "flatten"})];
    layers.extend((0..900).map(|n| json!({"name": format!("fc{n}"), "kind": "linear", "out_features": 16384, "bias": false})));
    layers.push(json!({"name": "last", "kind": "linear", "out_features": 10}));
    let large = json!({"name": "large", "input": {"channels": 3, "height": 32, "width": 32}, "layers": layers});
    let sentence = train(json!({"arch": large, "data": run(1)["data"]})).await.refused(422, "unprocessable");
    assert!(sentence.contains("GiB of memory") && sentence.contains("are available"), "{sentence}");
    assert_eq!(server.admin(Method::GET, "/admin/jobs", None).await.ok()["jobs"], json!([]));
    assert!(!server.data_dir().join("runs").exists(), "nothing is begun");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_while_it_reads() {
    let server = Server::start().await;
    let data = server.folder.path().join("large");
    let large = server.folder.path().join("large.png");
    image::RgbImage::from_fn(3000, 3000, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8])).save(&large).unwrap();
    for (class, copy) in ["cat", "dog"].iter().flat_map(|class| (0..200).map(move |copy| (class, copy))) {
        let path = data.join("train").join(class);
        std::fs::create_dir_all(&path).unwrap();
        std::fs::hard_link(&large, path.join(format!("{copy}.png"))).unwrap();
    }
    let started = start(&server, json!({"arch": "tutorial", "data": data, "epochs": 1})).await;
    let (id, path) = (started["id"].as_str().unwrap(), format!("{}/events", started["id"].as_str().unwrap()));
    let journal = server.data_dir().join("runs").join(id).join("events.jsonl");
    eventually("that it reads", async || std::fs::read_to_string(&journal).ok().filter(|text| text.contains("reading"))).await;
    post(&server, id, "cancel").await.ok();
    let all = events(&server.admin(Method::GET, &format!("/admin/jobs/{path}"), None).await);
    let names: Vec<&str> = all.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["data", "cancelled"], "it was not read to its end");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cancelled_while_the_test_set_is_measured() {
    let server = Server::start().await;
    // One step, and 8,000 images to measure.
    let data = server.folder.path().join("much");
    std::fs::create_dir_all(&data).unwrap();
    let train = file("cifar-10-batches-bin/data_batch_1.bin");
    std::fs::write(data.join("data_batch_1.bin"), &train[..10 * 3073]).unwrap();
    std::fs::write(data.join("test_batch.bin"), file("cifar-10-batches-bin/test_batch.bin").repeat(40)).unwrap();
    let started = start(&server, json!({"arch": "tutorial", "data": data, "epochs": 1})).await;
    let id = started["id"].as_str().unwrap();
    let journal = server.data_dir().join("runs").join(id).join("events.jsonl");
    eventually("the step", async || std::fs::read_to_string(&journal).ok().filter(|text| text.contains("\"step\""))).await;
    post(&server, id, "cancel").await.ok();
    let all = events(&server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), None).await);
    let names: Vec<&str> = all.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["data", "data", "step", "cancelled"], "it was not measured to its end");
    assert_eq!(job(&server, id).await["epoch"], 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_runs_go_on_with_the_next_server_where_that_is_set() {
    let data = tempfile::tempdir().unwrap();
    let first = supervisor(data.path());
    let run = first.start(request(10_000)).await.unwrap();
    follow(&first, &run.id, 0, "epoch").await;
    first.shutdown().await;
    let interrupted = first.job(&run.id).unwrap();
    assert_eq!(interrupted.state, JobState::Interrupted);

    let next = supervisor_that(data.path(), |settings| settings.resume_interrupted = true);
    assert_eq!(next.job(&run.id).unwrap().state, JobState::Running);
    next.cancel(&run.id).await.unwrap();
    let goes_on = over(&next, &run.id).await;
    assert!(goes_on.state == JobState::Cancelled && goes_on.epoch >= interrupted.epoch);
    next.shutdown().await;
    let after = supervisor_that(data.path(), |settings| settings.resume_interrupted = true);
    assert_eq!(after.job(&run.id).unwrap().state, JobState::Cancelled, "what nobody wants does not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_itself_each_time_is_not_tried_for_ever() {
    let one = undisturbed(2).swap_remove(1);
    // One epoch is over. The last attempt began with none: it got further. Or with that one: it did not.
    for (epochs, state) in [(0, JobState::Done), (1, JobState::Interrupted)] {
        let data = tempfile::tempdir().unwrap();
        let folder = put(data.path(), 2);
        one.write(&folder);
        let wanted = json!({"wanted": "run", "after": 0, "epochs": epochs});
        std::fs::write(folder.wanted(), wanted.to_string()).unwrap();
        let supervisor = supervisor_that(data.path(), |settings| settings.resume_interrupted = true);
        let id = supervisor.jobs()[0].id.clone();
        let ended = over(&supervisor, &id).await;
        assert_eq!(ended.state, state, "{ended:?}");
        if state == JobState::Done {
            // It was written down that it goes on from here: the next death of its process would find no progress.
            let wanted: Value = serde_json::from_slice(&std::fs::read(folder.wanted()).unwrap()).unwrap();
            assert_eq!(wanted["epochs"], 1);
        }
        supervisor.shutdown().await;
    }
}
