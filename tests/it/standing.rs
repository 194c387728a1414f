//! A server as its keeper meets it: one a data folder, a token that stays, what the log says of a request, readers that do not
//! read.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Client;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::program::{Program, command};
use crate::support::{eventually, horse};

/// What the program says when it is started and ends at once: exit code and standard error.
async fn refused(folder: &std::path::Path) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::from(command(folder, "127.0.0.1:0", &[]));
    let ended = command.stdout(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it does not end").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_a_data_folder_says_so_and_touches_nothing() {
    let program = Program::start(&[]);
    let token = || std::fs::read_to_string(program.folder.path().join("data/admin-token")).unwrap();
    let before = token();
    let (code, said) = refused(program.folder.path()).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("data folder ./data") && said.contains("`data_dir`"), "{said}");
    assert!(said.contains(&format!("process {}", program.child.id())), "{said}");
    assert_eq!(token(), before);
    let jobs = Client::new().get(program.url("/admin/jobs")).bearer_auth(before.trim()).send().await.unwrap();
    assert_eq!(jobs.status(), 200);
    // One that ended, or was killed, leaves the folder.
    let folder = program.stop().await;
    let mut killed = Program::start_in(folder, &[]);
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    let folder = std::mem::replace(&mut killed.folder, tempfile::tempdir().unwrap());
    Program::start_in(folder, &[]).stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_made_stays_and_is_no_secret_of_the_log() {
    let program = Program::start(&[]);
    let path = program.folder.path().join("data/admin-token");
    let token = std::fs::read_to_string(path).unwrap().trim().to_owned();
    let folder = program.stop().await;
    let program = Program::start_in(folder, &[]);
    let jobs = Client::new().get(program.url("/admin/jobs")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(jobs.status(), 200, "a restart keeps the token");
    let said = program.said();
    assert!(said.contains("admin-token") && !said.contains(&token), "{said}");
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_can_be_guessed_is_warned_of() {
    let short = Program::start(&[("CONVSCOPE_ADMIN_TOKEN", "secret")]);
    eventually("the warning", async || short.said().contains("short enough to be guessed").then_some(())).await;
    assert!(!short.said().contains("secret"), "{}", short.said());
    let long = Program::start(&[("CONVSCOPE_ADMIN_TOKEN", "sixteen-letters!")]);
    assert!(!long.said().contains("guessed"), "{}", long.said());
    short.stop().await;
    long.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(unix)]
async fn nothing_is_written_but_below_the_data_folder() {
    use std::os::unix::fs::PermissionsExt;
    let elsewhere = tempfile::tempdir().unwrap();
    let place = |name: &str| {
        let path = elsewhere.path().join(name);
        std::fs::create_dir(&path).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (home, temporary, data) = (place("home"), place("tmp"), place("data"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    let settings = [("CONVSCOPE_DATA_DIR", &*data), ("HOME", &home), ("XDG_CACHE_HOME", &home), ("TMPDIR", &temporary)];
    let program = Program::start_in(folder, &settings);
    let client = Client::new();
    let token = std::fs::read_to_string(format!("{data}/admin-token")).unwrap();
    let large = vec![7; 4 << 20];
    for (path, body) in [("/classify", horse()), ("/featuremaps/conv1", horse()), ("/classify", large)] {
        client.post(program.url(path)).body(body).send().await.unwrap().bytes().await.unwrap();
    }
    let images = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin");
    let run = serde_json::json!({"arch": "tutorial", "data": images, "epochs": 1});
    let train = client.post(program.url("/admin/train")).bearer_auth(token.trim()).json(&run).send().await.unwrap();
    assert_eq!(train.status(), 202);
    let written = || std::fs::read_dir(format!("{data}/runs")).is_ok_and(|mut runs| runs.next().is_some());
    eventually("a run", async || written().then_some(())).await;
    let folder = program.stop().await;
    let names =
        |path: &std::path::Path| -> Vec<_> { std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect() };
    for path in [folder.path(), home.as_ref(), temporary.as_ref()] {
        assert!(names(path).is_empty(), "{:?}", names(path));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_log_is_json_in_every_line_and_a_requests_line_says_whose_it_was() {
    let program = Program::start(&[("CONVSCOPE_LOG__FORMAT", "json")]);
    let client = Client::new();
    let answer = client.post(program.url("/classify")).header("x-request-id", "trace-7").body(horse()).send().await.unwrap();
    let length = answer.bytes().await.unwrap().len();
    client.get(program.url("/health/live")).send().await.unwrap();
    eventually("both lines", async || (program.said().matches("answered").count() >= 2).then_some(())).await;
    let lines: Vec<Value> = program.said().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let listening = lines.iter().find(|line| line["fields"]["message"].as_str().unwrap().starts_with("listening on http://"));
    assert_eq!(listening.expect("where it listens")["level"], "INFO");
    let line = lines.iter().find(|line| line["fields"]["route"] == "/classify").expect("the request's line");
    let (fields, horse) = (&line["fields"], horse());
    assert_eq!((&fields["model"], &fields["status"]), (&"speedrun/1".into(), &200.into()), "{line}");
    assert_eq!((fields["bytes_in"].as_u64(), fields["bytes_out"].as_u64()), (Some(horse.len() as u64), Some(length as u64)));
    assert!(fields["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert_eq!(line["span"]["id"], "trace-7");
    let live = lines.iter().find(|line| line["fields"]["route"] == "/health/live").unwrap();
    assert!(live["fields"]["model"].is_null(), "{live}");
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn answers_that_nobody_reads_take_bounded_memory_and_are_given_up() {
    /// As many bytes as `fc3` has weights.
    const WHOLE: usize = 4 * 512 * 8192;
    let settings = [("CONVSCOPE_LIMITS__ANSWER_MIB", "32"), ("CONVSCOPE_SERVER__WRITE_TIMEOUT_SECONDS", "1")];
    let program = Program::start(&settings);
    let sockets = || {
        let folder = std::path::Path::new("/proc").join(program.child.id().to_string()).join("fd");
        let links = std::fs::read_dir(folder).unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    };
    let client = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let whole =
        client.get(program.url("/layers/fc3/weights?model=tutorial&format=f32")).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.len(), WHOLE);
    let (before, idle) = (crate::program::peak(program.child.id()), sockets());
    let mut unread = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(&program.address).await.unwrap();
        stream.write_all(b"GET /layers/fc3/weights?model=tutorial&format=f32 HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
        unread.push(stream);
    }
    // What is small goes on meanwhile.
    let answer = client.post(program.url("/classify")).body(horse()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    eventually("the end of all connections", async || (sockets() <= idle).then_some(())).await;
    // 16 answers are 268 MB.
    let more = crate::program::peak(program.child.id()) - before;
    assert!(more < 100, "{more} MiB more than for one answer");
    for mut stream in unread {
        let mut begun = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut begun)).await.expect("an end");
        assert!(begun.len() < WHOLE, "the answer was kept for a reader that did not read");
    }
    let whole =
        client.get(program.url("/layers/fc3/weights?model=tutorial&format=f32")).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.len(), WHOLE);
    program.stop().await;
}
