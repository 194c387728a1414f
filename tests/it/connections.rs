//! More connections than there may be: health is answered, and nobody is left without an answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::door::{Wire, refused};
use crate::program::{Program, peak};
use crate::support::{HalfSent, Server, complete, eventually, horse};

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n").into_bytes()
}

async fn asked(server: &Server, request: &[u8]) -> (Wire, String) {
    let mut wire = Wire::to(server).await;
    wire.send(request).await;
    let answer = wire.answer().await;
    (wire, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_cap_health_is_answered_and_everything_else_refused() {
    let server = Server::with(|config| config.server.max_connections = 2).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(HalfSent::begin(&server, "/classify", "connection: close\r\n", &horse()).await);
    }
    for _ in 0..40 {
        for path in ["/health/live", "/health/ready"] {
            let (_, answer) = asked(&server, &get(path)).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
        }
        let (mut wire, answer) = asked(&server, &get("/models")).await;
        let sentence = refused(&answer, 429, "queue_full");
        assert!(sentence.contains("connections") && answer.contains("retry-after: ") && answer.contains("connection: close"));
        wire.closed().await;
    }
    // Nor do others keep health out who connect and say nothing.
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(Wire::to(&server).await);
    }
    assert!(asked(&server, &get("/health/live")).await.1.starts_with("HTTP/1.1 200"));
    for held in held {
        assert!(held.finish().await.starts_with("HTTP/1.1 200"));
    }
    eventually("a free place", async || asked(&server, &get("/models")).await.1.starts_with("HTTP/1.1 200").then_some(())).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_waits_for_a_request_makes_room() {
    let server = Server::with(|config| config.server.max_connections = 2).await;
    let (mut idle, _) = asked(&server, &get("/models")).await;
    let mut slow = Wire::to(&server).await;
    slow.send(b"GET /models HTTP/1.1\r\nhos").await;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        // The one before has just been asked, and stays.
        let (mut wire, answer) = asked(&server, &get("/models")).await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"), "{answer}");
        wire.send(&get("/models")).await;
        assert!(wire.answer().await.starts_with("HTTP/1.1 200"));
    }
    idle.closed().await;
    refused(&slow.answer().await, 408, "request_timeout");
    server.stop().await;
}

/// Asks over and over on one connection, and on another when that is closed; counts the answers by status.
async fn asks(address: String, until: Instant) -> BTreeMap<String, usize> {
    let image = horse();
    let head = format!("POST /classify HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n", image.len());
    let request = [head.as_bytes(), &image].concat();
    let mut counts = BTreeMap::new();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    while Instant::now() < until {
        stream.write_all(&request).await.expect("the server takes the request");
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        while !complete(&text) {
            match stream.read(&mut buffer).await.expect("an answer, not a broken connection") {
                0 => panic!("no whole answer: {}", String::from_utf8_lossy(&text)),
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
        let text = String::from_utf8(text).unwrap();
        *counts.entry(text[9..12].to_owned()).or_default() += 1;
        if text.contains("connection: close") {
            stream = TcpStream::connect(&address).await.unwrap();
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn a_crowd_is_answered_or_told_when_to_come_back() {
    // More callers than connections, and far more than places.
    let settings = [("CONVSCOPE_SERVER__MAX_CONNECTIONS", "280"), ("CONVSCOPE_LIMITS__QUEUE_IMAGES", "64")];
    let program = Program::start(&settings);
    let before = peak(program.child.id());
    let until = Instant::now() + Duration::from_secs(3);
    let mut crowd = JoinSet::new();
    for _ in 0..300 {
        crowd.spawn(asks(program.address.clone(), until));
    }
    let mut all = BTreeMap::<String, usize>::new();
    for counts in crowd.join_all().await {
        for (status, count) in counts {
            *all.entry(status).or_default() += count;
        }
    }
    assert!(all.keys().all(|status| status == "200" || status == "429") && all["200"] > 0 && all["429"] > 0, "{all:?}");
    let more = peak(program.child.id()) - before;
    assert!(more < 150, "{more} MiB more for 300 connections");
    program.stop().await;
}
