//! Starting and standing: health, the page, silent connections.

use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answer, HalfSent, Server, horse};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_model_is_live_and_ready() {
    let server = Server::start().await;
    assert_eq!(server.get("/health/live").await.ok()["status"], "live");
    assert_eq!(server.get("/health/ready").await.ok()["status"], "ready");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_default_model_it_is_live_and_not_ready_and_others_answer() {
    let server = Server::with(|config| config.models.default = "elsewhere".into()).await;
    server.get("/health/live").await.ok();
    let answer = server.get("/health/ready").await;
    let sentence = answer.refused(503, "not_ready");
    assert!(sentence.contains("no model `elsewhere`") && sentence.contains("tutorial"), "{sentence}");
    answer.says_when();
    server.post("/classify?model=tutorial", horse()).await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_is_no_illness() {
    let server = Server::with(|config| config.limits.queue_images = 1).await;
    let label = server.post("/classify", horse()).await.ok()["label"].clone();
    let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
    let refusal = server.post("/classify", horse()).await;
    refusal.refused(429, "queue_full");
    refusal.says_when();
    server.get("/featuremaps/conv1?sample=horse").await.refused(429, "queue_full");
    server.get("/health/ready").await.ok();
    server.get("/layers").await.ok();
    let answer = held.finish().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&format!("\"label\":{label}")), "{answer}");
    server.post("/classify", horse()).await.ok();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_ever_for_a_body_that_never_comes() {
    let mut server = Server::with(|config| config.server.drain = Duration::from_secs(1)).await;
    server.post("/classify", horse()).await.ok();
    let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
    server.begin_to_stop();
    drop(held.answer().await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_served_and_asked_for_again_cheaply() {
    let server = Server::start().await;
    let page = server.get("/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, Some("text/html")));
    assert!(page.body.starts_with(b"<!doctype html>"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    let again = server.request(Method::GET, "/").header("if-none-match", page.header("etag").unwrap());
    assert_eq!(Answer::of(again).await.status.as_u16(), 304);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callers_plain_request_id_comes_back_and_no_other() {
    let server = Server::start().await;
    let with = async |id: &str| {
        let answer = Answer::of(server.request(Method::GET, "/health/live").header("x-request-id", id)).await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(with("trace-7.a_b").await, "trace-7.a_b");
    for odd in ["a b", "{}", &"x".repeat(65)] {
        let id = with(odd).await;
        assert!(id != odd && id.len() == 36, "{id}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_sends_no_headers_is_closed() {
    let server = Server::with(|config| config.server.header_timeout = Duration::from_secs(1)).await;
    for begun in ["", "GET /health/live HTTP/1.1\r\nhost: te"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
        assert!(read.is_ok(), "the server keeps a silent connection");
    }
    server.stop().await;
}
