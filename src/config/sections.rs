//! Every section of config.toml: its keys with their units and ranges, and their defaults.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::token::Token;

/// `[server]`: listening and connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// `listen`: address and port, or a name for the address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What admin requests must present: `CONVSCOPE_ADMIN_TOKEN`, or the content of `admin_token_file`. With none, the server
    /// makes one.
    pub admin_token: Option<Token>,
    /// `max_connections`: open connections, 1 to 100,000; beyond them health alone is answered.
    pub max_connections: usize,
    /// `header_timeout_seconds`: from accepting a connection, or from a later request's first byte, to the end of its headers,
    /// 1 to 3600. The next part of a body may take as long.
    pub header_timeout: Duration,
    /// `keep_alive_seconds`: how long a connection is kept between two requests, 1 to 3600.
    pub keep_alive: Duration,
    /// `write_timeout_seconds`: how long the peer may take for the next 64 KiB of an answer, 1 to 3600.
    pub write_timeout: Duration,
    /// `request_timeout_seconds`: from the headers to the answer, 1 to 3600; streams of events are not bound by it.
    pub request_timeout: Duration,
    /// `grace_seconds`: between SIGTERM, from when on the server is not ready, and its taking no more connections, 0 to 3600.
    pub grace: Duration,
    /// `drain_seconds`: what running requests are given after that, 0 to 3600.
    pub drain: Duration,
    /// `cors_origins`: the origins whose pages may call from a browser, separated by commas; `*` is every one. None of them may
    /// call `/admin`.
    pub cors_origins: Vec<String>,
}

/// `[limits]`: what one request may take, and all of them together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// From `body_mib`: bytes of a request's body, 1 to 1024 MiB.
    pub body_bytes: usize,
    /// From `megapixels`: pixels of an image before it is resized, 1 to 1000 million.
    pub pixels: u64,
    /// `queue_images`: images admitted and not yet answered, 1 to 100,000; beyond them requests are refused with 429.
    pub queue_images: usize,
    /// From `decode_mib`: bytes of all images that are being decoded at once, 1 to 1,000,000 MiB. A server asks `picture` whether
    /// that is enough for the largest image. An image that needs more is refused.
    pub decode_bytes: u64,
    /// From `answer_mib`: bytes of answers that were not read yet, 1 to 1,000,000 MiB; small ones are not counted.
    pub answer_bytes: u64,
    /// `batch_images`: most images in one forward pass, 1 to 1024.
    pub batch_images: usize,
    /// From `models_mib`: bytes of the models in memory, 1 to 1,000,000 MiB; one that is larger is kept alone.
    pub model_bytes: u64,
    /// From `dataset_mib`: bytes of a dataset that is sent, packed and unpacked, 1 to 1,000,000 MiB.
    pub dataset_bytes: u64,
}

/// `[models]`: which models are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// `dir`: a folder of models that is only read, looked at after those in `data_dir`. It need not exist.
    pub dir: PathBuf,
    /// `default`: the model that answers when a request names none.
    pub default: String,
    /// `poll_seconds`: between two looks at the folders, 1 to 3600.
    pub poll: Duration,
}

/// `[train]`: training started over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Train {
    /// Whether a request may name any folder of the server's as its data; from `allow_paths`, resolved against
    /// `server.listen`.
    pub allow_paths: bool,
    /// `max_runs`: runs at the same time, 1 to 64; more are queued.
    pub max_runs: usize,
    /// `keep_epochs`: about so many epochs of a run are kept, spread over all of it, beside the best and the last, 1 to 100,000.
    pub keep_epochs: u32,
    /// `keep_runs`: runs that are over, the newest, 1 to 1,000,000; none where it is 0, which keeps all of them.
    pub keep_runs: Option<usize>,
    /// `resume_interrupted`: whether runs that were interrupted go on when a server starts, unless their last attempt got no epoch
    /// further.
    pub resume_interrupted: bool,
    /// `cifar10_url`: where a run fetches CIFAR-10's archive from when it is not there.
    pub cifar10_url: String,
}

/// `train.allow_paths` as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AllowPaths {
    /// Only while the server listens on a loopback address.
    Loopback,
    /// Wherever it listens.
    Always,
    /// Nowhere: datasets are named.
    Never,
}

/// `[log]`: what is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `format`: `pretty` for people, `json` for machines.
    pub format: LogFormat,
    /// `level`: error, warn, info, debug or trace; also per module, as `info,convscope::http=debug`.
    pub level: String,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

const MIB: u64 = 1024 * 1024;

/// Where CIFAR-10 is published.
const CIFAR10_URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";

impl Server {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.text("server.listen", "127.0.0.1:8080", address),
            admin_token: reader.token("server.admin_token_file"),
            max_connections: reader.number("server.max_connections", 1024, 1..=100_000) as usize,
            header_timeout: Duration::from_secs(reader.number("server.header_timeout_seconds", 10, 1..=3600)),
            keep_alive: Duration::from_secs(reader.number("server.keep_alive_seconds", 90, 1..=3600)),
            request_timeout: Duration::from_secs(reader.number("server.request_timeout_seconds", 60, 1..=3600)),
            write_timeout: Duration::from_secs(reader.number("server.write_timeout_seconds", 30, 1..=3600)),
            grace: Duration::from_secs(reader.number("server.grace_seconds", 5, 0..=3600)),
            drain: Duration::from_secs(reader.number("server.drain_seconds", 20, 0..=3600)),
            cors_origins: reader.text("server.cors_origins", "", origins),
        }
    }
}

impl Limits {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            body_bytes: (reader.number("limits.body_mib", 16, 1..=1024) * MIB) as usize,
            pixels: reader.number("limits.megapixels", 50, 1..=1000) * 1_000_000,
            queue_images: reader.number("limits.queue_images", 96, 1..=100_000) as usize,
            decode_bytes: reader.number("limits.decode_mib", 1024, 1..=1_000_000) * MIB,
            answer_bytes: reader.number("limits.answer_mib", 256, 1..=1_000_000) * MIB,
            batch_images: reader.number("limits.batch_images", 32, 1..=1024) as usize,
            model_bytes: reader.number("limits.models_mib", 1024, 1..=1_000_000) * MIB,
            dataset_bytes: reader.number("limits.dataset_mib", 4096, 1..=1_000_000) * MIB,
        }
    }
}

impl Models {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            dir: reader.path("models.dir", "models"),
            default: reader.text("models.default", "speedrun", model_name),
            poll: Duration::from_secs(reader.number("models.poll_seconds", 1, 1..=3600)),
        }
    }
}

impl Train {
    pub(super) fn read(reader: &mut Reader, listen: SocketAddr) -> Self {
        let allow_paths = reader.text("train.allow_paths", "loopback", |text| match text {
            "loopback" => Ok(AllowPaths::Loopback),
            "always" => Ok(AllowPaths::Always),
            "never" => Ok(AllowPaths::Never),
            _ => Err("must be loopback, always or never".into()),
        });
        Self {
            allow_paths: allow_paths.on(listen),
            max_runs: reader.number("train.max_runs", 1, 1..=64) as usize,
            keep_epochs: reader.number("train.keep_epochs", 20, 1..=100_000) as u32,
            keep_runs: Some(reader.number("train.keep_runs", 0, 0..=1_000_000) as usize).filter(|&runs| runs > 0),
            resume_interrupted: reader.switch("train.resume_interrupted", true),
            cifar10_url: reader.text("train.cifar10_url", CIFAR10_URL, web_address),
        }
    }
}

impl AllowPaths {
    fn on(self, listen: SocketAddr) -> bool {
        match self {
            Self::Loopback => listen.ip().is_loopback(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Log {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let format = reader.text("log.format", "pretty", |text| match text {
            "pretty" => Ok(LogFormat::Pretty),
            "json" => Ok(LogFormat::Json),
            _ => Err("must be pretty or json".into()),
        });
        let level = reader.text("log.level", "info", |text| match tracing_subscriber::EnvFilter::try_new(text) {
            Ok(_) if !text.is_empty() => Ok(text.to_owned()),
            _ => Err("must be error, warn, info, debug or trace, also per module: info,convscope::http=debug".into()),
        });
        Self { format, level }
    }
}

/// An address and a port; a name is looked up here, once, and IPv4 goes first.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.rsplit_once(':').map(|(name, port)| !name.is_empty() && port.parse::<u16>().is_ok());
    if port != Some(true) {
        return Err("must be an address and a port, such as 127.0.0.1:8080, localhost:8080 or [::1]:8080".into());
    }
    let found: Vec<SocketAddr> = text.to_socket_addrs().map_err(|e| format!("the name is not known here: {e}"))?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| "the name has no address here".into())
}

/// Origins as browsers send them: scheme, host, and the port where it is not the scheme's own.
fn origins(text: &str) -> Result<Vec<String>, String> {
    let origin = |text: &str| {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let plain =
            |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'@'));
        if text == "*" || rest.is_some_and(plain) { Ok(text.to_ascii_lowercase()) } else { Err(text.to_owned()) }
    };
    let all: Result<_, _> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(origin).collect();
    all.map_err(|wrong| {
        format!("`{wrong}` is no origin: write scheme and host without a path, such as https://example.org, separated by commas")
    })
}

fn web_address(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    if rest.is_some_and(|rest| !rest.is_empty()) { Ok(text.to_owned()) } else { Err("must begin with http:// or https://".into()) }
}

fn model_name(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must be a model's name".into()) } else { Ok(text.to_owned()) }
}
