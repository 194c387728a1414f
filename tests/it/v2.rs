//! The Open Inference Protocol, version 2, as its clients speak it.

mod refusals;
mod tensors;

use std::time::Duration;

use convscope::picture::decode::{Limits, decode};
use convscope::picture::{Channels, Target};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, CLASSES, HalfSent, Server, horse, slow};

/// Where images are sent.
const INFER: &str = "/v2/models/tutorial/infer";
/// The tutorial's input.
const SHAPE: [usize; 3] = [3, 32, 32];

/// An image file as the tutorial takes it: its samples, plane after plane.
fn planes(file: &[u8]) -> Vec<u8> {
    let preprocessing =
        convscope::network::Preprocessing::unit(convscope::network::spec::Input { channels: 3, height: 32, width: 32 });
    let target = Target { channels: Channels::Rgb, ..preprocessing.target() };
    let pixels = decode(file, &target, &Limits::default()).unwrap().pixels;
    (0..3).flat_map(|channel| pixels.values()[channel..].iter().step_by(3).copied().collect::<Vec<_>>()).collect()
}

fn floats(samples: &[u8]) -> Vec<f32> {
    samples.iter().map(|&sample| f32::from(sample) / 255.0).collect()
}

/// The shape of so many images.
fn shape(count: usize) -> Vec<usize> {
    [&[count], &SHAPE[..]].concat()
}

/// What `/classify` says of an image file, in class order.
async fn classified(server: &Server, file: Vec<u8>) -> Vec<f64> {
    let answer = server.post("/classify", file).await.ok();
    CLASSES.iter().map(|class| answer["probabilities"][class].as_f64().unwrap()).collect()
}

/// A request whose tensors are behind its JSON.
async fn post_binary(server: &Server, json: &Value, tensors: &[u8]) -> Answer {
    let json = json.to_string();
    let request = server.request(Method::POST, INFER).header("inference-header-content-length", json.len());
    Answer::of(request.body([json.as_bytes(), tensors].concat())).await
}

fn close(given: &[f64], expected: &[f64]) {
    let near = given.len() == expected.len() && given.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-6);
    assert!(near, "{given:?}\n{expected:?}");
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_says_what_it_is_and_what_its_models_take() {
    let server = Server::start().await;
    let about = server.get("/v2").await.ok();
    let extensions = json!(["binary_tensor_data", "classification"]);
    assert_eq!(about, json!({"name": "convscope", "version": env!("CARGO_PKG_VERSION"), "extensions": extensions}));
    assert_eq!(server.get("/v2/health/live").await.ok(), json!({"live": true}));
    assert_eq!(server.get("/v2/health/ready").await.ok(), json!({"ready": true, "live": true}));
    let model = json!({
        "name": "tutorial",
        "versions": ["1"],
        "platform": "convscope_safetensors",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 32, 32]}],
        "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
    });
    for path in ["/v2/models/tutorial", "/v2/models/tutorial/versions/1"] {
        assert_eq!(server.get(path).await.ok(), model);
        assert_eq!(server.get(&format!("{path}/ready")).await.ok(), json!({"name": "tutorial", "ready": true}));
    }
    for path in ["", "/ready"] {
        let sentence = server.get(&format!("/v2/models/tutoral{path}")).await.refused(404, "unknown_model");
        assert!(sentence.contains("tutorial"), "{sentence}");
        server.get(&format!("/v2/models/tutorial/versions/2{path}")).await.refused(404, "unknown_model");
        let sentence = server.get(&format!("/v2/models/tutorial/versions/one{path}")).await.refused(400, "bad_request");
        assert!(sentence.contains("whole number") && sentence.contains("`one`"), "{sentence}");
    }
    server.get(INFER).await.refused(405, "method_not_allowed");
    server.get("/v2?verbose=1").await.refused(400, "bad_query");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_model_is_live_and_not_ready() {
    let empty = tempfile::tempdir().unwrap();
    let server = Server::with(|config| {
        empty.path().clone_into(&mut config.models.dir);
        config.models.default = "nothing".into();
    })
    .await;
    server.get("/v2/health/ready").await.refused(503, "not_ready");
    server.get("/v2/health/live").await.ok();
    server.stop().await;
}

/// A tensor of the horse, `count` times.
fn horses(count: usize) -> Value {
    let data: Vec<u8> = planes(&horse()).repeat(count);
    json!({"inputs": [{"name": "image", "datatype": "UINT8", "shape": shape(count), "data": data}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_images_of_a_tensor_are_all_taken_or_none() {
    let server = Server::with(|config| config.limits.queue_images = 3).await;
    let post = async |count| server.post(INFER, horses(count).to_string()).await;
    let sentence = post(4).await.refused(413, "too_many_images");
    assert!(sentence.contains('4') && sentence.contains('3'), "{sentence}");
    let half = HalfSent::begin(&server, "/classify", "", &horse()).await;
    let refusal = post(3).await;
    refusal.refused(429, "queue_full");
    refusal.says_when();
    assert_eq!(post(2).await.ok()["outputs"][0]["shape"], json!([2, 10]), "a refusal keeps no place");
    assert!(half.finish().await.starts_with("HTTP/1.1 200"));
    assert_eq!(post(3).await.ok()["outputs"][0]["shape"], json!([3, 10]));

    // One's own half-sent tensor has its first place, before it is read.
    let body = horses(1).to_string();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(HalfSent::begin(&server, INFER, "", body.as_bytes()).await);
    }
    server.post("/classify", horse()).await.refused(429, "queue_full");
    for half in held {
        assert!(half.finish().await.starts_with("HTTP/1.1 200"));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inference_has_a_deadline() {
    let (_folder, models) = slow();
    let server = Server::with(|config| models.clone_into(&mut config.models.dir)).await;
    let files = json!({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [64]}]});
    let mut tensor = Vec::new();
    for _ in 0..64 {
        tensor.extend((horse().len() as u32).to_le_bytes());
        tensor.extend(horse());
    }
    let mut json = files;
    json["inputs"][0]["parameters"] = json!({"binary_data_size": tensor.len()});
    let json = json.to_string();
    let request = server.request(Method::POST, INFER).header("inference-header-content-length", json.len());
    let request = request.header("x-timeout-ms", "1").body([json.as_bytes(), &tensor].concat());
    Answer::of(request).await.refused(504, "timed_out");
    // What was given up makes room.
    let all = crate::support::eventually("the places are free again", async || {
        let answer = server.post("/classify", horse()).await;
        (answer.status == StatusCode::OK).then_some(())
    });
    tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    server.stop().await;
}
