//! Downloads from a server that misbehaves in every way a real one may.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convscope::dataset::fetch::{Patience, Progress, Source, fetch};
use convscope::dataset::{Error, open};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const FILES: [&str; 2] = ["data_batch_1.bin", "test_batch.bin"];

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cifar-10-batches-bin")
}

/// A real archive of two of the batches.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    tar.append_path_with_name(data().join("batches.meta.txt"), "cifar-10-batches-bin/batches.meta.txt").unwrap();
    for name in FILES {
        tar.append_path_with_name(data().join(name), format!("cifar-10-batches-bin/{name}")).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn digest(name: &str) -> String {
    Sha256::digest(fs::read(data().join(name)).unwrap()).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// How one connection is answered.
#[derive(Clone)]
pub(crate) enum Answer {
    /// As it should be.
    Right,
    /// As it should be, cut off after so many bytes.
    CutAfter(usize),
    /// Silence after so many bytes.
    StallAfter(usize),
    /// 200 and everything, whatever range was asked for.
    IgnoreRange,
    /// 206 for another range than was asked for.
    WrongRange,
    /// A `Content-Length` that is off by so much.
    LyingLength(i64),
    /// This body as 200.
    Other(Vec<u8>),
    /// This status and nothing else.
    Status(&'static str),
}

/// Serves `archive` and answers each connection as the next of `answers` says, right when there are none left.
pub(crate) struct Server {
    pub(crate) url: String,
    /// What was asked: the `Range` header of every request, or "all".
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(answers: Vec<Answer>) -> Self {
        Self::serving(archive(), "\"v1\"", answers)
    }

    fn serving(archive: Vec<u8>, tag: &'static str, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/cifar-10-binary.tar.gz", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut answers = VecDeque::from(answers);
            for stream in listener.incoming() {
                let answer = answers.pop_front().unwrap_or(Answer::Right);
                let (archive, log) = (archive.clone(), Arc::clone(&log));
                // A client that goes away is no failure of the server's.
                std::thread::spawn(move || respond(stream.unwrap(), &archive, tag, &answer, &log));
            }
        });
        Self { url, asked }
    }

    pub(crate) fn source(&self) -> Source {
        let patience = Patience { attempts: 12, fruitless: 3, pause: Duration::from_millis(1), stall: Duration::from_millis(300) };
        Source { url: self.url.clone(), files: FILES.map(|name| (name.into(), digest(name))).to_vec(), patience }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn respond(mut stream: TcpStream, archive: &[u8], tag: &str, answer: &Answer, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (mut range, mut matches) = (None, true);
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("range: bytes=") {
            range = value.trim_end_matches('-').parse::<usize>().ok();
        }
        if let Some(value) = lower.strip_prefix("if-range: ") {
            matches = value == tag.to_ascii_lowercase();
        }
        if line.is_empty() {
            break;
        }
    }
    log.lock().unwrap().push(range.map_or("all".into(), |start| format!("{start}-")));
    let total = archive.len();
    let start = range.filter(|_| matches && !matches!(answer, Answer::IgnoreRange)).unwrap_or(0);
    let partial = start > 0;
    let shown = if matches!(answer, Answer::WrongRange) { start / 2 } else { start };
    let (status, body) = match answer {
        Answer::Status(status) => (*status, [].as_slice()),
        Answer::Other(body) => ("200 OK", body.as_slice()),
        _ if start >= total => ("416 Range Not Satisfiable", [].as_slice()),
        _ if partial => ("206 Partial Content", &archive[shown..]),
        _ => ("200 OK", archive),
    };
    let length = body.len() as i64 + if let Answer::LyingLength(off) = answer { *off } else { 0 };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: {tag}\r\nConnection: close\r\n")?;
    if status.starts_with("206") {
        write!(stream, "Content-Range: bytes {shown}-{}/{total}\r\n", total - 1)?;
    } else if status.starts_with("416") {
        write!(stream, "Content-Range: bytes */{total}\r\n")?;
    }
    write!(stream, "\r\n")?;
    match answer {
        Answer::CutAfter(bytes) => stream.write_all(&body[..body.len().min(*bytes)]),
        Answer::StallAfter(bytes) => {
            stream.write_all(&body[..body.len().min(*bytes)])?;
            std::thread::sleep(Duration::from_secs(2));
            Ok(())
        }
        _ => stream.write_all(body),
    }
}

/// Fetches into `folder`; what happened, in the order it did, without repetitions.
fn fetched(folder: &TempDir, source: &Source) -> (Result<(), Error>, Vec<String>) {
    let mut events = Vec::new();
    let result = fetch(folder.path(), source, &mut |progress| {
        let event = match progress {
            Progress::Present => "present",
            Progress::Downloading { .. } => "downloading",
            Progress::Retrying { .. } => "retrying",
            Progress::Unpacking => "unpacking",
        };
        if events.last().is_none_or(|last| last != event) {
            events.push(event.to_owned());
        }
    });
    (result.map(|path| assert_eq!(path, folder.path().join("cifar-10-batches-bin"))), events)
}

/// The right files are there, and nothing half is.
fn check(folder: &TempDir) {
    for name in FILES {
        let path = folder.path().join("cifar-10-batches-bin").join(name);
        assert_eq!(fs::read(path).unwrap(), fs::read(data().join(name)).unwrap());
    }
    check_clean(folder);
    assert_eq!(open(folder.path(), 0).unwrap().test.len(), 200);
}

fn check_clean(folder: &TempDir) {
    let left: Vec<_> = fs::read_dir(folder.path().join(".fetch")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn the_archive_is_fetched_once() {
    let (server, folder) = (Server::start(vec![]), tempfile::tempdir().unwrap());
    let (result, events) = fetched(&folder, &server.source());
    result.unwrap();
    assert_eq!(events, ["downloading", "unpacking"]);
    check(&folder);
    let (result, events) = fetched(&folder, &server.source());
    result.unwrap();
    assert_eq!((events, server.asked()), (vec!["present".to_owned()], vec!["all".to_owned()]));
    // A damaged file is noticed and the set replaced.
    fs::write(folder.path().join("cifar-10-batches-bin/test_batch.bin"), "damaged").unwrap();
    fetched(&folder, &server.source()).0.unwrap();
    check(&folder);
}

#[test]
fn what_is_cut_off_is_gone_on_with() {
    let answers = vec![Answer::CutAfter(100_000), Answer::StallAfter(50_000), Answer::CutAfter(70_000)];
    let (server, folder) = (Server::start(answers), tempfile::tempdir().unwrap());
    let (result, events) = fetched(&folder, &server.source());
    result.unwrap();
    assert_eq!(events.iter().filter(|event| *event == "retrying").count(), 3);
    check(&folder);
    let asked = server.asked();
    assert_eq!(
        (asked[0].as_str(), asked[1].as_str(), asked[2].as_str(), asked[3].as_str()),
        ("all", "100000-", "150000-", "220000-")
    );
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_ended() {
    let mut answers = vec![Answer::CutAfter(123_456)];
    answers.extend(std::iter::repeat_n(Answer::Status("503 Service Unavailable"), 3));
    let (server, folder) = (Server::start(answers), tempfile::tempdir().unwrap());
    let error = fetched(&folder, &server.source()).0.unwrap_err().to_string();
    assert!(error.contains("503") && error.ends_with("123456 bytes are kept, run it again to go on"), "{error}");
    fetched(&folder, &server.source()).0.unwrap();
    assert_eq!(server.asked().last().unwrap(), "123456-");
    check(&folder);
}

#[test]
fn servers_that_cannot_go_on_start_over() {
    for answer in [Answer::IgnoreRange, Answer::WrongRange] {
        let (server, folder) = (Server::start(vec![Answer::CutAfter(100_000), answer]), tempfile::tempdir().unwrap());
        fetched(&folder, &server.source()).0.unwrap();
        check(&folder);
    }
}

#[test]
fn a_file_that_changed_on_the_server_is_fetched_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut answers = vec![Answer::CutAfter(100_000)];
    answers.extend(std::iter::repeat_n(Answer::Status("503 Service Unavailable"), 3));
    let old = Server::serving(vec![7; 200_000], "\"old\"", answers);
    fetched(&folder, &old.source()).0.unwrap_err();
    // The same address, another file under another tag: the identity kept beside the part is moved to it.
    let new = Server::serving(archive(), "\"new\"", vec![]);
    let identity = folder.path().join(".fetch/archive.from");
    fs::write(&identity, fs::read_to_string(&identity).unwrap().replace(&old.url, &new.url)).unwrap();
    fetched(&folder, &new.source()).0.unwrap();
    assert_eq!(new.asked(), ["100000-"]);
    check(&folder);
}

#[test]
fn lengths_that_lie_end_in_an_error_or_the_right_files() {
    for off in [-1000, 1000] {
        let (server, folder) = (Server::start(vec![Answer::LyingLength(off)]), tempfile::tempdir().unwrap());
        let result = fetched(&folder, &server.source()).0;
        if result.is_err() {
            assert!(!folder.path().join("cifar-10-batches-bin").exists());
            check_clean(&folder);
            fetched(&folder, &server.source()).0.unwrap();
        }
        check(&folder);
    }
}

#[test]
fn garbage_is_refused_and_nothing_of_it_kept() {
    let mut damaged = archive();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xFF;
    let mut half = archive();
    half.truncate(middle);
    for body in [b"<html>moved</html>".to_vec(), vec![], damaged, half, vec![0; 100_000]] {
        let (server, folder) = (Server::start(vec![Answer::Other(body)]), tempfile::tempdir().unwrap());
        let error = fetched(&folder, &server.source()).0.unwrap_err();
        assert!(!folder.path().join("cifar-10-batches-bin").exists());
        check_clean(&folder);
        assert!(matches!(error, Error::Download { .. } | Error::Digest { .. }), "{error}");
    }
}

#[test]
fn other_content_and_missing_files_are_named() {
    let (server, folder) = (Server::start(vec![]), tempfile::tempdir().unwrap());
    let mut source = server.source();
    source.files[1].1 = "00".repeat(32);
    let error = fetched(&folder, &source).0.unwrap_err().to_string();
    assert!(error.starts_with("test_batch.bin is damaged: its SHA-256 is "), "{error}");
    source.files[1].0 = "absent.bin".into();
    let error = fetched(&folder, &source).0.unwrap_err().to_string();
    assert!(error.starts_with("absent.bin is missing from http://"), "{error}");
    check_clean(&folder);
}

#[test]
fn what_cannot_be_had_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(vec![Answer::Status("404 Not Found")]);
    let error = fetched(&folder, &server.source()).0.unwrap_err().to_string();
    assert!(error.ends_with("the server answered 404 Not Found: check the address"), "{error}");
    assert_eq!(server.asked().len(), 1);
    // A port that nobody listens at: bound and let go.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut source = server.source();
    source.url = format!("http://127.0.0.1:{port}/");
    assert!(matches!(fetched(&folder, &source).0, Err(Error::Download { .. })));
}

#[test]
fn two_at_once_take_turns() {
    let (server, folder) = (Server::start(vec![]), tempfile::tempdir().unwrap());
    let source = server.source();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| fetched(&folder, &source).0.unwrap());
        }
    });
    assert_eq!(server.asked(), ["all"]);
    check(&folder);
}

#[test]
fn the_command_says_what_it_could_not_do() {
    let (server, folder) = (Server::start(vec![Answer::Status("404 Not Found")]), tempfile::tempdir().unwrap());
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_convscope"))
        .args(["fetch-data", "--url", &server.url, "--out"])
        .arg(folder.path())
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(1), [].as_slice()));
    assert!(said.contains(&server.url) && said.ends_with("the server answered 404 Not Found: check the address\n"), "{said}");
    assert_eq!(said.matches("404").count(), 1, "{said}");
}
