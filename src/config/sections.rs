//! Every section of config.toml: its keys with their units and ranges, and their defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::token::Token;

/// `[server]`: listening and connections.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// `listen`: address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What admin requests must present: `CONVSCOPE_ADMIN_TOKEN`, or the content of `admin_token_file`. With none, the server
    /// makes one.
    pub admin_token: Option<Token>,
    /// `max_connections`: open connections, 1 to 100,000; more wait to be accepted.
    pub max_connections: usize,
    /// `header_timeout_seconds`: from accepting a connection to the end of a request's headers, 1 to 3600.
    pub header_timeout: Duration,
    /// `request_timeout_seconds`: from the headers to the answer, 1 to 3600; streams of events are not bound by it.
    pub request_timeout: Duration,
    /// `drain_seconds`: what running requests are given at shutdown, 0 to 3600.
    pub drain: Duration,
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
    /// From `decode_mib`: bytes of all images that are being decoded at once (3 a pixel), at least the largest image's, to
    /// 1,000,000 MiB.
    pub decode_bytes: u64,
    /// `batch_images`: most images in one forward pass, 1 to 1024.
    pub batch_images: usize,
    /// From `models_mib`: bytes of the models in memory, 1 to 1,000,000 MiB; one that is larger is kept alone.
    pub model_bytes: u64,
}

/// `[models]`: which models are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Models {
    /// `dir`: a folder of models that is only read, looked at after those in `data_dir`. It need not exist.
    pub dir: PathBuf,
    /// `default`: the model that answers when a request names none.
    pub default: String,
}

/// `[train]`: training started over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Train {
    /// Whether a request may name any folder of the server's as its data; from `allow_paths`, resolved against
    /// `server.listen`.
    pub allow_paths: bool,
    /// `max_runs`: runs at the same time, 1 to 64; more are queued.
    pub max_runs: usize,
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

impl Server {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.text("server.listen", "127.0.0.1:8080", |text| {
                text.parse().map_err(|_| "must be an address and a port, such as 127.0.0.1:8080 or [::1]:8080".into())
            }),
            admin_token: reader.token("server.admin_token_file"),
            max_connections: reader.number("server.max_connections", 1024, 1..=100_000) as usize,
            header_timeout: Duration::from_secs(reader.number("server.header_timeout_seconds", 10, 1..=3600)),
            request_timeout: Duration::from_secs(reader.number("server.request_timeout_seconds", 60, 1..=3600)),
            drain: Duration::from_secs(reader.number("server.drain_seconds", 30, 0..=3600)),
        }
    }
}

impl Limits {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let pixels = reader.number("limits.megapixels", 50, 1..=1000) * 1_000_000;
        let largest = (pixels * 3).div_ceil(MIB);
        Self {
            body_bytes: (reader.number("limits.body_mib", 16, 1..=1024) * MIB) as usize,
            pixels,
            queue_images: reader.number("limits.queue_images", 256, 1..=100_000) as usize,
            // Less than one largest image would make that image wait for ever.
            decode_bytes: reader.number("limits.decode_mib", 512, largest..=1_000_000) * MIB,
            batch_images: reader.number("limits.batch_images", 32, 1..=1024) as usize,
            model_bytes: reader.number("limits.models_mib", 1024, 1..=1_000_000) * MIB,
        }
    }
}

impl Models {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self { dir: reader.path("models.dir", "models"), default: reader.text("models.default", "tutorial", model_name) }
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
        Self { allow_paths: allow_paths.on(listen), max_runs: reader.number("train.max_runs", 1, 1..=64) as usize }
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

fn model_name(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must be a model's name".into()) } else { Ok(text.to_owned()) }
}
