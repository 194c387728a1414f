//! Sets sent by those who want to see it come, and sets that cannot all be read.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::packing::zip;
use super::{job, kept, pets, picture, put};
use crate::support::{Answer, Server, TOKEN};

/// As [`put`], followed line by line.
async fn put_followed(server: &Server, name: &str, archive: Vec<u8>) -> (Answer, Vec<Value>) {
    let request = server.request(Method::PUT, &format!("/admin/datasets/{name}")).bearer_auth(TOKEN);
    let answer = Answer::of(request.header("accept", "application/x-ndjson").body(archive)).await;
    let lines = answer.body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let lines = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    (answer, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_a_folder_is_told_every_stage_of_it_and_at_last_the_answer_or_the_error() {
    let server = Server::start().await;
    let archive = zip(&pets());
    let bytes = archive.len();
    let (answer, lines) = put_followed(&server, "pets", archive.clone()).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("application/x-ndjson")));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    let (last, before) = lines.split_last().unwrap();
    assert_eq!((&last["dataset"]["state"], &last["dataset"]["train_images"]), (&json!("ready"), &json!(31)));
    assert!(before.iter().all(|line| line["dataset"]["state"] == "coming" && line["dataset"]["name"] == "pets"), "{lines:?}");
    let mut stages: Vec<&str> = before.iter().map(|line| line["dataset"]["stage"].as_str().unwrap()).collect();
    stages.dedup();
    assert_eq!(stages, ["receiving", "unpacking", "looking"]);
    let unpacking = before.iter().find(|line| line["dataset"]["stage"] == "unpacking").unwrap();
    assert_eq!((&unpacking["dataset"]["received_bytes"], &unpacking["dataset"]["total_bytes"]), (&json!(bytes), &json!(bytes)));
    let looking = before.iter().find(|line| line["dataset"]["stage"] == "looking").unwrap();
    assert!(looking["dataset"]["unpacked_bytes"].as_u64().unwrap() > 0, "{looking}");
    // What is refused before anything is read has its status, and what is found later is the last line.
    put_followed(&server, "pets", archive.clone()).await.0.refused(409, "conflict");
    let (answer, lines) = put_followed(&server, "cut", archive[..bytes / 2].to_vec()).await;
    let last = lines.last().unwrap();
    assert_eq!((answer.status, &last["code"]), (StatusCode::OK, &json!("unprocessable")));
    assert!(last["error"].as_str().unwrap().contains("cut off"), "{last}");
    assert_eq!(kept(&server), ["pets"]);
    server.stop().await;
}

/// What cannot be read is named by the run that would train on it, all of it; another request leaves it out.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_images_of_a_set_that_was_sent_are_named_at_once_or_left_out_as_a_request_says() {
    let server = Server::start().await;
    let mut entries = pets();
    let cut = picture("ant", 3)[..60].to_vec();
    let faults: [(&str, &[u8]); 4] = [
        ("train/ant/cut.png", &cut),
        ("train/bee/empty.jpg", b""),
        ("train/bee/page.jpg", b"<html>no picture</html>"),
        ("val/bee/text.png", b"text"),
    ];
    entries.extend(faults.map(|(name, content)| (format!("pets/{name}"), content.to_vec())));
    assert_eq!(put(&server, "pets", zip(&entries)).await.status, StatusCode::CREATED);
    let mut body = json!({"arch": "lenet5", "data": "pets", "epochs": 1, "batch_size": 8, "fit_data": true});
    let end = async |body: &Value| {
        let started = server.admin(Method::POST, "/admin/train", Some(body.clone())).await.json();
        let id = started["job"]["id"].as_str().unwrap().to_owned();
        let answer = server.admin(Method::GET, &format!("/admin/jobs/{id}/events"), None).await;
        (job(&server, &id).await, String::from_utf8(answer.body).unwrap())
    };
    let (failed, _) = end(&body).await;
    let sentence = failed["error"].as_str().unwrap();
    assert_eq!(failed["state"], "failed");
    assert!(sentence.contains("cannot be read") && sentence.contains("`skip_unreadable` in a request"), "{sentence}");
    assert!(["cut.png", "empty.jpg", "page.jpg", "text.png"].iter().all(|name| sentence.contains(name)), "{sentence}");
    body["skip_unreadable"] = true.into();
    let (done, events) = end(&body).await;
    assert_eq!(done["state"], "done", "{done}");
    assert!(events.contains("cut.png"), "what is left out is noted: {events}");
    server.stop().await;
}
