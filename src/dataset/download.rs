//! One file over HTTP, gone on with after every interruption, this process's end included.
//!
//! Bytes go to a `.part` file. Beside it stands what identifies the file they are of (URL, and the server's `ETag` or date):
//! a server asked with `If-Range` sends the rest only of that very file, and all of it otherwise.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ureq::http::{Response, header};
use ureq::{Agent, Body};

use super::error::Error;
use super::source::{Progress, Source};

/// More than any archive this is for: a server that never ends is stopped before the disk is full.
const MOST: u64 = 1 << 30;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A file that is not whole yet.
pub(super) struct Part {
    data: PathBuf,
    identity: PathBuf,
    url: String,
}

impl Part {
    pub(super) fn new(work: &Path, url: &str) -> Self {
        Self { data: work.join("archive.part"), identity: work.join("archive.from"), url: url.into() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.data
    }

    /// Bytes there are.
    pub(super) fn len(&self) -> u64 {
        self.data.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Forgets them.
    pub(super) fn discard(&self) {
        // Identity first: without it the bytes are not gone on with.
        let _ = fs::remove_file(&self.identity);
        let _ = fs::remove_file(&self.data);
    }

    /// What the bytes are of, if they can be gone on with.
    fn validator(&self) -> Option<String> {
        let text = fs::read_to_string(&self.identity).ok()?;
        let (url, validator) = text.split_once('\n')?;
        (url == self.url && !validator.is_empty()).then(|| validator.into())
    }

    /// An empty file, of what `validator` identifies.
    fn start_over(&self, validator: Option<&str>) -> io::Result<File> {
        self.discard();
        let file = File::create(&self.data)?;
        if let Some(validator) = validator {
            fs::write(&self.identity, format!("{}\n{validator}", self.url))?;
        }
        Ok(file)
    }
}

/// What ends one connection before the file is whole.
enum Interruption {
    /// Worth another try.
    Passing(String),
    /// It would go the same way again.
    Lasting(Error),
}

/// Completes `part`.
pub(super) fn download(part: &Part, source: &Source, progress: &mut dyn FnMut(Progress)) -> Result<(), Error> {
    let patience = source.patience;
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        // The archive is what is wanted, byte for byte.
        .accept_encoding("identity")
        .timeout_connect(Some(patience.stall))
        .timeout_recv_response(Some(patience.stall))
        .timeout_per_read(Some(patience.stall))
        .build()
        .into();
    let (mut fruitless, mut pause) = (0, patience.pause);
    for attempt in 1.. {
        let before = part.len();
        let reason = match connection(&agent, part, progress) {
            Ok(()) => return Ok(()),
            Err(Interruption::Lasting(error)) => return Err(error),
            Err(Interruption::Passing(reason)) => reason,
        };
        if part.len() > before {
            (fruitless, pause) = (0, patience.pause);
        } else {
            fruitless += 1;
        }
        if attempt >= patience.attempts || fruitless >= patience.fruitless {
            let reason = format!("{reason}; {} bytes are kept, run it again to go on", part.len());
            return Err(Error::Download { url: source.url.clone(), reason });
        }
        progress(Progress::Retrying { reason });
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    Ok(())
}

/// One request, read to its end.
fn connection(agent: &Agent, part: &Part, progress: &mut dyn FnMut(Progress)) -> Result<(), Interruption> {
    let validator = part.validator();
    let have = if validator.is_some() { part.len() } else { 0 };
    let mut request = agent.get(&part.url);
    if let Some(validator) = validator.filter(|_| have > 0) {
        request = request.header(header::RANGE, format!("bytes={have}-")).header(header::IF_RANGE, validator);
    }
    let response = request.call().map_err(|error| refused(part, error))?;
    let (mut file, total) = match response.status().as_u16() {
        200 => {
            let length = number(&response, header::CONTENT_LENGTH.as_str());
            (part.start_over(strong_validator(&response).as_deref()).map_err(|error| on_disk(part, error))?, length)
        }
        206 => {
            let Some((start, total)) = content_range(&response).filter(|(start, _)| *start == have) else {
                part.discard();
                return Err(Interruption::Passing("the server sent another part than asked for".into()));
            };
            (go_on(part, start).map_err(|error| on_disk(part, error))?, total)
        }
        // Nothing is left after what is there: whole if it is as long as the file is, which verification settles.
        416 if unsatisfied_length(&response) == Some(have) => return Ok(()),
        416 => {
            part.discard();
            return Err(Interruption::Passing("the file has changed on the server".into()));
        }
        408 | 425 | 429 | 500..=599 => return Err(Interruption::Passing(format!("the server answered {}", response.status()))),
        _ => return Err(lasting(part, format!("the server answered {}: check the address", response.status()))),
    };
    receive(response.into_body(), &mut file, part, total, progress)
}

fn receive(
    body: Body,
    file: &mut File,
    part: &Part,
    total: Option<u64>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Interruption> {
    let mut reader = body.into_reader();
    let mut bytes = file.stream_position().map_err(|error| on_disk(part, error))?;
    let mut buffer = vec![0; 1 << 16];
    progress(Progress::Downloading { bytes, total });
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Interruption::Passing(format!("the connection was lost ({error})"))),
        };
        file.write_all(&buffer[..read]).map_err(|error| on_disk(part, error))?;
        bytes += read as u64;
        if bytes > MOST {
            part.discard();
            return Err(lasting(part, format!("it is longer than {} MiB, so not the archive: check the address", MOST >> 20)));
        }
        progress(Progress::Downloading { bytes, total });
    }
    file.sync_all().map_err(|error| on_disk(part, error))?;
    match total {
        Some(total) if bytes < total => Err(Interruption::Passing(format!("only {bytes} of {total} bytes came"))),
        Some(total) if bytes > total => {
            part.discard();
            Err(Interruption::Passing(format!("{bytes} bytes came instead of {total}")))
        }
        _ => Ok(()),
    }
}

/// The file opened behind its last byte.
fn go_on(part: &Part, start: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).open(&part.data)?;
    file.seek(SeekFrom::Start(start))?;
    Ok(file)
}

/// What `If-Range` may be asked with: a strong `ETag`, else a date.
fn strong_validator(response: &Response<Body>) -> Option<String> {
    let text = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    text(header::ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text(header::LAST_MODIFIED))
}

fn number(response: &Response<Body>, name: &str) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.trim().parse().ok()
}

/// `bytes 100-199/200` as its start and the whole length, where that is known.
fn content_range(response: &Response<Body>) -> Option<(u64, Option<u64>)> {
    let text = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// The length in `bytes */200`.
fn unsatisfied_length(response: &Response<Body>) -> Option<u64> {
    response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes */")?.trim().parse().ok()
}

fn refused(part: &Part, error: ureq::Error) -> Interruption {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed => {
            lasting(part, format!("{error}: check the address"))
        }
        other => Interruption::Passing(other.to_string()),
    }
}

fn lasting(part: &Part, reason: String) -> Interruption {
    Interruption::Lasting(Error::Download { url: part.url.clone(), reason })
}

fn on_disk(part: &Part, error: io::Error) -> Interruption {
    Interruption::Lasting(Error::io(&part.data, error))
}
