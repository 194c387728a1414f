//! Models and runs as their keeper meets them: activated, copied, removed, named, thinned.

use std::collections::BTreeSet;
use std::path::Path;

use convscope::checkpoint;
use reqwest::Method;
use serde_json::{Value, json};

use crate::admin::{events, run};
use crate::support::{Server, eventually, horse, of};
use crate::training::small;

fn put(folder: &Path, name: &str, seed: u64) {
    checkpoint::save(&folder.join(format!("{name}.safetensors")), &of(small(), seed)).unwrap();
}

async fn activate(server: &Server, name: &str, body: Value) -> Value {
    server.admin(Method::POST, &format!("/admin/models/{name}/activate"), Some(body)).await.ok()["model"].clone()
}

/// What `/models` says of the model called `name`.
async fn listed(server: &Server, name: &str) -> Value {
    let all = server.get("/models").await.ok();
    all["models"].as_array().unwrap().iter().find(|model| model["name"] == name).cloned().unwrap_or_default()
}

async fn version(server: &Server, name: &str) -> Value {
    server.post(&format!("/classify?model={name}"), horse()).await.ok()["model"]["version"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_activated_and_stays_so_over_a_restart_and_only_others_are_removed() {
    let server = Server::with(|config| (1..=3).for_each(|n| put(&config.data_dir.join("models"), &format!("m/{n}"), n))).await;
    assert_eq!(version(&server, "m").await, 3);
    let before = listed(&server, "m").await;
    assert_eq!(
        (&before["active_because"], &before["activated"], &before["fit"]),
        (&json!("highest"), &Value::Null, &json!("crop"))
    );
    assert_eq!(before["preprocessing"]["mean"], json!([0.0, 0.0, 0.0]));
    let told = activate(&server, "m", json!({"version": 1})).await;
    assert_eq!(
        (&told["active"], &told["active_because"], &told["activated"]["version"]),
        (&json!(1), &json!("activated"), &json!(1))
    );
    assert_eq!(version(&server, "m").await, 1);
    let sentence = server.admin(Method::DELETE, "/admin/models/m/versions/1", None).await.refused(409, "conflict");
    assert!(sentence.contains("activate another one first"), "{sentence}");
    assert_eq!(server.admin(Method::DELETE, "/admin/models/m/versions/3", None).await.status.as_u16(), 204);
    server.admin(Method::DELETE, "/admin/models/m/versions/3", None).await.refused(404, "unknown_model");
    let sentence = server.admin(Method::DELETE, "/admin/models/tutorial/versions/1", None).await.refused(409, "conflict");
    assert!(sentence.contains("`tutorial`"), "{sentence}");

    // The bundled model goes on being there when another has taken its place.
    assert_eq!(
        activate(&server, "tutorial", json!({"from": "m", "version": 2})).await["activated"]["from"],
        json!({"name": "m", "version": 2})
    );
    assert_eq!(version(&server, "tutorial").await, 2);
    assert_eq!(activate(&server, "tutorial", json!({"version": 1})).await["active"], 1);

    let data = server.data_dir();
    let folder = server.stop_and_keep().await;
    let server = Server::with(|config| config.data_dir = data).await;
    assert_eq!((version(&server, "m").await, version(&server, "tutorial").await), (json!(1), json!(1)));
    assert_eq!(activate(&server, "m", json!({"version": "highest"})).await["active"], 2);
    assert_eq!(listed(&server, "m").await["active_because"], "highest");

    for (body, status, code) in [
        (json!({}), 422, "unprocessable"),
        (json!({"version": 9}), 404, "unknown_model"),
        (json!({"from": "run-nothing"}), 404, "unknown_model"),
        (json!({"versio": 1}), 400, "bad_request"),
    ] {
        server.admin(Method::POST, "/admin/models/m/activate", Some(body)).await.refused(status, code);
    }
    server.admin(Method::POST, "/admin/models/run-1/activate", Some(json!({"from": "m"}))).await.refused(422, "unprocessable");
    server.admin(Method::POST, "/admin/models/..%2Fm/activate", Some(json!({"from": "m"}))).await.refused(422, "unprocessable");
    server.post("/admin/models/refresh", "").await.refused(401, "unauthorized");
    server.stop().await;
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_is_named_in_the_list_and_refused_and_what_answered_does_so_still() {
    let server = Server::with(|config| put(&config.data_dir.join("models"), "m/1", 1)).await;
    assert_eq!(version(&server, "m").await, 1);
    let models = server.data_dir().join("models");
    std::fs::write(models.join("m/2.safetensors"), "no model").unwrap();
    put(&models, "m/3", 3);
    let file = models.join("m/3.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();

    let found = server.admin(Method::POST, "/admin/models/refresh", None).await.ok();
    let faults = found["faults"].as_array().unwrap();
    let of = |version: u64| faults.iter().find(|fault| fault["version"] == version).unwrap()["error"].as_str().unwrap().to_owned();
    assert!(of(2).contains("no whole safetensors file") && of(3).contains("copy it again"), "{faults:?}");
    assert!(
        faults.iter().all(|fault| fault["model"] == "m" && !fault["error"].as_str().unwrap().contains('/')),
        "no place: {faults:?}"
    );
    assert_eq!(server.get("/models").await.ok()["faults"], found["faults"]);
    let sentence = server.admin(Method::POST, "/admin/models/m/activate", Some(json!({"version": 2}))).await;
    let sentence = sentence.refused(422, "unprocessable");
    assert!(sentence.contains("version 2 of the model `m`") && sentence.contains("still"), "{sentence}");
    assert_eq!(version(&server, "m").await, 1);
    for bad in [2, 3] {
        assert_eq!(server.admin(Method::DELETE, &format!("/admin/models/m/versions/{bad}"), None).await.status.as_u16(), 204);
    }
    assert_eq!(server.get("/models").await.ok()["faults"], json!([]));
    server.stop().await;
}

/// Starts a run, named `name`, and waits for its end. Its events' epochs.
async fn train(server: &Server, epochs: u32, name: &str) -> (String, Vec<Value>) {
    let mut body = run(epochs);
    body["name"] = json!(name);
    let started = server.admin(Method::POST, "/admin/train", Some(body)).await.json();
    assert_eq!(started["job"]["name"], name, "{started}");
    let id = started["job"]["id"].as_str().unwrap().to_owned();
    let all = events(&server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), None).await);
    (id, all.into_iter().filter(|(_, event, _)| event == "epoch").map(|(.., data)| data).collect())
}

fn epochs(data: &Path, id: &str) -> BTreeSet<u64> {
    let entries = std::fs::read_dir(data.join(format!("models/run-{id}"))).into_iter().flatten();
    entries.filter_map(|entry| entry.unwrap().path().file_stem()?.to_str()?.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_have_names_and_are_thinned_as_the_settings_say_and_never_what_is_activated() {
    let server = Server::start().await;
    let (first, records) = train(&server, 30, "wide").await;
    let accuracy = |record: &Value| record["test_accuracy"].as_f64().unwrap();
    let loss = |record: &Value| record["test_loss"].as_f64().unwrap();
    let better = |a: &&Value, b: &&Value| accuracy(a).total_cmp(&accuracy(b)).then(loss(b).total_cmp(&loss(a)));
    let best = records.iter().max_by(better).unwrap()["epoch"].as_u64().unwrap();
    let data = server.data_dir();
    let even: BTreeSet<u64> = (1..=15).map(|half| 2 * half).chain([best]).collect();
    eventually("every second epoch", async || (epochs(&data, &first) == even).then_some(())).await;
    activate(&server, &format!("run-{first}"), json!({"version": 4})).await;
    let (second, _) = train(&server, 1, "narrow").await;
    let (third, _) = train(&server, 1, "third").await;

    let rename =
        async |id: &str, name: Value| server.admin(Method::PATCH, &format!("/admin/jobs/{id}"), Some(json!({"name": name}))).await;
    assert_eq!(rename(&third, json!(" deep ")).await.ok()["job"]["name"], "deep");
    assert_eq!(rename(&second, Value::Null).await.ok()["job"]["name"], Value::Null);
    for wrong in [json!("a\nb"), json!(7)] {
        rename(&third, wrong).await.refused(422, "unprocessable");
    }
    rename("nothing", json!("x")).await.refused(404, "unknown_job");
    server.admin(Method::PATCH, &format!("/admin/jobs/{third}"), Some(json!({}))).await.refused(400, "bad_request");

    let folder = server.stop_and_keep().await;
    let server = Server::with(|config| {
        config.data_dir.clone_from(&data);
        (config.train.keep_epochs, config.train.keep_runs) = (3, Some(1));
    })
    .await;
    let few = BTreeSet::from([4, 8, 16, 24, best, 30]);
    eventually("few epochs", async || (epochs(&data, &first) == few).then_some(())).await;
    // Of the runs beyond the newest, the one whose model is activated stays.
    let names = async || {
        let jobs = server.admin(Method::GET, "/admin/jobs", None).await.ok();
        jobs["jobs"].as_array().unwrap().iter().map(|job| job["name"].clone()).collect::<Vec<_>>()
    };
    eventually("two runs", async || (names().await == [json!("wide"), json!("deep")]).then_some(())).await;
    assert!(epochs(&data, &second).is_empty() && !epochs(&data, &third).is_empty());
    assert_eq!(version(&server, &format!("run-{first}")).await, 4);
    server.stop().await;
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_no_name_s_place_is_activated_from_a_bundled_one() {
    let server = Server::start().await;
    assert_eq!(activate(&server, "mine", json!({"from": "tutorial"})).await["active"], 1);
    let (mine, bundled) = (server.post("/classify?model=mine", horse()).await.ok(), server.post("/classify", horse()).await.ok());
    assert_eq!(mine["probabilities"], bundled["probabilities"]);
    assert_eq!(listed(&server, "mine").await["versions"][0]["read_only"], false);
    assert_eq!(listed(&server, "tutorial").await["versions"][0]["read_only"], true);
    assert!(!server.data_dir().join("models/tutorial").exists());
    server.stop().await;
}

/// With a share of the training images held out a run gives its best epoch on them: so it does when it is served.
#[tokio::test(flavor = "multi_thread")]
async fn the_epoch_that_a_run_s_validation_images_choose_is_the_one_that_answers() {
    let server = Server::start().await;
    let mut body = run(60);
    // It ends two epochs after its best, so that the last is another one.
    let keys = json!({"validation_share": 0.2, "patience": 2, "learning_rate": 0.2, "schedule": "constant"});
    body.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    let started = server.admin(Method::POST, "/admin/train", Some(body)).await.json();
    let id = started["job"]["id"].as_str().unwrap().to_owned();
    let all = events(&server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), None).await);
    let data = |wanted: &str| all.iter().filter(|(_, name, _)| name == wanted).map(|(.., data)| data.clone()).collect::<Vec<_>>();
    let (epochs, done) = (data("epoch"), data("done"));
    let best = done[0]["best_epoch"].as_u64().unwrap();
    // Every epoch says which was the best by then, and the last one says what the end says.
    let figure =
        |epoch: &Value| (epoch["validation"]["accuracy"].as_f64().unwrap(), -epoch["validation"]["loss"].as_f64().unwrap());
    for (at, epoch) in epochs.iter().enumerate() {
        let told = epoch["validation"]["best_epoch"].as_u64().unwrap() as usize;
        assert!(epochs[..=at].iter().all(|other| figure(other) <= figure(&epochs[told - 1])), "{epochs:?}");
    }
    let last = epochs.len() as u64;
    assert_eq!((&epochs.last().unwrap()["validation"]["best_epoch"], last), (&json!(best), best + 2));
    let model = format!("run-{id}");
    eventually("the model", async || {
        server.admin(Method::POST, "/admin/models/refresh", None).await.ok();
        listed(&server, &model).await["versions"].as_array()?.iter().any(|known| known["version"] == last).then_some(())
    })
    .await;
    assert_eq!(version(&server, &model).await, best);
    let told = listed(&server, &model).await;
    assert_eq!(
        (&told["active"], &told["active_because"], &told["preferred"]["version"]),
        (&json!(best), &json!("preferred"), &json!(best))
    );
    let because = told["preferred"]["because"].as_str().unwrap();
    assert!(because.starts_with("the best on ") && done[0]["note"].as_str().unwrap().ends_with(because), "{because}");
    let results = server.admin(Method::GET, &format!("/admin/jobs/{id}/results"), None).await.ok();
    assert_eq!(results["preferred"], told["preferred"]);
    // It is what a copy without a version is of, what stays, and what another choice comes before.
    assert_eq!(activate(&server, "mine", json!({"from": model.as_str()})).await["activated"]["from"]["version"], best);
    server.admin(Method::DELETE, &format!("/admin/models/{model}/versions/{best}"), None).await.refused(409, "conflict");
    assert_eq!(activate(&server, &model, json!({"version": last})).await["active_because"], "activated");
    assert_eq!(version(&server, &model).await, last);
    assert_eq!(activate(&server, &model, json!({"version": "highest"})).await["active"], best);
    server.stop().await;
}
