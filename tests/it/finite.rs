//! Weights that are not finite are no model: wherever they come from they are refused, by tensor.

use std::collections::BTreeMap;
use std::time::Duration;

use convscope::checkpoint::{self, Dtype, Tensor, safetensors_bytes};
use convscope::network::Parameter;
use convscope::training::event::Event;
use convscope::training::job::JobState;
use convscope::training::supervisor::{ArchSource, RunRequest, Settings, Supervisor};
use serde_json::json;

use crate::cli::convscope;
use crate::support::{Server, horse, untrained};
use crate::training::{images, small};

/// The file of the preset, a few numbers of two of its tensors being `value`.
fn file(metadata: &BTreeMap<String, String>, value: f32) -> Vec<u8> {
    let mut parameters: Vec<Parameter> = untrained("tutorial", 1).weights().iter().cloned().collect();
    for parameter in parameters.iter_mut().filter(|parameter| ["conv2.bias", "fc4.weight"].contains(&parameter.name.as_str())) {
        (parameter.values[7], parameter.values[30]) = (value, value);
    }
    let tensors: Vec<Tensor<'_>> = parameters.iter().map(Tensor::from).collect();
    safetensors_bytes(metadata, &tensors, Dtype::F32)
}

fn model(value: f32) -> Vec<u8> {
    let text = serde_json::to_string(untrained("tutorial", 1).metadata()).unwrap();
    file(&BTreeMap::from([("format".to_owned(), "pt".to_owned()), (checkpoint::METADATA_KEY.to_owned(), text)]), value)
}

#[test]
fn a_file_with_such_weights_is_no_model() {
    assert!(checkpoint::read(&model(0.5)).is_ok());
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let message = checkpoint::read(&model(value)).unwrap_err().to_string();
        for part in ["`conv2.bias` has 2 of 32 numbers that are not finite", "`fc4.weight` has 2 of 5120 numbers"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("conv1"), "{message}");
    }
}

#[test]
fn such_weights_are_not_imported() {
    let folder = tempfile::tempdir().unwrap();
    let (weights, out) = (folder.path().join("weights.safetensors"), folder.path().join("mine.safetensors"));
    std::fs::write(&weights, file(&BTreeMap::new(), f32::NAN)).unwrap();
    let message = convscope(&["import", weights.to_str().unwrap(), "--arch", "tutorial", "--out", out.to_str().unwrap()]).failed(1);
    assert!(message.contains("weights.safetensors") && message.contains("`fc4.weight`"), "{message}");
    assert!(message.contains("not finite (the first is NaN)"), "{message}");
    assert!(!out.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn such_a_model_never_answers() {
    let server = Server::start().await;
    let models = server.data_dir().join("models");
    checkpoint::save(&models.join("sick/1.safetensors"), &untrained("tutorial", 1)).unwrap();
    std::fs::write(models.join("sick/2.safetensors"), model(f32::NAN)).unwrap();
    std::fs::create_dir_all(models.join("worse")).unwrap();
    std::fs::write(models.join("worse/1.safetensors"), model(f32::INFINITY)).unwrap();
    assert_eq!(server.post("/classify?model=sick", horse()).await.ok()["model"]["version"], 1);
    server.post("/classify?model=sick&version=2", horse()).await.refused(404, "unknown_model");
    server.post("/classify?model=worse&version=1", horse()).await.refused(500, "internal");
    let sentence = server.post("/classify?model=worse", horse()).await.refused(404, "unknown_model");
    assert!(sentence.contains("`worse` is there and cannot answer"), "{sentence}");
    server.stop().await;
}

#[tokio::test]
async fn a_run_that_diverges_fails_with_what_to_change_and_keeps_the_epochs_before() {
    let data = tempfile::tempdir().unwrap();
    let supervisor = Supervisor::new(Settings {
        program: env!("CARGO_BIN_EXE_convscope").into(),
        data_dir: data.path().into(),
        device: "cpu".into(),
        environment: convscope::config::Config::default().for_runs(),
        concurrent: 1,
        grace: Duration::from_secs(20),
        resume_interrupted: false,
        keep_epochs: 20,
    })
    .unwrap();
    // Weight decay multiplies the weights by some hundred a step, so that they leave the numbers after a few epochs of two steps.
    let overrides = json!({"epochs": 100, "batch_size": 160, "learning_rate": 100, "weight_decay": 0.9, "schedule": "constant"});
    let request = RunRequest {
        arch: ArchSource::Inline(small()),
        data: "cifar-10".into(),
        data_path: images(),
        recipe: None,
        overrides: overrides.as_object().unwrap().clone(),
        name: None,
        fit_data: false,
        skip_unreadable: false,
    };
    let job = supervisor.start(request).await.unwrap();
    let mut events = supervisor.events(&job.id, 0).unwrap();
    let (mut epochs, mut failed) = (0, None);
    while let Some(line) = tokio::time::timeout(Duration::from_secs(120), events.recv()).await.unwrap() {
        match line.parse() {
            Some(Event::Epoch(record)) => epochs = record.epoch,
            Some(Event::Failed(reason)) => failed = Some(format!("{reason:?}")),
            _ => {}
        }
    }
    let ended = supervisor.job(&job.id).unwrap();
    assert_eq!((ended.state, ended.epoch), (JobState::Failed, epochs));
    for reason in [ended.error.unwrap(), failed.unwrap()] {
        assert!(reason.contains("left the finite numbers") && reason.contains("lower `learning_rate`"), "{reason}");
    }
    assert!(epochs >= 1, "it failed in its first epoch");
    for version in 1..=epochs {
        checkpoint::load(&data.path().join(format!("models/run-{}/{version}.safetensors", job.id))).unwrap();
    }
    assert!(!data.path().join(format!("models/run-{}/{}.safetensors", job.id, epochs + 1)).exists());
    supervisor.shutdown().await;
}
