//! Standard error that cannot be written: it costs lines of the log, never a request.
#![cfg(target_os = "linux")]

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use reqwest::Client;

use crate::program::command;
use crate::support::{eventually, horse};

/// A server that is ended whatever becomes of its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free now.
fn free() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Asks `count` times and wants every answer, on connections that stay and on new ones; failures of ours are logged too.
async fn answers(address: &str, count: usize) {
    let staying = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let once = Client::builder().timeout(Duration::from_secs(30)).pool_max_idle_per_host(0).build().unwrap();
    for i in 0..count {
        let client = if i % 2 == 0 { &staying } else { &once };
        let answer = client.get(format!("http://{address}/samples")).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let answer = once.post(format!("http://{address}/classify")).body(horse()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

async fn ready(address: &str) {
    let client = Client::new();
    eventually("an answer", async || {
        let answer = client.get(format!("http://{address}/health/ready")).send().await;
        answer.ok().filter(|answer| answer.status() == 200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_standard_error_costs_no_request() {
    for format in ["pretty", "json"] {
        let (folder, address) = (tempfile::tempdir().unwrap(), free());
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = command(folder.path(), &address, &[("CONVSCOPE_LOG__FORMAT", format), ("CONVSCOPE_LOG__LEVEL", "debug")]);
        let _running = Running(command.stderr(full).spawn().unwrap());
        ready(&address).await;
        answers(&address, 20).await;
    }
}

/// A server whose standard error was read up to the line that says where it listens.
fn heard(folder: &std::path::Path) -> (Running, BufReader<std::process::ChildStderr>, String) {
    let mut child = command(folder, "127.0.0.1:0", &[]).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let running = Running(child);
    let mut line = String::new();
    while !line.starts_with("listening on http://") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the program ended before it listened");
    }
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    (running, reader, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_standard_error_that_left_costs_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, reader, address) = heard(folder.path());
    drop(reader);
    answers(&address, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_standard_error_that_does_not_read_costs_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let (_running, mut reader, address) = heard(folder.path());
    // More than the 64 KiB that a pipe holds.
    answers(&address, 1000).await;
    // Once it reads again, there are lines again.
    let mut line = String::new();
    assert!(reader.read_line(&mut line).unwrap() > 0);
}
