//! `/layers/{layer}/effects`: many passes in one request, each to the bit what a request of its own would have got.

use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::support::{Answer, CLASSES, HalfSent, Server, eventually, horse, slow};

fn number(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_is_what_a_masked_request_of_its_own_says() {
    // Several batches a layer, the last one not full.
    let server = Server::with(|config| config.limits.batch_images = 7).await;
    for (layer, channels, also) in [("conv1", 32, ""), ("pool2", 32, "conv1:3,7"), ("fc4", 10, "fc3:0;conv2:5")] {
        let path = format!("/layers/{layer}/effects?mask={also}");
        let told = server.post(&path, horse()).await.ok();
        let on = server.post(&format!("/classify?mask={also}"), horse()).await.ok();
        assert_eq!((&told["label"], &told["layer"]), (&on["label"], &Value::from(layer)));
        let winner = on["label"].as_str().unwrap();
        for class in CLASSES {
            let (here, there) = (number(&told["probabilities"][class]), number(&on["probabilities"][class]));
            assert!((here - there).abs() < 1e-6, "{layer} {class}: {here} and {there}");
        }
        let effects = told["channels"].as_array().unwrap();
        assert_eq!(effects.len(), channels, "{layer}");
        for (channel, effect) in effects.iter().enumerate() {
            assert_eq!(effect["channel"], channel);
            let alone = server.post(&format!("/classify?mask={also};{layer}:{channel}"), horse()).await.ok();
            assert_eq!((&effect["label"], &effect["probability"]), (&alone["label"], &alone["probability"]), "{layer} {channel}");
            let change = number(&alone["probabilities"][winner]) - number(&told["probabilities"][winner]);
            assert_eq!(number(&effect["change"]), change, "{layer} {channel}");
        }
    }
    // What is off already changes nothing when it is switched off.
    let told = server.get("/layers/conv1/effects?sample=horse&mask=conv1:4&top_k=2").await.ok();
    assert_eq!((&told["channels"][4]["change"], told["top"].as_array().unwrap().len()), (&Value::from(0.0), 2));
    assert_ne!(told["channels"][5]["change"], 0.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_ranked_is_refused_in_words() {
    let server = Server::start().await;
    let sentence = server.post("/layers/conv9/effects", horse()).await.refused(404, "unknown_layer");
    assert!(sentence.contains("conv1, act1"), "{sentence}");
    server.get("/layers/conv1/effects").await.refused(400, "bad_query");
    server.get("/layers/conv1/effects?sample=unicorn").await.refused(404, "unknown_sample");
    server.post("/layers/conv1/effects?sample=horse", horse()).await.refused(400, "bad_query");
    server.post("/layers/conv1/effects?mask=conv1:99", horse()).await.refused(422, "unprocessable");
    server.post("/layers/conv1/effects", b"no picture".to_vec()).await.refused(415, "unsupported_image");
    let form = (0..2).fold(Form::new(), |form, _| form.part("image", Part::bytes(horse())));
    Answer::of(server.request(Method::POST, "/layers/conv1/effects").multipart(form)).await.refused(400, "bad_request");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_get_in_between_and_nobody_is_evaluated_for_who_is_gone() {
    let (_folder, dir) = slow();
    let server = Server::with(|config| {
        config.models.dir = dir;
        (config.limits.queue_images, config.limits.batch_images) = (2, 1);
    })
    .await;
    let stands = async |images: f64| {
        let metrics = String::from_utf8(server.get("/metrics").await.body).unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("convscope_queue_images ")).unwrap();
        (line.parse() == Ok(images)).then_some(metrics)
    };
    let path = "/layers/conv3/effects";
    let ranking = tokio::spawn(Answer::of(server.request(Method::POST, path).body(horse())));
    eventually("a ranking under way", async || stands(1.0).await).await;
    server.post("/classify", horse()).await.ok();
    assert!(!ranking.is_finished(), "48 channels were in front of one image");
    // One place for all its passes: with another caller's the server is full.
    let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
    server.post(path, horse()).await.refused(429, "queue_full");
    drop(held);
    assert_eq!(ranking.await.unwrap().ok()["channels"].as_array().unwrap().len(), 48);

    let late = server.request(Method::POST, path).header("x-timeout-ms", "20").body(horse());
    Answer::of(late).await.refused(504, "timed_out");
    eventually("room again", async || stands(0.0).await).await;

    let caller = HalfSent::unasked(&server, path, &horse()).await;
    eventually("a ranking under way", async || stands(1.0).await).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    drop(caller);
    let metrics = eventually("room again", async || stands(0.0).await).await;
    let cancelled = |line: &&str| line.contains("outcome=\"cancelled\"") && line.contains("/layers/{layer}/effects");
    assert!(metrics.lines().any(|line| cancelled(&line)), "{metrics}");
    server.stop().await;
}
