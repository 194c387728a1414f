//! How familiar an image is: the numbers, the model's file, and every way to ask.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use convscope::checkpoint::{self, Dtype};
use convscope::evaluation::{evaluate, familiarity::Pictures};
use convscope::network::familiarity::{Familiarity, Moments, distance, doubt, picture};
use convscope::network::spec::Input;
use convscope::network::{Evaluator, Model, Probe};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::cli::convscope;
use crate::support::{Answer, Server, horse, untrained};

const SMALL: Input = Input { channels: 3, height: 10, width: 9 };

fn images() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin")
}

/// The pictures of `scores.py`.
fn drawn(seed: usize) -> Vec<f32> {
    let places = (0..3).flat_map(|c| (0..10).flat_map(move |y| (0..9).map(move |x| (c, y, x))));
    let value = |(c, y, x): (usize, usize, usize)| {
        let values = (seed * 37 + c * 11 * (seed % 3) + y * (5 + seed % 7) + x * (3 + seed % 5) * (1 + c % 2)) % 256;
        ((values * values + seed * 101 * ((x * 7 + y * 3 + seed) % 5)) % 1024) as f32 / 1024.0
    };
    places.map(value).collect()
}

fn probabilities(seed: usize) -> Vec<f32> {
    let scores = [1, 2, 3, 5].map(|k: usize| ((((seed * k * k) % 11) as f64) / 2.0).exp());
    scores.map(|score| (score / scores.iter().sum::<f64>()) as f32).to_vec()
}

#[test]
fn the_numbers_are_those_that_numpy_finds() {
    let expected: Value = serde_json::from_str(include_str!("../data/familiarity/scores.json")).unwrap();
    let close = |given: f64, expected: &Value, what: &str| {
        let expected = expected.as_f64().unwrap();
        assert!((given - expected).abs() <= 1e-3 * (1.0 + expected.abs()), "{what}: {given}, expected {expected}");
    };
    let statistics = picture::statistics(&drawn(1003), SMALL);
    assert_eq!(statistics.len(), expected["statistics"].as_array().unwrap().len());
    statistics.iter().enumerate().for_each(|(at, &value)| close(value, &expected["statistics"][at], &format!("statistic {at}")));
    let mut moments = Moments::new(picture::count(SMALL));
    for seed in 0..60 {
        for share in [0.0, 0.5, 1.0] {
            moments.add(&picture::statistics(&picture::softened(&drawn(seed), SMALL, share), SMALL));
        }
    }
    let pictures = moments.gaussian();
    let tests = 1000..1025;
    let distances: Vec<f64> = tests.clone().map(|seed| distance(&pictures, &drawn(seed), SMALL)).collect();
    let doubts: Vec<f64> = tests.map(|seed| doubt(&probabilities(seed))).collect();
    let known = Familiarity::new(pictures, &distances, &doubts);
    known.check(SMALL).unwrap();
    for (name, image, own) in [
        ("test", drawn(1003), probabilities(1003)),
        ("softened", picture::softened(&drawn(1004), SMALL, 1.0), probabilities(1004)),
        ("other", drawn(2000), probabilities(7)),
        ("even", vec![0.25; 270], probabilities(3)),
    ] {
        let answer = &expected["answers"][name];
        close(distance(&known.pictures, &image, SMALL), &answer["distance"], name);
        close(doubt(&own), &answer["doubt"], name);
        close(known.score(&image, SMALL, &own), &answer["score"], name);
        close(f64::from(known.of(&image, SMALL, &own)), &answer["familiarity"], name);
    }
}

/// An untrained model that has looked at the images of `tests/data`.
fn familiar() -> Model {
    let model = untrained("tutorial", 1);
    let data = convscope::dataset::open(&images(), 0).unwrap();
    let report =
        evaluate(&mut Evaluator::new(&model, &candle_core::Device::Cpu).unwrap(), &model, &data.test, &mut |_| {}).unwrap();
    let metadata = model.metadata();
    let pictures = Pictures::of(&data.train, &data.test, &metadata.preprocessing, metadata.architecture.input).unwrap();
    model.with_familiarity(pictures.familiarity(&report)).unwrap()
}

#[test]
fn test_images_are_ordinary_noise_and_flat_colours_are_not_and_company_changes_nothing() {
    let (plain, model) = (untrained("tutorial", 1), familiar());
    let device = candle_core::Device::Cpu;
    let [mut without, mut with] = [&plain, &model].map(|model| Evaluator::new(model, &device).unwrap());
    let data = convscope::dataset::open(&images(), 0).unwrap();
    let mut batch = Vec::new();
    (0..200).for_each(|index| model.metadata().preprocessing.normalize(&data.test.image(index), &mut batch).unwrap());
    let together = with.evaluate(&batch, &Probe::default()).unwrap();
    let mean = together.familiarity.iter().sum::<f32>() / 200.0;
    assert!((mean - 0.5).abs() < 0.02, "{mean}");
    let other = without.evaluate(&batch, &Probe::default()).unwrap();
    assert_eq!((&other.probabilities, other.familiarity.len()), (&together.probabilities, 0), "an answer is what it was");
    let mut alone = with.alone().unwrap();
    let probe = Probe { taps: vec![0], masks: vec![] };
    for (index, image) in batch.chunks_exact(3072).enumerate().take(5) {
        let expected = [together.familiarity[index]];
        assert_eq!(with.evaluate(image, &Probe::default()).unwrap().familiarity, expected);
        assert_eq!(alone.evaluate(image, &Probe::default()).unwrap().familiarity, expected);
        let looked = with.evaluate(image, &probe).unwrap();
        assert!((looked.familiarity[0] - expected[0]).abs() < 0.01 && looked.taps.len() == 1);
    }
    let noise: Vec<f32> = (0..3072u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 16_777_216.0).collect();
    for strange in [noise, vec![0.5; 3072]] {
        let familiarity = with.evaluate(&strange, &Probe::default()).unwrap().familiarity;
        assert!(familiarity[0] < 0.01, "{familiarity:?}");
    }
    assert_eq!(with.evaluate(&[], &Probe::default()).unwrap().familiarity, [] as [f32; 0]);
}

#[test]
fn a_model_that_is_there_learns_to_tell_and_keeps_its_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let data = images();
    checkpoint::save_as(Path::new(&path("old.safetensors")), &untrained("tutorial", 1), Dtype::F16).unwrap();
    let old = convscope(&["classify", "tests/data/horse.png", "--model", &path("old.safetensors"), "--json"]).succeeded();
    assert!(serde_json::from_str::<Value>(&old).unwrap()["familiarity"].is_null(), "{old}");
    for out in ["new.safetensors", "again.safetensors"] {
        let arguments = ["--model", &path("old.safetensors"), "--data", data.to_str().unwrap(), "--out", &path(out)];
        let said = convscope(&[&["familiarize"], &arguments[..]].concat()).succeeded();
        assert!(said.contains("320 images it was trained on and 200 test images, stored as F16"), "{said}");
    }
    let [old, new, again] = ["old", "new", "again"].map(|name| std::fs::read(path(&format!("{name}.safetensors"))).unwrap());
    assert!(new == again, "equal content gives equal bytes");
    assert!(new.len() - old.len() < 20_000, "{}", new.len() - old.len());
    let [before, model] = [&old, &new].map(|bytes| checkpoint::read(bytes).unwrap());
    assert!(before.weights() == model.weights());
    let horse = ["classify", "tests/data/horse.png", "--model", &path("new.safetensors")];
    let answer: Value = serde_json::from_str(&convscope(&[&horse[..], &["--json"]].concat()).succeeded()).unwrap();
    let share = answer["familiarity"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share));
    let text = convscope(&horse).succeeded();
    assert!(text.trim_end().ends_with(&format!("; familiarity {share:.3}")), "{text}");
}

#[test]
fn what_is_damaged_is_refused_by_name() {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let sound = checkpoint::write(&familiar(), Dtype::F16);
    let length = u64::from_le_bytes(*sound.first_chunk().unwrap()) as usize;
    let header = text(&sound[8..8 + length]);
    for (from, to) in [
        (r#"\"shares\":[1.0,"#, r#"\"shares\":[0.1,"#),
        (r#"\"distance\":{\"mean\":"#, r#"\"distance\":{\"mean\":1e99,\"meen\":"#),
        (r#"\"pictures\":{\"mean\":["#, r#"\"pictures\":{\"mean\":[7,"#),
        (r#"\"scores\":["#, r#"\"scores\":[1e9,"#),
    ] {
        assert!(header.contains(from), "{header}");
        let mut changed = header.replacen(from, to, 1).into_bytes();
        changed.resize(changed.len().next_multiple_of(8), b' ');
        let file = [&(changed.len() as u64).to_le_bytes()[..], &changed, &sound[8 + length..]].concat();
        let message = checkpoint::read(&file).unwrap_err().to_string();
        assert!(message.contains("familiarity") || message.contains("meen"), "{to}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_ask_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint::save(&folder.path().join("tutorial.safetensors"), &familiar()).unwrap();
    let server = Server::with(|config| folder.path().clone_into(&mut config.models.dir)).await;
    let share = server.post("/classify", horse()).await.ok()["familiarity"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share));
    let part = || Part::bytes(horse()).file_name("image.png");
    let form = Form::new().part("image", part()).part("image", part());
    let several = Answer::of(server.request(Method::POST, "/classify").multipart(form)).await.ok();
    assert!([0, 1].iter().all(|&at| several["results"][at]["familiarity"] == share), "{several}");
    let masked = server.post("/classify?mask=conv1:0,1,2,3", horse()).await.ok();
    assert!(masked["familiarity"].is_number());

    let outputs = server.get("/v2/models/tutorial").await.ok()["outputs"].clone();
    let own = json!({"name": "familiarity", "datatype": "FP32", "shape": [-1, 1]});
    assert_eq!((outputs[0]["name"].as_str(), &outputs[1]), (Some("probabilities"), &own));
    let file = BASE64_STANDARD.encode(horse());
    let input = json!({"name": "image", "datatype": "BYTES", "shape": [2], "data": [file, file]});
    let all = server.post("/v2/models/tutorial/infer", json!({"inputs": [input]}).to_string()).await.ok();
    let expected = json!({"name": "familiarity", "datatype": "FP32", "shape": [2, 1], "data": [share, share]});
    let near = |given: &Value| (0..2).all(|at| (given["data"][at].as_f64().unwrap() - share).abs() < 1e-6);
    assert_eq!(all["outputs"][0]["name"], "probabilities");
    assert!(near(&all["outputs"][1]) && all["outputs"][1]["shape"] == expected["shape"], "{all}");
    let only = json!({"inputs": [input], "outputs": [{"name": "familiarity", "parameters": {"binary_data": true}}]});
    let answer = server.post("/v2/models/tutorial/infer", only.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let (numbers, _) = answer.body[answer.body.len() - 8..].as_chunks::<4>();
    assert!(numbers.iter().all(|&bytes| (f64::from(f32::from_le_bytes(bytes)) - share).abs() < 1e-6));
    server.stop().await;
}
