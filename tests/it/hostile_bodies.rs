//! Bodies that are announced and do not come, drip, or are kept: nobody else is shut out by them.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::door::{Wire, refused};
use crate::support::{Answer, Server, TOKEN, eventually, horse};

/// Sends `begun`, then a byte now and then; gives what was answered when the connection has ended.
async fn drip(address: SocketAddr, begun: Vec<u8>) -> String {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    writer.write_all(&begun).await.unwrap();
    let dripping = tokio::spawn(async move {
        while writer.write_all(b"-").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    let read = async {
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            text.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), read).await.expect("the server keeps the connection");
    dripping.abort();
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_drip_are_cut_and_shut_nobody_out() {
    let server = Server::with(|config| config.server.header_timeout = Duration::from_secs(2)).await;
    let head = |path: &str, length: &str, more: &str| format!("POST {path} HTTP/1.1\r\nhost: t\r\n{length}\r\n{more}\r\n");
    let (most, bearer) = ("content-length: 16777216", format!("authorization: Bearer {TOKEN}\r\n"));
    let form = "content-type: multipart/form-data; boundary=b\r\n";
    let field = "--b\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\n";
    // At first they send something, as does who is not to be found out by a mean over all of it.
    let first = "-".repeat(100_000);
    let mut begun = vec![
        head("/admin/train", "content-length: 900000", &bearer) + "{\"arch\": \"",
        head("/classify", "transfer-encoding: chunked", "") + "1000000\r\n" + &first,
        head("/classify", most, form),
        head("/classify", most, form) + field + &first,
    ];
    begun.resize(20, head("/classify", most, "") + &first);
    let mut dripping = JoinSet::new();
    for begun in begun {
        dripping.spawn(drip(server.address, begun.into_bytes()));
    }
    for _ in 0..15 {
        server.post("/classify", horse()).await.ok();
        let both = Form::new().part("image", Part::bytes(horse())).part("image", Part::bytes(horse()));
        Answer::of(server.request(Method::POST, "/classify").multipart(both)).await.ok();
        // Far more than is free.
        let large = [horse(), vec![0; 1 << 20]].concat();
        assert_ne!(server.post("/classify", large).await.status, StatusCode::TOO_MANY_REQUESTS);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for answer in dripping.join_all().await {
        let sentence = refused(&answer, 408, "request_timeout");
        assert!(sentence.contains("without pauses"), "{sentence}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_charged_by_what_came_and_given_back_by_whom_gets_no_more() {
    const LARGEST: usize = 1 << 20;
    let server = Server::with(|config| config.limits.body_bytes = LARGEST).await;
    // All but the end of the largest body, of which there is memory for 16.
    let head = format!("POST /classify HTTP/1.1\r\nhost: t\r\ncontent-length: {LARGEST}\r\n\r\n");
    let mut held = Vec::new();
    for _ in 0..24 {
        let mut wire = Wire::to(&server).await;
        wire.send(head.as_bytes()).await;
        wire.send(&vec![7; LARGEST - 1]).await;
        held.push(wire);
    }
    let large = || [horse(), vec![0; LARGEST / 2]].concat();
    let refusal = eventually("memory that is all in use", async || {
        let answer = server.post("/classify", large()).await;
        (answer.status == 429).then_some(answer)
    })
    .await;
    refusal.refused(429, "queue_full");
    refusal.says_when();
    // What is small is not refused for it.
    server.post("/classify", horse()).await.ok();
    // Some of them were refused; the others are read to their end.
    let mut codes = Vec::new();
    for mut wire in held {
        wire.send(&[7]).await;
        codes.push(wire.answer().await.split_whitespace().nth(1).unwrap().to_owned());
    }
    let refused = codes.iter().filter(|code| *code == "429").count();
    let read = codes.iter().filter(|code| *code == "415").count();
    assert!(refused >= 4 && read >= 15 && refused + read == 24, "{codes:?}");
    eventually("memory", async || (server.post("/classify", large()).await.status != 429).then_some(())).await;
    server.stop().await;
}
