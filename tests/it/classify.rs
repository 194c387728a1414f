//! `POST /classify`.

use convscope::checkpoint;
use convscope::network::{Evaluator, Probe};
use convscope::picture::decode::{Limits, decode};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, CLASSES, Server, eventually, horse, models, slow, untrained};

/// What the model says of the horse, without a server.
fn expected(mask: &str) -> Vec<f32> {
    let model = checkpoint::load(&models().join("tutorial.safetensors")).unwrap();
    let preprocessing = &model.metadata().preprocessing;
    let mut images = Vec::new();
    let picture = decode(&horse(), &preprocessing.target(), &Limits::default()).unwrap();
    preprocessing.normalize(&picture.pixels, &mut images).unwrap();
    let probe = Probe::default().mask(mask, &model).unwrap();
    let mut evaluator = Evaluator::new(&model, &candle_core::Device::Cpu).unwrap();
    evaluator.evaluate(&images, &probe).unwrap().probabilities
}

fn probabilities(answer: &Value) -> Vec<f32> {
    CLASSES.iter().map(|class| answer["probabilities"][class].as_f64().unwrap() as f32).collect()
}

fn close(one: &[f32], other: &[f32]) -> bool {
    one.iter().zip(other).all(|(a, b)| (a - b).abs() <= 1e-6 + 1e-4 * b.abs())
}

fn part(bytes: Vec<u8>) -> Part {
    Part::bytes(bytes).file_name("image.png")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_what_the_model_says_and_in_class_order() {
    let server = Server::start().await;
    let answer = server.post("/classify", horse()).await;
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let answer = answer.ok();
    assert_eq!(answer["model"], json!({"name": "tutorial", "version": 1}));
    let expected = expected("");
    assert!(close(&probabilities(&answer), &expected), "{answer}");
    let at = |class: &str| text.find(&format!("\"{class}\":")).unwrap();
    assert!(CLASSES.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{text}");
    let best = (0..10).max_by(|&a, &b| expected[a].total_cmp(&expected[b])).unwrap();
    assert_eq!(answer["label"], CLASSES[best]);
    assert!(answer["familiarity"].is_null(), "this model's file does not say");
    assert_eq!(answer["top"][0], json!({"index": best, "label": CLASSES[best], "probability": answer["probability"]}));
    assert_eq!(answer["top"].as_array().unwrap().len(), 5);
    for phase in ["decode", "queue", "inference"] {
        assert!(answer["timing_ms"][phase].as_f64().unwrap() >= 0.0);
    }
    let keys: Vec<_> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["familiarity", "label", "model", "probabilities", "probability", "timing_ms", "top"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_carries_one_image_or_many() {
    let server = Server::start().await;
    let raw = server.post("/classify", horse()).await.ok();
    let post = |form| Answer::of(server.request(Method::POST, "/classify?top_k=2").multipart(form));
    let one = post(Form::new().part("image", part(horse()))).await.ok();
    assert!(close(&probabilities(&one), &probabilities(&raw)));
    assert_eq!(one["top"].as_array().unwrap().len(), 2);

    let cat = server.get("/samples/cat").await.body;
    let alone = server.post("/classify", cat.clone()).await.ok();
    let mut form = Form::new();
    for i in 0..9 {
        form = form.part("image", part(if i == 4 { cat.clone() } else { horse() }));
    }
    let many = post(form).await.ok();
    let results = many["results"].as_array().unwrap();
    assert_eq!(results.len(), 9);
    for (i, result) in results.iter().enumerate() {
        let wanted = if i == 4 { &alone } else { &raw };
        assert!(close(&probabilities(result), &probabilities(wanted)), "{i}: {result}");
    }
    assert!(!close(&probabilities(&alone), &probabilities(&raw)), "two images the test can tell apart");
    server.stop().await;
}

/// A PNG that takes long to read and is found broken at its very end.
fn slow_and_cut() -> Vec<u8> {
    let side = 2500;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let pixels: Vec<u8> = (0..side * side * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes.truncate(bytes.len() - 1000);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_bad_images_the_first_in_order_is_the_answer() {
    let server = Server::with(|config| config.limits.body_bytes = 64 << 20).await;
    let form = || {
        let parts = [horse(), slow_and_cut(), b"hello".to_vec(), horse()];
        parts.into_iter().fold(Form::new(), |form, bytes| form.part("image", part(bytes)))
    };
    let post =
        async |query: &str, form| Answer::of(server.request(Method::POST, &format!("/classify{query}")).multipart(form)).await;
    // The third is known to be bad long before the second is.
    let sentence = post("", form()).await.refused(400, "bad_image");
    assert!(sentence.starts_with("image 2: "), "{sentence}");
    post("?partial=false", form()).await.refused(400, "bad_image");

    let partial = post("?partial=true&top_k=1", form()).await.ok();
    let results = partial["results"].as_array().unwrap();
    let raw = server.post("/classify", horse()).await.ok();
    assert_eq!(results.len(), 4);
    for good in [&results[0], &results[3]] {
        assert!(close(&probabilities(good), &probabilities(&raw)), "{good}");
    }
    for (bad, code) in [(&results[1], "bad_image"), (&results[2], "unsupported_image")] {
        assert_eq!(bad["code"], code, "{bad}");
        assert!(!bad["error"].as_str().unwrap().starts_with("image") && bad.as_object().unwrap().len() == 2, "{bad}");
    }
    // One image is one answer: what refuses it refuses the request.
    server.post("/classify?partial=true", "hello").await.refused(415, "unsupported_image");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_switched_off_by_a_mask() {
    let server = Server::start().await;
    let mask = "conv1:3,7;conv2:0";
    let answer = server.post(&format!("/classify?mask={mask}"), horse()).await.ok();
    assert!(close(&probabilities(&answer), &expected(mask)));
    assert!(!close(&probabilities(&answer), &expected("")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_appear_while_the_server_runs_and_a_broken_one_is_passed_over() {
    let server = Server::start().await;
    let versions = server.data_dir().join("models/run-1");
    server.post("/classify?model=run-1", horse()).await.refused(404, "unknown_model");
    for version in [1, 2] {
        checkpoint::save(&versions.join(format!("{version}.safetensors")), &untrained("tutorial", version)).unwrap();
    }
    std::fs::write(versions.join("3.safetensors"), "no model").unwrap();
    let model = |answer: &Value| answer["model"].clone();
    let highest = server.post("/classify?model=run-1", horse()).await.ok();
    assert_eq!(model(&highest), json!({"name": "run-1", "version": 2}));
    let until = async |what: &str, wanted: &dyn Fn(&Value) -> bool| {
        eventually(what, async || Some(server.post("/classify?model=run-1", horse()).await.ok()).filter(wanted)).await
    };
    let first = server.post("/classify?model=run-1&version=1", horse()).await.ok();
    assert_eq!(model(&first), json!({"name": "run-1", "version": 1}));
    assert!(!close(&probabilities(&first), &probabilities(&highest)));
    let sentence = server.post("/classify?model=run-1&version=3", horse()).await.refused(404, "unknown_model");
    assert!(sentence.contains("has no version 3; it has 1, 2"), "{sentence}");
    let listed = server.get("/models").await.ok();
    assert_eq!(listed["default"], "tutorial");
    let run = listed["models"].as_array().unwrap().iter().find(|model| model["name"] == "run-1").unwrap().clone();
    assert_eq!((&run["active"], &run["default"], run["classes"].as_array().unwrap().len()), (&json!(2), &json!(false), 10));
    assert_eq!(run["versions"][0]["active"], false);

    // A version replaced is another model, from the moment that it is loaded; until then the one before answers, and nobody waits.
    checkpoint::save(&versions.join("2.safetensors"), &untrained("tutorial", 5)).unwrap();
    until("the exchange", &|answer| !close(&probabilities(answer), &probabilities(&highest))).await;
    checkpoint::save(&versions.join("4.safetensors"), &untrained("tutorial", 4)).unwrap();
    until("a higher one", &|answer| model(answer)["version"] == 4).await;
    // One that goes leaves the next lower one.
    for (gone, left) in [(4, 2), (2, 1)] {
        std::fs::remove_file(versions.join(format!("{gone}.safetensors"))).unwrap();
        until("the next lower one", &|answer| model(answer)["version"] == left).await;
        server.post(&format!("/classify?model=run-1&version={gone}"), horse()).await.refused(404, "unknown_model");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_at_once_share_passes_and_each_gets_its_own_answer() {
    let (_folder, dir) = slow();
    let server = Server::with(|config| config.models.dir = dir).await;
    let names = ["horse", "cat", "ship", "frog"];
    let mut alone = Vec::new();
    for name in names {
        let image = server.get(&format!("/samples/{name}")).await.body;
        alone.push((image.clone(), probabilities(&server.post("/classify", image).await.ok())));
    }
    let mut asking = tokio::task::JoinSet::new();
    for i in 0..64 {
        let (image, expected) = alone[i % 4].clone();
        let request = server.request(Method::POST, "/classify").body(image);
        asking.spawn(async move {
            let answer = Answer::of(request).await;
            assert_eq!(answer.status, StatusCode::OK);
            let answer = answer.json();
            assert_eq!(probabilities(&answer), expected, "{i}: company changes no bit");
            answer["timing_ms"]["inference"].to_string()
        });
    }
    // Those of one pass are told the same time, to the microsecond; this model takes thousands of them.
    let mut passes = std::collections::BTreeMap::new();
    for time in asking.join_all().await {
        *passes.entry(time).or_insert(0) += 1;
    }
    let largest = passes.values().copied().max().unwrap_or(0);
    assert!(largest >= 8, "no pass had more than {largest} of 64 images: {passes:?}");
    server.stop().await;
}
