//! The networks that come with the program learn: on real images, by the recipe that is each one's default.

use std::collections::BTreeSet;

use convscope::network::presets;
use serde_json::Value;

use crate::cli::convscope;
use crate::dataset::official;
use crate::support::Server;

#[test]
fn every_preset_learns_from_real_images() {
    let (folder, data) = (tempfile::tempdir().unwrap(), official());
    for preset in presets::names() {
        let out = folder.path().join(format!("{preset}.safetensors"));
        let (out, data) = (out.to_str().unwrap(), data.to_str().unwrap());
        let few = [
            "--epochs",
            "3",
            "--batch-size",
            "32",
            "--events",
            "jsonl",
            "--set",
            "label_smoothing=0",
            "--set",
            "schedule=constant",
        ];
        let printed = convscope(&[&["train", "--arch", preset, "--data", data, "--out", out][..], &few].concat()).succeeded();
        let events = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let losses: Vec<f64> =
            events.filter(|event| event["event"] == "epoch").map(|event| event["data"]["train_loss"].as_f64().unwrap()).collect();
        assert!(losses.len() == 3 && losses[2] < losses[0] && losses[2] < 2.3, "{preset}: {losses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_listed_with_their_files() {
    let server = Server::start().await;
    let listed = server.get("/networks").await.ok();
    let networks = listed["networks"].as_array().unwrap();
    let names: BTreeSet<&str> = networks.iter().map(|network| network["name"].as_str().unwrap()).collect();
    assert_eq!(names, presets::names().collect());
    for network in networks {
        let text = network["toml"].as_str().unwrap();
        // What is offered can be sent back as it is.
        let checked = server.post("/networks/check", text).await.ok();
        for key in ["name", "input", "parameters", "multiply_adds"] {
            assert_eq!(checked[key], network[key], "{key}");
        }
        assert!(network["about"].as_str().unwrap().len() > 20);
    }
    server.stop().await;
}
