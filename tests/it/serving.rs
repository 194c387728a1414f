//! A busy server over the wire: queues that are full, callers who hang up or are late, models that cannot answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use convscope::checkpoint;
use convscope::network::Model;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::support::{Answer, HalfSent, Server, eventually, horse, slow, untrained};

/// The JSON of an answer that came over a bare connection.
fn body(text: &str) -> Value {
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_full_of_slow_work_never_makes_the_server_unready() {
    let (_folder, dir) = slow();
    let server = Server::with(|config| {
        config.models.dir = dir;
        (config.limits.queue_images, config.limits.batch_images) = (12, 1);
    })
    .await;
    // No answer of the last seconds vouches for it: the canary has to find its way past the queue.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (answered, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut asking = JoinSet::new();
    // More callers than places, each of whom asks again: the queue is full however slowly anybody gets a turn.
    for _ in 0..16 {
        let request = server.request(Method::POST, "/classify").body(horse());
        let (answered, enough) = (Arc::clone(&answered), Arc::clone(&enough));
        asking.spawn(async move {
            while !enough.load(Ordering::SeqCst) {
                let answer = Answer::of(request.try_clone().unwrap()).await;
                if answer.status == 429 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                } else {
                    answer.ok();
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
    }
    eventually("a full queue", async || {
        let refusal = server.post("/classify", horse()).await;
        (refusal.status == 429).then(|| refusal.says_when())
    })
    .await;
    let before = answered.load(Ordering::SeqCst);
    server.get("/health/ready").await.ok();
    let meanwhile = answered.load(Ordering::SeqCst) - before;
    assert!(meanwhile < 12, "readiness waited behind every image that was asked for before: {meanwhile}");
    enough.store(true, Ordering::SeqCst);
    asking.join_all().await;
    server.get("/health/ready").await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_to_wait_grows_with_what_is_under_way_and_is_never_nothing() {
    let server = Server::with(|config| config.limits.queue_images = 40).await;
    server.post("/classify", horse()).await.ok();
    // More images than there is room for beside the one that is held: refused, and told when there will be.
    let refused = async || {
        let form = (0..40).fold(Form::new(), |form, _| form.part("image", Part::bytes(horse())));
        let answer = Answer::of(server.request(Method::POST, "/classify").multipart(form)).await;
        answer.refused(429, "queue_full");
        answer.says_when()
    };
    let mut held = vec![HalfSent::begin(&server, "/classify", "", &horse()).await];
    let few = refused().await;
    while held.len() < 39 {
        held.push(HalfSent::begin(&server, "/classify", "", &horse()).await);
    }
    let many = refused().await;
    assert!(few >= 1 && many > few, "{few} ms behind one image, {many} ms behind 39");
    drop(held);
    server.stop().await;
}

/// The preset, its last layer's weights so large that scores leave the finite numbers, which the weights themselves do not.
fn overflowing() -> Model {
    let model = untrained("tutorial", 1);
    let mut parameters: Vec<_> = model.weights().iter().cloned().collect();
    parameters.iter_mut().filter(|parameter| parameter.name == "fc4.weight").for_each(|last| last.values.fill(3e38));
    Model::new(model.metadata().clone(), parameters).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_canary_fails_is_not_ready_and_never_takes_another_s_place() {
    let folder = tempfile::tempdir().unwrap();
    let version = |n: u64| folder.path().join(format!("tutorial/{n}.safetensors"));
    checkpoint::save(&version(1), &overflowing()).unwrap();
    let server = Server::with(|config| folder.path().clone_into(&mut config.models.dir)).await;
    let unready = server.get("/health/ready").await;
    let sentence = unready.refused(503, "not_ready");
    assert!(sentence.contains("`tutorial`") && sentence.contains("log"), "{sentence}");
    unready.says_when();
    let sentence = server.post("/classify", horse()).await.refused(404, "unknown_model");
    assert!(sentence.contains("cannot answer"), "{sentence}");

    checkpoint::save(&version(2), &untrained("tutorial", 2)).unwrap();
    eventually("a good version", async || (server.get("/health/ready").await.status == 200).then_some(())).await;
    checkpoint::save(&version(3), &overflowing()).unwrap();
    for _ in 0..15 {
        assert_eq!(server.post("/classify", horse()).await.ok()["model"]["version"], 2);
        server.get("/health/ready").await.ok();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.post("/classify?version=3", horse()).await.refused(404, "unknown_model");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_while_sending_frees_its_place() {
    let server = Server::with(|config| {
        config.limits.queue_images = 1;
        config.server.header_timeout = Duration::from_secs(3600);
    })
    .await;
    let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
    server.post("/classify", horse()).await.refused(429, "queue_full");
    drop(held);
    eventually("a free place", async || (server.post("/classify", horse()).await.status == 200).then_some(())).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_while_waiting_frees_its_place_and_the_others_get_the_answer_they_would_have_had() {
    let (_folder, dir) = slow();
    let server = Server::with(|config| {
        config.models.dir = dir;
        config.limits.queue_images = 12;
    })
    .await;
    let alone = server.post("/classify", horse()).await.ok();
    let mut sent = Vec::new();
    for _ in 0..12 {
        sent.push(HalfSent::unasked(&server, "/classify", &horse()).await);
    }
    for (i, caller) in sent.into_iter().enumerate() {
        if i % 2 == 0 {
            drop(caller);
            continue;
        }
        let answer = body(&caller.answer().await);
        assert_eq!(answer["probabilities"], alone["probabilities"], "{i}");
    }
    // All twelve places are free again.
    eventually("free places", async || {
        let form = (0..12).fold(Form::new(), |form, _| form.part("image", Part::bytes(horse())));
        let answer = Answer::of(server.request(Method::POST, "/classify").multipart(form)).await;
        (answer.status == 200).then(|| assert_eq!(answer.json()["results"].as_array().unwrap().len(), 12))
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_late_is_told_so_and_the_others_are_answered() {
    let (_folder, dir) = slow();
    let server = Server::with(|config| {
        config.models.dir = dir;
        (config.limits.queue_images, config.limits.batch_images) = (10, 1);
    })
    .await;
    let alone = server.post("/classify", horse()).await.ok();
    let mut asking = JoinSet::new();
    for i in 0..10 {
        let request = server.request(Method::POST, "/classify").body(horse());
        let request = if i % 2 == 0 { request } else { request.header("x-timeout-ms", 1) };
        asking.spawn(async move { (i, Answer::of(request).await) });
    }
    for (i, answer) in asking.join_all().await {
        if i % 2 == 0 {
            assert_eq!(answer.ok()["probabilities"], alone["probabilities"], "{i}");
        } else {
            answer.refused(504, "timed_out");
        }
    }
    eventually("free places", async || {
        let form = (0..10).fold(Form::new(), |form, _| form.part("image", Part::bytes(horse())));
        let answer = Answer::of(server.request(Method::POST, "/classify").multipart(form)).await;
        (answer.status == 200).then_some(())
    })
    .await;
    server.stop().await;
}
