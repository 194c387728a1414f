//! How a server ends: what was sent is answered, who asks for it hears of it first, and nobody delays it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::door::{Wire, refused};
use crate::program::Program;
use crate::support::{HalfSent, Server, complete, eventually, horse};

const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: t\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn stopping_answers_what_was_begun_and_refuses_what_is_new() {
    let mut server = Server::start().await;
    server.post("/classify", horse()).await.ok();
    let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
    // A request that was sent, one that has begun, and none.
    let mut idle = Wire::to(&server).await;
    idle.send(LIVE).await;
    idle.answer().await;
    let mut late = Vec::new();
    for line in ["POST /classify", "GET /health/ready", "GET /health/live"] {
        let mut wire = Wire::to(&server).await;
        wire.send(format!("{line} HTTP/1.1\r\nhost: t\r\n").as_bytes()).await;
        late.push(wire);
    }
    server.begin_to_stop();
    idle.closed().await;
    assert!(TcpStream::connect(server.address).await.is_err(), "it still takes connections");
    for (mut wire, stopping) in late.into_iter().zip([true, true, false]) {
        wire.send(b"\r\n").await;
        let answer = wire.answer().await;
        if stopping {
            refused(&answer, 503, "stopping");
            assert!(answer.contains("retry-after: ") && answer.contains("retry-after-ms: "), "{answer}");
        } else {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        assert!(answer.contains("connection: close"), "{answer}");
    }
    let answer = held.finish().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    server.stop().await;
}

/// Asks over and over, on one connection as long as it is kept, until there is no server. Counts the answers by status; a
/// connection that ends without one is `broken`.
async fn asks(address: String) -> BTreeMap<String, usize> {
    let image = horse();
    let head = format!("POST /classify HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n", image.len());
    let request = [head.as_bytes(), &image].concat();
    let mut counts = BTreeMap::new();
    while let Ok(mut stream) = TcpStream::connect(&address).await {
        loop {
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            let _ = stream.write_all(&request).await;
            while !complete(&text) {
                match stream.read(&mut buffer).await {
                    Ok(count @ 1..) => text.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let text = if complete(&text) { String::from_utf8(text).unwrap() } else { "HTTP/1.1 broken connection: close".into() };
            *counts.entry(text[9..].split(' ').next().unwrap().to_owned()).or_default() += 1;
            if text.contains("connection: close") {
                break;
            }
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_ask_on_and_on_meet_no_broken_line() {
    for (grace, signal) in [("1", "-TERM"), ("0", "-TERM"), ("3600", "-INT")] {
        let mut program = Program::start(&[("CONVSCOPE_SERVER__GRACE_SECONDS", grace)]);
        let mut asking = JoinSet::new();
        for _ in 0..16 {
            asking.spawn(asks(program.address.clone()));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        program.signal(signal);
        let mut all = BTreeMap::<String, usize>::new();
        for counts in asking.join_all().await {
            for (status, count) in counts {
                *all.entry(status).or_default() += count;
            }
        }
        assert!(program.end().await.success());
        // In the microsecond between the last look at the system's queue and its end, a connection can be made that meets nobody.
        let broken = all.remove("broken").unwrap_or(0);
        assert!(broken <= 1, "{broken} broken lines beside {all:?}");
        // On a machine that is busy with other things it may learn of what was sent before only after the last call.
        let late = all.remove("503").unwrap_or(0);
        assert!(late <= 16 && all.keys().eq(["200"]), "{signal} with a grace of {grace} s: {late} late ones beside {all:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_its_grace_it_is_not_ready_and_answers() {
    let mut program = Program::start(&[("CONVSCOPE_SERVER__GRACE_SECONDS", "3600")]);
    program.signal("-TERM");
    let client = Client::new();
    let unready = eventually("that it is not ready", async || {
        let answer = client.get(program.url("/health/ready")).send().await.unwrap();
        (answer.status() == 503).then_some(answer)
    })
    .await;
    assert!(unready.headers().contains_key("retry-after"));
    for _ in 0..3 {
        let answer = client.post(program.url("/classify")).body(horse()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["connection"], "close");
    }
    assert_eq!(client.get(program.url("/health/live")).send().await.unwrap().status(), 200);
    program.signal("-TERM");
    assert_eq!(program.end().await.code(), Some(130), "a second signal does not wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_who_drips_nor_who_reads_nothing_delays_the_exit() {
    let hour = "3600";
    let mut program = Program::start(&[
        ("CONVSCOPE_SERVER__DRAIN_SECONDS", hour),
        ("CONVSCOPE_SERVER__HEADER_TIMEOUT_SECONDS", hour),
        ("CONVSCOPE_SERVER__REQUEST_TIMEOUT_SECONDS", hour),
        ("CONVSCOPE_SERVER__WRITE_TIMEOUT_SECONDS", hour),
        ("CONVSCOPE_SERVER__KEEP_ALIVE_SECONDS", hour),
    ]);
    let connect = async || TcpStream::connect(&program.address).await.unwrap();
    let (silent, mut unread) = (connect().await, connect().await);
    unread.write_all(b"GET /layers/fc3/weights?format=f32 HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
    unread.read_exact(&mut [0; 15]).await.unwrap();
    // An upload that is taken, and one that is refused and read on.
    for path in ["/classify", "/nothing"] {
        let mut dripping = connect().await;
        dripping
            .write_all(format!("POST {path} HTTP/1.1\r\nhost: t\r\ncontent-length: 16000000\r\n\r\n").as_bytes())
            .await
            .unwrap();
        tokio::spawn(async move {
            while dripping.write_all(b"-").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    program.signal("-TERM");
    assert!(program.end().await.success());
    assert!(!program.said().contains("given up"), "{}", program.said());
    drop((silent, unread));
}
