//! Networks of one's own: checked over the wire as they are typed, refused with everything that is wrong, and trained.

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::convscope_in;
use crate::dataset::official;
use crate::support::{Server, eventually};

/// Three faults, and layers that follow from them and are no faults.
const WRONG: &str = "name = 'mine'
input = { channels = 3, height = 32, width = 32 }
[[layers]]
name = 'conv1'
kind = 'conv2d'
out_channels = 16
kernal_size = 3
[[layers]]
name = 'bn1'
kind = 'batch_norm2d'
[[layers]]
name = 'pool1'
kind = 'max_pool2d'
kernel_size = 16
from = 'input'
[[layers]]
name = 'conv3'
kind = 'conv2d'
out_channels = 8
kernel_size = 5
[[layers]]
name = 'act3'
kind = 'relu'
[[layers]]
name = 'flat'
kind = 'flatten'
from = 'pool1'
[[layers]]
name = 'fc3'
kind = 'linear'
in_features = 8192
out_features = 10
";

const FAULTS: [(&str, u64, &str); 3] = [
    ("conv1", 0, "there is no argument `kernal_size`; did you mean `kernel_size`?"),
    ("conv3", 3, "cannot take 3×2×2 from `pool1`: its 5×5 window does not fit 2×2 planes with padding 0"),
    ("fc3", 6, "`in_features` is 8192, and the layer needs 12 = 3·2·2 inputs; it follows from the layer before, leave it out"),
];

fn wrong() -> Value {
    serde_json::to_value(WRONG.parse::<toml::Table>().unwrap()).unwrap()
}

/// A shortcut that is a projection, typed by hand.
fn projection() -> Value {
    json!({"name": "mine", "input": {"channels": 3, "height": 32, "width": 32}, "layers": [
        {"name": "conv1", "kind": "conv2d", "out_channels": 8, "kernel_size": 3, "stride": 2, "padding": 1},
        {"name": "conv2", "kind": "conv2d", "out_channels": 16, "kernel_size": 3, "stride": 2, "padding": 1},
        {"name": "short", "kind": "conv2d", "out_channels": 16, "kernel_size": 1, "stride": 2, "from": "conv1"},
        {"name": "sum", "kind": "add", "from": "conv2"},
        {"name": "act2", "kind": "relu"},
        {"name": "mean", "kind": "adaptive_avg_pool2d", "output_size": 1},
        {"name": "flat", "kind": "flatten"},
        {"name": "fc", "kind": "linear", "out_features": 10},
    ]})
}

fn told(faults: &Value) -> Vec<(String, u64, String)> {
    let text = |fault: &Value, key: &str| fault[key].as_str().unwrap().to_owned();
    let one = |fault: &Value| (text(fault, "layer"), fault["index"].as_u64().unwrap(), text(fault, "error"));
    faults.as_array().unwrap().iter().map(one).collect()
}

fn expected() -> Vec<(String, u64, String)> {
    FAULTS.iter().map(|(layer, index, error)| ((*layer).to_owned(), *index, (*error).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_are_told_at_once_wherever_a_network_is_asked_for() {
    let server = Server::start().await;
    let by_toml = server.post("/networks/check", WRONG).await;
    by_toml.refused(422, "unprocessable");
    assert_eq!(told(&by_toml.json()["faults"]), expected());
    let lines: Vec<u64> =
        by_toml.json()["faults"].as_array().unwrap().iter().map(|fault| fault["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [7, 16, 31]);
    for body in [wrong(), json!({"arch": wrong(), "batch_size": 3}), json!({"arch": WRONG})] {
        let answer = server.post("/networks/check", body.to_string()).await;
        answer.refused(422, "unprocessable");
        assert_eq!(told(&answer.json()["faults"]), expected());
    }
    let body = json!({"arch": wrong(), "data": official()});
    let answer = server.admin(Method::POST, "/admin/train", Some(body)).await;
    let sentence = answer.refused(422, "unprocessable");
    assert_eq!(told(&answer.json()["faults"]), expected());
    assert!(sentence.starts_with("the network cannot be used, for 3 faults:"), "{sentence}");
    server.stop().await;

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.toml"), WRONG).unwrap();
    let data = official();
    let arguments = ["train", "--arch", "mine.toml", "--data", data.to_str().unwrap(), "--out", "x.safetensors"];
    let said = convscope_in(folder.path(), &[], &arguments).failed(1);
    for (line, (layer, _, error)) in [7, 16, 31].into_iter().zip(FAULTS) {
        assert!(said.contains(&format!("line {line}: layer `{layer}`")) && said.contains(error), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_network_would_cost_is_told_without_a_token() {
    let server = Server::start().await;
    let mut body = projection();
    body["batch_size"] = 32.into();
    let answer = server.post("/networks/check", body.to_string()).await.ok();
    assert_eq!((&answer["name"], &answer["batch_size"], &answer["classes"]), (&json!("mine"), &json!(32), &json!(10)));
    let sum = &answer["layers"][3];
    assert_eq!((&sum["inputs"], &sum["output"], &sum["kind"]), (&json!(["short", "conv2"]), &json!([16, 8, 8]), &json!("add")));
    // 3·8·9 + 8, 8·16·9 + 16, 8·16 + 16, 16·10 + 10; and each filter at every place.
    assert_eq!(answer["parameters"], 224 + 1168 + 144 + 170);
    assert_eq!(answer["multiply_adds"], 216 * 256 + 1152 * 64 + 128 * 64 + 160);
    let bytes = |answer: &Value, key: &str| answer["memory"][key].as_u64().unwrap();
    assert_eq!(bytes(&answer, "parameters_bytes"), 4 * (224 + 1168 + 144 + 170));
    let more = server.post("/networks/check", json!({"arch": projection(), "batch_size": 256}).to_string()).await.ok();
    for key in ["forward_bytes", "training_bytes"] {
        assert!(bytes(&more, key) > bytes(&answer, key), "{key}: {more}");
    }
    // Nobody has trained here: what it rests on is a measurement, which scales with the images.
    let epoch = &answer["epoch"];
    assert!(epoch["from"].as_str().unwrap().contains("timed on this machine") && epoch["images"] == 50_000, "{epoch}");
    let seconds = |answer: &Value| answer["epoch"]["seconds"].as_f64().unwrap();
    let twice = server.post("/networks/check", json!({"arch": projection(), "images": 100_000}).to_string()).await.ok();
    assert!((seconds(&twice) / seconds(&answer) - 2.0).abs() < 1e-6 && seconds(&answer) > 0.0);

    for (body, expected) in [
        (json!({"arch": "lenet"}), "no network `lenet`. Did you mean `lenet5`?"),
        (json!({"arch": "lenet5", "batchsize": 3}), "no key `batchsize`. Did you mean `batch_size`?"),
        (json!({"arch": "lenet5", "batch_size": 0}), "`batch_size` is 0: it must be from 1 to 65536"),
        (json!({"arch": "lenet5", "batch_size": "many"}), "`batch_size` must be a whole number, not \"many\""),
        (json!({"arch": 3}), "a network is a table"),
    ] {
        let sentence = server.post("/networks/check", body.to_string()).await.refused(422, "unprocessable");
        assert!(sentence.contains(expected), "{sentence}");
    }
    assert_eq!(server.post("/networks/check", json!({"arch": "lenet5"}).to_string()).await.ok()["name"], "lenet5");
    server.post("/networks/check", "{").await.refused(400, "bad_request");
    server.post("/networks/check", vec![b' '; 2 << 20]).await.refused(413, "body_too_large");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_typed_by_hand_is_trained_and_its_speed_is_known_then() {
    let server = Server::start().await;
    let body = json!({"arch": projection(), "data": official(), "epochs": 1, "batch_size": 32});
    let job = server.admin(Method::POST, "/admin/train", Some(body)).await.json();
    let id = job["job"]["id"].as_str().unwrap().to_owned();
    let done = eventually("the run", async || {
        let job = server.admin(Method::GET, &format!("/admin/jobs/{id}"), None).await.ok();
        (job["job"]["state"] != "running" && job["job"]["state"] != "queued").then_some(job)
    })
    .await;
    assert_eq!(done["job"]["state"], "done", "{done}");
    let own = server.post("/networks/check", projection().to_string()).await.ok();
    assert_eq!(own["epoch"]["images_per_second"], done["job"]["last"]["images_per_second"]);
    assert_eq!(own["epoch"]["from"], format!("the run {id} of this network here"));
    let other = server.post("/networks/check", json!({"arch": "lenet5"}).to_string()).await.ok();
    assert_eq!(other["epoch"]["from"], format!("the run {id} of `mine` here, by multiply-adds"));
    server.stop().await;
}
