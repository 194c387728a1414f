//! `/metrics`: it adds up, it is read by what reads it, and the dashboard asks only for what is there.

mod exposition;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use exposition::Exposition;
use reqwest::{Client, Method};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Answer, HalfSent, Server, eventually, horse, slow};

async fn scrape(server: &Server) -> Exposition {
    let answer = server.get("/metrics").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let metrics = Exposition::read(std::str::from_utf8(&answer.body).unwrap());
    let count = |name: &str| metrics.sum(name, &[]).unwrap_or(0.0);
    let (received, over) = (count("convscope_requests_received_total"), count("convscope_requests_total"));
    assert_eq!(received, over + count("convscope_requests_in_flight"), "what was received is over or in flight");
    metrics
}

fn requests(metrics: &Exposition, labels: &[(&str, &str)]) -> f64 {
    metrics.sum("convscope_requests_total", labels).unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_request_it_is_counted_once_and_all_adds_up() {
    let (_folder, path) = slow();
    let server = Server::with(|config| {
        config.models.dir = path;
        config.limits.queue_images = 1;
    })
    .await;
    let before = scrape(&server).await;

    server.post("/classify", horse()).await.ok();
    server.post("/classify", b"no image".to_vec()).await.refused(415, "unsupported_image");
    server.post("/classify?model=none", horse()).await.refused(404, "unknown_model");
    server.get("/nothing/here?model=made-up").await.refused(404, "not_found");
    server.get("/style.css").await;

    let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
    let meanwhile = scrape(&server).await;
    assert_eq!(meanwhile.sum("convscope_requests_in_flight", &[]), Some(2.0), "the held one, and the scrape itself");
    assert_eq!(meanwhile.sum("convscope_queue_images", &[]), Some(1.0));
    assert_eq!(meanwhile.sum("convscope_queue_places", &[]), Some(1.0));
    server.post("/classify", horse()).await.refused(429, "queue_full");
    assert!(held.finish().await.starts_with("HTTP/1.1 200"));

    let late = server.request(Method::POST, "/classify").header("x-timeout-ms", "1").body(horse());
    Answer::of(late).await.refused(504, "timed_out");
    eventually("room again", async || (scrape(&server).await.sum("convscope_queue_images", &[]) == Some(0.0)).then_some(())).await;

    // It hangs up while its image is under way; how soon, nobody knows, so it is tried until it was soon enough.
    eventually("a caller that hung up", async || {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST /classify HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n", horse().len());
        stream.write_all(&[head.into_bytes(), horse()].concat()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        drop(stream);
        (requests(&scrape(&server).await, &[("outcome", "cancelled"), ("route", "/classify")]) > 0.0).then_some(())
    })
    .await;

    let after = scrape(&server).await;
    let more = |labels: &[(&str, &str)]| requests(&after, labels) - requests(&before, labels);
    assert_eq!(more(&[("outcome", "bad_input"), ("code", "unsupported_image"), ("route", "/classify")]), 1.0);
    assert_eq!(more(&[("outcome", "bad_input"), ("code", "unknown_model")]), 1.0);
    assert_eq!(more(&[("outcome", "bad_input"), ("code", "not_found"), ("route", "(none)")]), 1.0);
    assert_eq!(more(&[("outcome", "refused"), ("code", "queue_full")]), 1.0);
    assert_eq!(more(&[("outcome", "late"), ("code", "timed_out")]), 1.0);
    assert_eq!(more(&[("outcome", "ok"), ("route", "(page)")]), 1.0);
    assert!(more(&[("outcome", "ok"), ("route", "/classify"), ("code", "")]) >= 2.0);
    assert_eq!(more(&[("outcome", "failed")]), 0.0);
    // Nothing that a caller made up is a label.
    for metric in ["convscope_request_duration_seconds_count", "convscope_queue_duration_seconds_count"] {
        let models = after.values(metric, "model");
        assert!(models.iter().all(|model| ["", "tutorial"].contains(model)), "{models:?}");
    }
    // A whole answer is an image through every stage, and a batch of one.
    let images = after.sum("convscope_inference_duration_seconds_count", &[("model", "tutorial"), ("outcome", "ok")]).unwrap();
    for stage in ["decode_duration_seconds", "queue_duration_seconds", "batch_images"] {
        let count = after.sum(&format!("convscope_{stage}_count"), &[("model", "tutorial"), ("outcome", "ok")]);
        assert_eq!(count, Some(images), "{stage}");
    }
    assert_eq!(after.sum("convscope_batch_images_sum", &[("outcome", "ok")]), Some(images));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_how_the_server_stands_and_goes_on_while_it_stops() {
    let mut server = Server::start().await;
    let metrics = scrape(&server).await;
    assert_eq!(metrics.sum("convscope_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(metrics.sum("convscope_models_loaded", &[]), Some(1.0));
    assert!(metrics.sum("convscope_model_memory_bytes", &[("model", "tutorial"), ("version", "1")]).unwrap() > 1e6);
    assert_eq!(metrics.values("convscope_runs", "state").len(), 6);
    assert!(metrics.sum("convscope_connections", &[]).unwrap() >= 1.0);
    #[cfg(target_os = "linux")]
    {
        let process = |name: &str| metrics.sum(name, &[]).unwrap();
        assert!(process("process_resident_memory_bytes") > 1e6 && process("process_open_fds") > 3.0);
        assert!(process("process_cpu_seconds_total") > 0.0 && process("process_start_time_seconds") > 1.7e9);
    }
    let held = HalfSent::begin(&server, "/classify", "connection: close\r\n", &horse()).await;
    server.begin_to_stop();
    let last = eventually("the stop", async || {
        let metrics = scrape(&server).await;
        (metrics.sum("convscope_accepting", &[]) == Some(0.0)).then_some(metrics)
    })
    .await;
    assert_eq!(last.sum("convscope_queue_images", &[]), Some(1.0), "what is under way is still counted");
    assert!(held.finish().await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inference_says_where_its_time_went() {
    let server = Server::start().await;
    for path in ["/classify", "/featuremaps/conv1"] {
        let answer = server.post(path, horse()).await;
        let timing = answer.header("server-timing").unwrap_or_else(|| panic!("{path} says nothing")).to_owned();
        let parts = timing.split(", ").map(|part| part.split_once(";dur=").expect("a duration"));
        let parts: Vec<(&str, f64)> = parts.map(|(name, ms)| (name, ms.parse().unwrap())).collect();
        assert_eq!(parts.iter().map(|part| part.0).collect::<Vec<_>>(), ["decode", "queue", "inference", "total"]);
        assert!(parts[3].1 >= parts[..3].iter().map(|part| part.1).sum::<f64>() - 0.01, "{timing}");
        assert!(parts[2].1 > 0.0);
    }
    assert_eq!(server.get("/models").await.header("server-timing"), None);
    server.stop().await;
    let server = Server::with(|config| config.server.cors_origins = vec!["https://example.org".into()]).await;
    let request = server.request(Method::POST, "/classify").header("origin", "https://example.org").body(horse());
    let answer = Answer::of(request).await;
    assert!(answer.header("access-control-expose-headers").unwrap().contains("server-timing"));
    server.stop().await;
}

/// Names of ours and of the process's in `text`.
fn metrics_named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("convscope_") || word.starts_with("process_")).collect()
}

fn deploy(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_and_the_alerts_ask_only_for_what_there_is() {
    let server = Server::start().await;
    server.post("/classify", horse()).await.ok();
    let metrics = scrape(&server).await;
    let there = metrics.names();
    let dashboard: Value = serde_json::from_str(&deploy("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut shown = BTreeSet::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty() && !panel["title"].as_str().unwrap().is_empty(), "{panel}");
        for target in targets {
            let named = metrics_named(target["expr"].as_str().unwrap()).into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert!(!named.is_empty(), "{target}");
            let gone: Vec<_> = named.iter().filter(|name| !there.contains(name.as_str())).collect();
            assert!(gone.is_empty(), "panel `{}` asks for {gone:?}; there are {there:?}", panel["title"]);
            shown.extend(named);
        }
    }
    assert!(panels.len() >= 12);
    let alerts = deploy("prometheus-alerts.yaml");
    let asked: Vec<&str> = alerts.lines().filter(|line| line.trim_start().starts_with("expr:")).collect();
    assert!(asked.len() >= 5);
    for line in asked {
        let named = metrics_named(line);
        assert!(!named.is_empty() && named.iter().all(|name| there.contains(name)), "{line}");
    }
    // Every family is somewhere on the dashboard, so that a new one is not forgotten.
    let forgotten = metrics.families.keys().filter(|family| !shown.iter().any(|name| name.starts_with(family.as_str())));
    assert_eq!(forgotten.collect::<Vec<_>>(), Vec::<&String>::new(), "metrics on no panel");
    server.stop().await;
}

/// A request's id is in its line whatever becomes of it, and in the header of its answer.
#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_leaves_a_line_with_its_id() {
    let program = crate::program::Program::start(&[("CONVSCOPE_LOG__FORMAT", "json")]);
    let client = Client::new();
    let refused = client.post(program.url("/classify")).header("x-request-id", "bad-1").body("no image").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["x-request-id"].to_str().unwrap()), (415, "bad-1"));
    let mut stream = TcpStream::connect(&program.address).await.unwrap();
    stream.write_all(b"POST /classify HTTP/1.1\r\nhost: t\r\nx-request-id: gone-1\r\ncontent-length: 100\r\n\r\nxx").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(stream);
    let lines = eventually("both lines", async || {
        let said = program.said();
        (said.contains("bad-1") && said.contains("gone-1")).then_some(said)
    })
    .await;
    for line in lines.lines() {
        serde_json::from_str::<Value>(line).expect(line);
    }
    program.stop().await;
}
