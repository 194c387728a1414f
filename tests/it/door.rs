//! The door: what comes over a bare connection, whole or not, and how long it may stay open.

use std::time::Duration;

use convscope::config::Config;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::hostile_pictures::table_bomb;
use crate::support::{Answer, HalfSent, Server, TOKEN, complete, eventually, horse};

/// A bare connection.
pub(crate) struct Wire(pub(crate) TcpStream);

impl Wire {
    pub(crate) async fn to(server: &Server) -> Self {
        Self(TcpStream::connect(server.address).await.unwrap())
    }

    /// Writes all of `text`, and fails where the server does not take it in.
    pub(crate) async fn send(&mut self, text: &[u8]) {
        self.0.write_all(text).await.expect("the server takes in what is sent");
    }

    /// One answer, or what comes before the connection ends.
    pub(crate) async fn answer(&mut self) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while !complete(&text) {
            let read = tokio::time::timeout(Duration::from_secs(60), self.0.read(&mut buffer)).await.expect("an answer");
            match read.expect("an answer, not a broken connection") {
                0 => break,
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until the server closes it.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.0.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the server keeps the connection");
    }
}

/// Checks that `answer` is a refusal like every other: status, both keys, the headers all answers owe.
pub(crate) fn refused(answer: &str, status: u16, code: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole answer: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    for owed in ["content-type: application/json", "x-content-type-options: nosniff", "content-security-policy: ", "x-request-id: "]
    {
        assert!(head.to_ascii_lowercase().contains(owed), "{owed}: {answer}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
    assert_eq!((body["code"].as_str(), body.as_object().unwrap().len()), (Some(code), 2), "{answer}");
    body["error"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_told_so_like_everything_else() {
    let server = Server::start().await;
    let long = "x".repeat(70_000);
    let many = "x-many: 1\r\n".repeat(200);
    for (head, status, code) in [
        ("GET\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nhost\r\n\r\n".to_owned(), 400, "bad_request"),
        ("POST /classify HTTP/1.1\r\nhost: t\r\ncontent-length: soon\r\n\r\n".to_owned(), 400, "bad_request"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".to_owned(), 400, "bad_request"),
        (format!("GET /{long} HTTP/1.1\r\nhost: t\r\n\r\n"), 414, "uri_too_long"),
        (format!("GET / HTTP/1.1\r\nhost: t\r\n{many}\r\n"), 431, "headers_too_large"),
        (format!("GET / HTTP/1.1\r\nhost: t\r\ncookie: {}\r\n\r\n", long.repeat(8)), 431, "headers_too_large"),
    ] {
        let mut wire = Wire::to(&server).await;
        wire.send(head.as_bytes()).await;
        // More is on its way, as from a client that reads nothing before it has sent everything.
        wire.send(&vec![7; 4 << 20]).await;
        let sentence = refused(&wire.answer().await, status, code);
        assert!(sentence.contains("here"), "{sentence}");
        drop(wire);
        // And the same after a request that was well, on the same connection.
        let mut wire = Wire::to(&server).await;
        wire.send(b"GET /health/live HTTP/1.1\r\nhost: t\r\n\r\n").await;
        assert!(wire.answer().await.starts_with("HTTP/1.1 200"));
        wire.send(head.as_bytes()).await;
        refused(&wire.answer().await, status, code);
        wire.0.shutdown().await.unwrap();
        wire.closed().await;
    }
    server.stop().await;
}

/// 12 MB: more than any system keeps for a connection that nobody reads.
const LARGE: usize = 12 << 20;

/// Sends the head and all of a large body before it reads anything; several times, since what breaks is a race.
async fn insists(server: &Server, line: &str, headers: &str, status: u16, code: &str) {
    let body = vec![7; LARGE];
    for _ in 0..6 {
        let mut wire = Wire::to(server).await;
        let head = format!("{line} HTTP/1.1\r\nhost: t\r\ncontent-length: {LARGE}\r\n{headers}\r\n");
        wire.send(head.as_bytes()).await;
        wire.send(&body).await;
        refused(&wire.answer().await, status, code);
        // The connection is as good as before.
        wire.send(b"GET /health/live HTTP/1.1\r\nhost: t\r\n\r\n").await;
        assert!(wire.answer().await.starts_with("HTTP/1.1 200"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_the_body_reaches_those_who_send_it_all_first() {
    let server = Server::start().await;
    insists(&server, "POST /nothing", "", 404, "not_found").await;
    insists(&server, "PUT /classify", "", 405, "method_not_allowed").await;
    insists(&server, "POST /classify?topk=1", "", 400, "bad_query").await;
    insists(&server, "POST /classify", "x-timeout-ms: soon\r\n", 400, "bad_request").await;
    insists(&server, "POST /classify", "content-type: multipart/form-data\r\n", 400, "bad_request").await;
    insists(&server, "POST /admin/train", "", 401, "unauthorized").await;
    // Refused while it is read.
    insists(&server, "POST /admin/train", &format!("authorization: Bearer {TOKEN}\r\n"), 413, "body_too_large").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_do_those_of_a_full_and_of_a_stopping_server() {
    let mut server = Server::with(|config: &mut Config| {
        config.limits.body_bytes = 4 << 20;
        config.limits.queue_images = 1;
    })
    .await;
    insists(&server, "POST /classify", "", 413, "body_too_large").await;
    let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
    for _ in 0..6 {
        let body = vec![7; 4 << 20];
        refused(&HalfSent::unasked(&server, "/classify", &body).await.answer().await, 429, "queue_full");
    }
    // Their requests have begun, and are whole only when the server takes nothing new any more.
    let (mut idle, mut late) = (Wire::to(&server).await, Vec::new());
    idle.send(b"GET /health/live HTTP/1.1\r\nhost: t\r\n\r\n").await;
    idle.answer().await;
    for _ in 0..6 {
        let mut wire = Wire::to(&server).await;
        wire.send(b"POST /classify HTTP/1.1\r\nhost: t\r\n").await;
        late.push(wire);
    }
    server.begin_to_stop();
    idle.closed().await;
    let mut asking = tokio::task::JoinSet::new();
    for mut wire in late {
        asking.spawn(async move {
            wire.send(format!("content-length: {LARGE}\r\n\r\n").as_bytes()).await;
            wire.send(&vec![7; LARGE]).await;
            let answer = wire.answer().await;
            refused(&answer, 503, "stopping");
            assert!(answer.contains("connection: close") && answer.contains("retry-after: "), "{answer}");
        });
    }
    assert!(held.finish().await.starts_with("HTTP/1.1 200"));
    asking.join_all().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_waits_to_be_asked_is_not_asked_for_a_body_that_is_refused() {
    let server = Server::start().await;
    for (line, status, code) in [("POST /nothing", 404, "not_found"), ("POST /admin/train", 401, "unauthorized")] {
        let mut wire = Wire::to(&server).await;
        let head = format!("{line} HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: {LARGE}\r\n\r\n");
        wire.send(head.as_bytes()).await;
        refused(&wire.answer().await, status, code);
        // Some get impatient, and send it all the same.
        let _ = wire.0.write_all(&vec![7; LARGE]).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_in_the_middle_of_a_body_frees_the_place() {
    let server = Server::with(|config| config.limits.queue_images = 1).await;
    for _ in 0..3 {
        let held = HalfSent::begin(&server, "/classify", "", &horse()).await;
        server.post("/classify", horse()).await.refused(429, "queue_full");
        drop(held);
        eventually("a free place", async || (server.post("/classify", horse()).await.status == 200).then_some(())).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_kept_for_a_time_of_its_own() {
    let request = b"GET /health/live HTTP/1.1\r\nhost: t\r\n\r\n";
    let server = Server::with(|config| {
        config.server.header_timeout = Duration::from_secs(1);
        config.server.keep_alive = Duration::from_secs(600);
    })
    .await;
    let mut wire = Wire::to(&server).await;
    for _ in 0..2 {
        wire.send(request).await;
        assert!(wire.answer().await.starts_with("HTTP/1.1 200"));
        // Longer than headers may take.
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    // With its first byte, the next request has begun, and has the time of headers.
    wire.send(b"GET /hea").await;
    refused(&wire.answer().await, 408, "request_timeout");
    wire.closed().await;
    server.stop().await;

    let server = Server::with(|config| {
        config.server.header_timeout = Duration::from_secs(600);
        config.server.keep_alive = Duration::from_secs(1);
    })
    .await;
    let mut wire = Wire::to(&server).await;
    wire.send(request).await;
    assert!(wire.answer().await.starts_with("HTTP/1.1 200"));
    wire.closed().await;
    // So it is after a body that was refused and read on.
    let mut wire = Wire::to(&server).await;
    wire.send(b"POST /nothing HTTP/1.1\r\nhost: t\r\ncontent-length: 4\r\n\r\n").await;
    refused(&wire.answer().await, 404, "not_found");
    wire.send(b"body").await;
    wire.closed().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_key_that_a_route_does_not_take_is_refused_on_every_route() {
    let server = Server::start().await;
    for (method, path) in [
        (Method::POST, "/classify"),
        (Method::POST, "/featuremaps"),
        (Method::POST, "/featuremaps/conv1"),
        (Method::GET, "/featuremaps/conv1"),
        (Method::GET, "/models"),
        (Method::GET, "/layers"),
        (Method::GET, "/layers/conv1/weights"),
        (Method::GET, "/samples"),
        (Method::GET, "/samples/horse"),
        (Method::GET, "/health/live"),
        (Method::GET, "/health/ready"),
        (Method::POST, "/admin/train"),
        (Method::GET, "/admin/jobs"),
        (Method::GET, "/admin/jobs/x"),
        (Method::DELETE, "/admin/jobs/x"),
        (Method::PATCH, "/admin/jobs/x"),
        (Method::POST, "/admin/models/x/activate"),
        (Method::DELETE, "/admin/models/x/versions/1"),
        (Method::POST, "/admin/models/refresh"),
        (Method::POST, "/admin/jobs/x/cancel"),
        (Method::POST, "/admin/jobs/x/resume"),
        (Method::GET, "/admin/jobs/x/events"),
    ] {
        let request = server.request(method.clone(), &format!("{path}?qqq=1")).bearer_auth(TOKEN);
        let sentence = Answer::of(request).await.refused(400, "bad_query");
        assert!(sentence.contains("`qqq`"), "{method} {path}: {sentence}");
    }
    // Who may not come in is told that first; a method that is not there stays so.
    Answer::of(server.request(Method::GET, "/admin/jobs?qqq=1")).await.refused(401, "unauthorized");
    Answer::of(server.request(Method::PUT, "/classify?qqq=1")).await.refused(405, "method_not_allowed");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_pages_may_call_where_the_configuration_names_them_and_admin_never() {
    let origin = "https://example.org";
    let ask = async |server: &Server, method: Method, path: &str, origin: &str| {
        let request = server.request(method, path).header("origin", origin);
        Answer::of(request.header("access-control-request-method", "POST")).await
    };
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    let closed = Server::start().await;
    assert_eq!(allowed(&ask(&closed, Method::OPTIONS, "/classify", origin).await), None);
    assert_eq!(allowed(&ask(&closed, Method::GET, "/models", origin).await), None);
    closed.stop().await;

    let server = Server::with(|config| config.server.cors_origins = vec![origin.into(), "http://localhost:3000".into()]).await;
    let preflight = ask(&server, Method::OPTIONS, "/classify", origin).await;
    assert_eq!((preflight.status, allowed(&preflight)), (StatusCode::OK, Some(origin.into())));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("x-timeout-ms"));
    let models = ask(&server, Method::GET, "/models", "http://localhost:3000").await;
    models.ok();
    assert_eq!(allowed(&models), Some("http://localhost:3000".into()));
    assert!(models.header("access-control-expose-headers").unwrap().contains("x-shape"));
    // A refusal can be read by the page, too.
    let refusal = ask(&server, Method::GET, "/models?qqq=1", origin).await;
    refusal.refused(400, "bad_query");
    assert_eq!(allowed(&refusal), Some(origin.into()));
    for (path, from) in [("/classify", "https://example.org.evil"), ("/admin/train", origin), ("/admin/jobs", origin)] {
        assert_eq!(allowed(&ask(&server, Method::OPTIONS, path, from).await), None, "{path} from {from}");
    }
    let jobs = server.request(Method::GET, "/admin/jobs").bearer_auth(TOKEN).header("origin", origin);
    assert_eq!(allowed(&Answer::of(jobs).await), None);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_needs_more_memory_than_all_may_have_is_refused() {
    let server = Server::with(|config| {
        config.limits.pixels = 1024;
        config.limits.decode_bytes = 2 << 20;
    })
    .await;
    server.post("/classify", horse()).await.ok();
    let sentence = server.post("/classify", table_bomb(1000)).await.refused(413, "image_too_large");
    assert!(sentence.contains("2 MiB"), "{sentence}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_fit_beside_those_not_read_yet_waits_or_is_refused() {
    let server = Server::with(|config| {
        config.limits.answer_bytes = 256 << 10;
        config.server.request_timeout = Duration::from_secs(2);
    })
    .await;
    // One that is larger than all of it still goes, alone; and nobody reads it.
    let mut unread = Wire::to(&server).await;
    unread.send(b"GET /layers/fc3/weights?format=f32 HTTP/1.1\r\nhost: t\r\n\r\n").await;
    let mut begun = [0; 15];
    unread.0.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    server.get("/layers/fc3/weights?format=npy").await.refused(504, "timed_out");
    server.post("/featuremaps?layers=conv1", horse()).await.refused(504, "timed_out");
    let refusal = server.get("/layers/conv2/weights?format=json").await;
    refusal.refused(429, "queue_full");
    refusal.says_when();
    // What is small is not counted.
    server.post("/classify", horse()).await.ok();
    drop(unread);
    eventually("room", async || (server.get("/layers/fc3/weights?format=npy").await.status == 200).then_some(())).await;
    server.stop().await;
}
