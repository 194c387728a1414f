//! CIFAR-10 that a run asks for and that is not there: fetched as part of the run, from servers of the test's own.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use convscope::dataset;
use convscope::dataset::fetch::Source;
use convscope::training::Error;
use convscope::training::event::{DataStage, Event};
use convscope::training::fetching::fetch_missing;
use reqwest::Method;
use serde_json::json;

use crate::admin::events;
use crate::download::{Answer, Server};
use crate::support;

const FOLDER: &str = "cifar-10-batches-bin";

/// What is reported while it is fetched to `datasets`, until `stops_at` is seen.
fn fetched(
    datasets: &Path,
    source: &Source,
    stops_at: impl Fn(&DataStage) -> bool,
) -> (Result<ControlFlow<()>, Error>, Vec<DataStage>) {
    let mut stages = Vec::new();
    let result = fetch_missing(&datasets.join(FOLDER), datasets, source, &mut |event| {
        let Event::Data(stage) = event else { panic!("{event:?}") };
        let stop = stops_at(stage);
        stages.push(stage.clone());
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    (result, stages)
}

fn datasets(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("data/datasets")
}

#[test]
fn what_is_missing_is_fetched_and_told_of_and_what_is_there_is_not() {
    let (server, folder) = (Server::start(vec![]), tempfile::tempdir().unwrap());
    let datasets = datasets(&folder);
    let (result, stages) = fetched(&datasets, &server.source(), |_| false);
    assert_eq!(result.unwrap(), ControlFlow::Continue(()));
    let whole = |stage: &DataStage| matches!(stage, DataStage::Downloading { bytes, total_bytes } if *total_bytes == Some(*bytes));
    assert!(stages.iter().any(whole) && stages.contains(&DataStage::Unpacking), "{stages:?}");
    assert_eq!(dataset::open(&datasets.join(FOLDER), 0).unwrap().classes.len(), 10);
    let (result, stages) = fetched(&datasets, &server.source(), |_| false);
    assert!(result.unwrap().is_continue() && stages.is_empty());
    // A path that somebody mistyped is not made.
    let elsewhere = folder.path().join("elsewhere");
    let result = fetch_missing(&elsewhere.join(FOLDER), &datasets, &server.source(), &mut |event| panic!("{event:?}"));
    assert!(result.unwrap().is_continue() && !elsewhere.exists());
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_end_is_seen_while_nothing_comes_and_what_came_is_gone_on_with() {
    let (server, folder) = (Server::start(vec![Answer::StallAfter(1000)]), tempfile::tempdir().unwrap());
    let mut patient = server.source();
    patient.patience.stall = std::time::Duration::from_secs(3600);
    let came = |stage: &DataStage| matches!(stage, DataStage::Downloading { bytes: 1.., .. });
    let (result, _) = fetched(&datasets(&folder), &patient, came);
    assert_eq!(result.unwrap(), ControlFlow::Break(()));
    assert!(!datasets(&folder).join(FOLDER).exists());
}

#[test]
fn without_a_network_it_says_where_the_files_belong() {
    let (server, folder) = (Server::start(vec![Answer::Status("404 Not Found")]), tempfile::tempdir().unwrap());
    let sentence = fetched(&datasets(&folder), &server.source(), |_| false).0.unwrap_err().to_string();
    let place = datasets(&folder).join(FOLDER);
    for part in [&server.url, "404 Not Found", "cifar-10-binary.tar.gz", place.to_str().unwrap(), "`convscope fetch-data`"] {
        assert!(sentence.contains(part), "{part} in {sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_cifar_10_that_is_not_there_fetches_it_and_says_what_to_do_where_it_cannot() {
    let elsewhere = Server::start(vec![Answer::Status("404 Not Found")]);
    let server = support::Server::with(|config| config.train.cifar10_url.clone_from(&elsewhere.url)).await;
    let body = json!({"arch": "tutorial", "data": "cifar-10", "epochs": 1});
    let started = server.admin(Method::POST, "/admin/train", Some(body)).await;
    assert_eq!(started.status.as_u16(), 202, "{}", String::from_utf8_lossy(&started.body));
    let id = started.json()["job"]["id"].as_str().unwrap().to_owned();
    let told = events(&server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), None).await);
    assert_eq!((told[0].1.as_str(), &told[0].2["stage"]), ("data", &json!("downloading")), "{told:?}");
    let (_, last, data) = told.last().unwrap();
    let sentence = data["error"].as_str().unwrap();
    assert!(
        last == "failed" && sentence.contains(&elsewhere.url) && sentence.contains("datasets/cifar-10-batches-bin"),
        "{told:?}"
    );
    assert_eq!(elsewhere.asked().len(), 1);
    server.stop().await;
}
