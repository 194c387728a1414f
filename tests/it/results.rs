//! What a run's last evaluation leaves to look into: figures by epoch, confusion, mistakes and their pictures.

use std::path::Path;

use convscope::dataset;
use reqwest::Method;
use serde_json::{Value, json};

use crate::admin::{events, run};
use crate::support::{Answer, Server};

/// Trains to the end and gives the run's id and its last epoch's data.
async fn trained(server: &Server, epochs: u32) -> (String, Value) {
    let started = server.admin(Method::POST, "/admin/train", Some(run(epochs))).await.json();
    let id = started["job"]["id"].as_str().unwrap().to_owned();
    let all = events(&server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), None).await);
    let last = all.iter().rev().find(|(_, name, _)| name == "epoch").unwrap().2.clone();
    (id, last)
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_epochs_evaluation_is_there_to_look_into() {
    let server = Server::start().await;
    let (id, last) = trained(&server, 2).await;
    let path = format!("/admin/jobs/{id}/results");
    let results = server.admin(Method::GET, &path, None).await.ok();
    assert_eq!((&results["job"], &results["model"]), (&json!(id), &json!(format!("run-{id}"))));
    let epochs = results["epochs"].as_array().unwrap();
    assert_eq!(epochs.iter().map(|row| row["epoch"].clone()).collect::<Vec<_>>(), [1, 2]);
    for (key, value) in last.as_object().unwrap() {
        assert_eq!(&epochs[1][key], value, "{key}");
    }
    assert_eq!(epochs[1]["train_images"], 320);
    for which in ["train", "test"] {
        let (share, interval) = (&epochs[1][format!("{which}_accuracy")], &epochs[1][format!("{which}_interval95")]);
        let [low, high] = [0, 1].map(|bound| interval[bound].as_f64().unwrap());
        assert!(low < share.as_f64().unwrap() && share.as_f64().unwrap() < high, "{which}: {interval}");
    }

    // The steps that were told of, in order, with learning rate and gradient norm.
    let told = events(&server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), None).await);
    let told: Vec<Value> = told.into_iter().filter(|(_, name, _)| name == "step").map(|(.., data)| data).collect();
    assert_eq!(results["steps"], json!(told));
    assert!(!told.is_empty() && told.iter().all(|step| step["gradient_norm"].as_f64().unwrap() > 0.0), "{told:?}");
    assert!(told.iter().all(|step| step["learning_rate"].as_f64().unwrap() > 0.0));
    let table = server.admin(Method::GET, &format!("{path}?format=csv&rows=steps"), None).await;
    assert_eq!(table.header("content-type"), Some("text/csv; charset=utf-8"));
    let table = String::from_utf8(table.body).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), told.len() + 1);
    for (row, step) in rows[1..].iter().zip(&told) {
        for (name, cell) in rows[0].iter().zip(row) {
            assert_eq!(cell.parse::<f64>().unwrap(), step[name].as_f64().unwrap(), "{name}");
        }
    }
    let lines = server.admin(Method::GET, &format!("{path}?format=ndjson&rows=steps"), None).await;
    let lines: Vec<Value> = lines.body.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(lines, told);
    server.admin(Method::GET, &format!("{path}?rows=images"), None).await.refused(400, "bad_query");

    // Every test image is in the confusion once, and the diagonal is the accuracy that the epoch said.
    let confusion = server.get(&format!("/confusion?model=run-{id}")).await.ok();
    assert_eq!(confusion["model"], json!({"name": format!("run-{id}"), "version": 2}));
    assert_eq!((&confusion["images"], &confusion["confusion"]), (&json!(200), &results["last"]["confusion"]));
    let cell = |row: usize, column: usize| number(&confusion["confusion"][row][column]);
    let right: usize = (0..10).map(|class| cell(class, class)).sum();
    assert_eq!(right as f64 / 200.0, last["test_accuracy"].as_f64().unwrap());
    assert_eq!(number(&confusion["per_class"][3]["correct"]), cell(3, 3));
    assert_eq!(number(&results["last"]["mistakes"]), 200 - right);
    let bins = results["last"]["calibration"]["bins"].as_array().unwrap();
    assert_eq!((bins.len(), bins.iter().map(|bin| number(&bin["images"])).sum::<usize>()), (15, 200));

    // Mistakes are what the confusion has beside its diagonal, cell by cell.
    let mistakes = server.get(&format!("/mistakes?model=run-{id}&version=2&limit=10000")).await.ok();
    let listed = mistakes["mistakes"].as_array().unwrap();
    assert_eq!((number(&mistakes["count"]), listed.len(), &mistakes["complete"]), (200 - right, 200 - right, &json!(true)));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin");
    let images = dataset::open(&data, 7).unwrap();
    for mistake in listed {
        let class = |name: &Value| images.classes.iter().position(|class| name == class).unwrap();
        let label = images.test.label(number(&mistake["index"])) as usize;
        assert!(class(&mistake["true"]) == label && class(&mistake["said"]) != label, "{mistake}");
        assert_eq!((&mistake["top"][0]["label"], mistake["top"].as_array().unwrap().len()), (&mistake["said"], 3));
    }
    let first = &listed[0];
    let words = |key: &str| first[key].as_str().unwrap().to_owned();
    let (truth, said) = (words("true"), words("said"));
    let one = server.get(&format!("/mistakes?model=run-{id}&true={truth}&said={said}&limit=1")).await.ok();
    let of = |name: &str| images.classes.iter().position(|class| class == name).unwrap();
    assert_eq!((number(&one["count"]), &one["mistakes"]), (cell(of(&truth), of(&said)), &json!([first])));

    // The link leads to the image itself, as the network saw it.
    let picture = server.get(&words("image")).await;
    assert_eq!((picture.status.as_u16(), picture.header("content-type")), (200, Some("image/png")));
    let decoded = image::load_from_memory(&picture.body).unwrap().to_rgb8().into_raw();
    assert_eq!(decoded, images.test.pixels(number(&first["index"])));
    let proxied = server.request(Method::GET, &format!("/mistakes?model=run-{id}&limit=1")).header("x-forwarded-prefix", "/cnn");
    let link = Answer::of(proxied).await.ok()["mistakes"][0]["image"].clone();
    assert_eq!(link, json!(format!("/cnn{}", words("image"))));
    // A test set is its owner's: only what was mistaken is shown.
    let taken: Vec<usize> = listed.iter().map(|mistake| number(&mistake["index"])).collect();
    let other = (0..200).find(|index| !taken.contains(index)).map_or_else(|| "200".to_owned(), |index| index.to_string());
    for index in [other.as_str(), "200", "-1", "x"] {
        let sentence = server.get(&format!("/mistakes/{index}?model=run-{id}")).await.refused(404, "no_results");
        assert!(sentence.contains("none of its mistakes"), "{sentence}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_are_a_table_and_lines_as_well_and_go_with_the_run() {
    let server = Server::start().await;
    let (id, last) = trained(&server, 2).await;
    let path = format!("/admin/jobs/{id}/results");
    let csv = server.admin(Method::GET, &format!("{path}?format=csv"), None).await;
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let csv = String::from_utf8(csv.body).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert!(rows.len() == 3 && rows.iter().all(|row| row.len() == rows[0].len()), "{csv}");
    for (key, value) in last.as_object().unwrap() {
        let column = rows[0].iter().position(|name| name == key).unwrap_or_else(|| panic!("no column `{key}`"));
        assert_eq!(rows[2][column].parse::<f64>().unwrap(), value.as_f64().unwrap(), "{key}");
    }
    let lines = server.admin(Method::GET, &format!("{path}?format=ndjson"), None).await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = lines
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines, server.admin(Method::GET, &path, None).await.ok()["epochs"].as_array().unwrap().clone());
    server.admin(Method::GET, &format!("{path}?format=xml"), None).await.refused(400, "bad_query");
    Answer::of(server.request(Method::GET, &path)).await.refused(401, "unauthorized");

    let files = server.data_dir().join("runs").join(&id);
    assert!(files.join("results.json").is_file() && files.join("test-images.bin").is_file());
    server.admin(Method::DELETE, &format!("/admin/jobs/{id}"), None).await;
    assert!(!files.exists());
    server.admin(Method::GET, &path, None).await.refused(404, "unknown_job");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_results_says_what_to_do() {
    let server = Server::start().await;
    let (id, _) = trained(&server, 2).await;
    for path in ["/confusion", "/mistakes", "/mistakes/0"] {
        let sentence = server.get(path).await.refused(404, "no_results");
        assert!(sentence.contains("convscope eval --model"), "{sentence}");
        server.get(&format!("{path}?model=nobody")).await.refused(404, "unknown_model");
        server.get(&format!("{path}?modl=tutorial")).await.refused(400, "bad_query");
        let sentence = server.get(&format!("{path}?model=run-{id}&version=1")).await.refused(404, "no_results");
        assert!(sentence.contains("version 2"), "{sentence}");
    }
    let sentence = server.get(&format!("/mistakes?model=run-{id}&true=catt")).await.refused(400, "bad_query");
    assert!(sentence.contains("Did you mean `cat`?"), "{sentence}");
    server.get(&format!("/mistakes?model=run-{id}&limit=0")).await.refused(400, "bad_query");
    // A run that was stopped before its first epoch was over has no figures, and says so.
    let started = server.admin(Method::POST, "/admin/train", Some(run(100_000))).await.json();
    let other = started["job"]["id"].as_str().unwrap();
    server.admin(Method::POST, &format!("/admin/jobs/{other}/cancel"), None).await.ok();
    // Its events end when it has.
    server.admin(Method::GET, &format!("/admin/jobs/{other}/events"), None).await;
    let answer = server.admin(Method::GET, &format!("/admin/jobs/{other}/results"), None).await.ok();
    assert_eq!(answer["last"].is_null(), answer["epochs"].as_array().unwrap().is_empty());
    server.stop().await;
}
