//! A real server in the test's own process: started by the same `run` as the program's, on a free port, with a real model;
//! spoken to over the wire; every answer checked for what all answers owe; stopped gracefully or the test fails.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use convscope::checkpoint::{self, Dtype};
use convscope::config::{Config, Token};
use convscope::http::{Setup, Shutdown, run, serve};
use convscope::network::init::{self, Init};
use convscope::network::{Architecture, Metadata, Model, Preprocessing, infer, model, presets};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What admin requests present.
pub(crate) const TOKEN: &str = "a-token-for-tests";
/// CIFAR-10's, in its order.
pub(crate) const CLASSES: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// A stop that takes longer is a fault.
const STOP: Duration = Duration::from_secs(10);
/// The headers that every answer owes.
const OWED: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:"),
];

/// A running server, its folder and a client.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its `data_dir` is `data` in it.
    pub(crate) folder: TempDir,
    client: Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), serve::Error>>,
}

impl Server {
    /// With one model, `tutorial`, of seeded, untrained weights.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, its configuration changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        models().clone_into(&mut config.models.dir);
        config.models.default = "tutorial".into();
        config.server.admin_token = Some(Token::new(TOKEN).unwrap());
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let setup = Setup { config, program: PathBuf::from(env!("CARGO_BIN_EXE_convscope")) };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(run(listener, setup, async {
            let _ = stopped.await;
            Shutdown::AtOnce
        }));
        // Answered once the model is warm, or cannot be; over a connection that does not stay.
        let once = Client::builder().pool_max_idle_per_host(0).build().unwrap();
        once.get(format!("http://{address}/health/ready")).send().await.expect("an answer");
        Self { address, folder, client: Client::new(), stop, task }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).timeout(Duration::from_secs(60))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// Sends `body` as curl's `--data-binary` does, content type included.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let request = self.request(Method::POST, path).body(body.into());
        Answer::of(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    /// With the admin token.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).bearer_auth(TOKEN);
        Answer::of(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Asks the server to stop, without waiting for it.
    pub(crate) fn begin_to_stop(&mut self) {
        let (spent, _) = oneshot::channel();
        let _ = std::mem::replace(&mut self.stop, spent).send(());
    }

    /// Stops the server as a signal does.
    pub(crate) async fn stop(self) {
        drop(self.stop_and_keep().await);
    }

    /// The same, its folder left for another one.
    pub(crate) async fn stop_and_keep(mut self) -> TempDir {
        self.begin_to_stop();
        let outcome = tokio::time::timeout(STOP, self.task).await.expect("the server did not stop in time");
        outcome.expect("the server panicked").expect("the server ended with an error");
        self.folder
    }
}

/// An answer that has passed the checks of all answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("a whole body").to_vec();
        Self { status, headers, body }.checked()
    }

    fn checked(self) -> Self {
        for (name, start) in OWED {
            assert!(self.header(name).is_some_and(|value| value.starts_with(start)), "{name} of {self:?}");
        }
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()));
        if self.status.is_client_error() || self.status.is_server_error() {
            let error = self.json();
            let (sentence, code) = (error["error"].as_str().unwrap(), error["code"].as_str().unwrap());
            assert!(sentence.len() > 10 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{error}");
            let faults = error.get("faults").is_some();
            assert_eq!(error.as_object().unwrap().len(), 2 + usize::from(faults), "{error}");
            for inside in [".rs:", "/src/", "panicked", "Error {"] {
                assert!(!sentence.contains(inside), "an inside shows: {sentence}");
            }
        }
        self
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name.parse::<HeaderName>().unwrap())?.to_str().ok()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts success and gives the body.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// Asserts a refusal, and gives its sentence.
    pub(crate) fn refused(&self, status: u16, code: &str) -> String {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{body}");
        let error = self.json();
        assert_eq!(error["code"], code, "{body}");
        error["error"].as_str().unwrap().to_owned()
    }

    /// Asserts that both headers say when to try again, and that they agree.
    pub(crate) fn says_when(&self) -> u64 {
        let milliseconds: u64 = self.header("retry-after-ms").expect("retry-after-ms").parse().unwrap();
        let seconds: u64 = self.header("retry-after").expect("retry-after").parse().unwrap();
        assert!(milliseconds >= 1 && seconds == milliseconds.div_ceil(1000), "{milliseconds} ms, {seconds} s");
        milliseconds
    }
}

/// A request whose body is sent in two parts, so that it holds its place for as long as the test likes.
pub(crate) struct HalfSent {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl HalfSent {
    /// Sends the headers to `path`, waits until the server asks for the body, for which it needs a place, and sends half of
    /// `body`.
    pub(crate) async fn begin(server: &Server, path: &str, headers: &str, body: &[u8]) -> Self {
        let mut this = Self::connect(server, path, headers, body).await;
        let expected = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut asked = [0; 25];
        this.stream.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, expected, "{}", String::from_utf8_lossy(&asked));
        let (first, rest) = body.split_at(body.len() / 2);
        this.stream.write_all(first).await.unwrap();
        this.rest = rest.to_vec();
        this
    }

    /// Sends the headers alone, and keeps all of `body`.
    pub(crate) async fn connect(server: &Server, path: &str, headers: &str, body: &[u8]) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, rest: body.to_vec() }
    }

    /// Sends all of `body` without being asked for it.
    pub(crate) async fn unasked(server: &Server, path: &str, body: &[u8]) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.expect("the server takes a refused body in");
        Self { stream, rest: Vec::new() }
    }

    /// Sends what is left of the body, and gives the status line and everything after it.
    pub(crate) async fn finish(mut self) -> String {
        self.stream.write_all(&self.rest).await.unwrap();
        self.answer().await
    }

    /// What is answered without the other half.
    pub(crate) async fn answer(mut self) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while !complete(&text) {
            let read =
                tokio::time::timeout(Duration::from_secs(60), self.stream.read(&mut buffer)).await.expect("an answer").unwrap();
            if read == 0 {
                break;
            }
            text.extend_from_slice(&buffer[..read]);
        }
        String::from_utf8_lossy(&text).replace("HTTP/1.1 100 Continue\r\n\r\n", "")
    }
}

pub(crate) fn complete(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_lowercase();
    let text = text.trim_start_matches("http/1.1 100 continue\r\n\r\n");
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|value| value.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// Tries `attempt` until it gives something; a test that waits for ever fails instead.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(found) = attempt().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} did not happen");
}

/// The preset called `name`, its weights drawn with `seed`.
pub(crate) fn untrained(name: &str, seed: u64) -> Model {
    of(presets::named(name).unwrap(), seed)
}

/// `architecture` with CIFAR-10's classes, its weights drawn with `seed`.
pub(crate) fn of(architecture: Architecture, seed: u64) -> Model {
    let layers = infer(&architecture).unwrap();
    let metadata = Metadata {
        format: model::FORMAT,
        name: architecture.name.clone(),
        preprocessing: Preprocessing::unit(architecture.input),
        architecture,
        classes: CLASSES.map(str::to_owned).to_vec(),
        accuracy: None,
        measured: model::Measured::default(),
        recipe: None,
        familiarity: None,
        created_by: model::created_by(),
    };
    let weights = init::weights(&layers, Init::Pytorch, seed);
    Model::new(metadata, weights.iter().cloned().collect()).unwrap()
}

/// A folder whose `tutorial` is a network that takes its time: some fifteen times as long as the real one.
pub(crate) fn slow() -> (TempDir, PathBuf) {
    let text = "name = 'slow'\ninput = { channels = 3, height = 96, width = 96 }\n\
         [[layers]]\nname = 'conv1'\nkind = 'conv2d'\nout_channels = 32\nkernel_size = 3\npadding = 1\n\
         [[layers]]\nname = 'act1'\nkind = 'relu'\n\
         [[layers]]\nname = 'conv2'\nkind = 'conv2d'\nout_channels = 48\nkernel_size = 3\npadding = 1\n\
         [[layers]]\nname = 'act2'\nkind = 'relu'\n\
         [[layers]]\nname = 'conv3'\nkind = 'conv2d'\nout_channels = 48\nkernel_size = 3\npadding = 1\n\
         [[layers]]\nname = 'pool'\nkind = 'adaptive_avg_pool2d'\noutput_size = 1\n\
         [[layers]]\nname = 'flat'\nkind = 'flatten'\n\
         [[layers]]\nname = 'fc'\nkind = 'linear'\nout_features = 10";
    let folder = tempfile::tempdir().unwrap();
    let model = of(Architecture::from_toml(text).unwrap(), 1);
    checkpoint::save(&folder.path().join("tutorial.safetensors"), &model).unwrap();
    let path = folder.path().to_owned();
    (folder, path)
}

/// A folder with the model `tutorial`, the same for all tests and never written to after.
pub(crate) fn models() -> &'static Path {
    static MODELS: OnceLock<TempDir> = OnceLock::new();
    let folder = MODELS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        checkpoint::save_as(&folder.path().join("tutorial.safetensors"), &untrained("tutorial", 1), Dtype::F32).unwrap();
        folder
    });
    folder.path()
}

/// The file `name` of `tests/data`.
pub(crate) fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

/// The tutorial's horse.
pub(crate) fn horse() -> Vec<u8> {
    file("horse.png")
}
