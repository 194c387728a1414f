//! Requests a second and how long each takes, over connections that are kept: as JSON.
//!
//!     load HOST:PORT FILE CONNECTIONS SECONDS
//!
//! Each connection posts FILE to /classify, reads the whole answer, and posts again. A refusal (429, 503) is obeyed: the connection waits
//! for as long as `retry-after-ms` says. Counted are answers of status 200 that were complete within SECONDS, after a fifth as many
//! for warming up; their times are kept one by one, so that the percentiles are exact. One thread: it takes a few microseconds
//! a request, and leaves the rest of the machine to the server.

use std::error::Error;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Where a server does not say when to come back.
const PAUSE: Duration = Duration::from_millis(50);
const LARGEST_ANSWER: usize = 1 << 20;

type Fault = Box<dyn Error + Send + Sync>;

#[derive(Default)]
struct Counted {
    /// Of answers, in microseconds.
    times: Vec<u32>,
    refused: u64,
    /// Answers of any other status.
    failed: u64,
    /// Connections that broke.
    broken: u64,
}

struct Answer {
    status: u16,
    retry_after: Option<Duration>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, file, connections, seconds] = arguments.as_slice() else {
        return Err("HOST:PORT FILE CONNECTIONS SECONDS".into());
    };
    let (connections, seconds): (usize, f64) = (connections.parse()?, seconds.parse()?);
    let body = std::fs::read(file)?;
    let head = format!("POST /classify HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n", body.len());
    let request = [head.into_bytes(), body].concat();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counted = runtime.block_on(load(address.clone(), request.leak(), connections, seconds));
    print(counted, connections, seconds);
    Ok(())
}

async fn load(address: String, request: &'static [u8], connections: usize, seconds: f64) -> Counted {
    let begin = Instant::now() + Duration::from_secs_f64(seconds / 5.0);
    let end = begin + Duration::from_secs_f64(seconds);
    let mut all = JoinSet::new();
    for _ in 0..connections {
        all.spawn(one(address.clone(), request, begin, end));
    }
    let mut sum = Counted::default();
    while let Some(counted) = all.join_next().await {
        let counted = counted.unwrap_or_else(|_| Counted { broken: 1, ..Counted::default() });
        sum.times.extend(counted.times);
        sum.refused += counted.refused;
        sum.failed += counted.failed;
        sum.broken += counted.broken;
    }
    sum.times.sort_unstable();
    sum
}

/// What one connection gets between two moments.
async fn one(address: String, request: &'static [u8], begin: Instant, end: Instant) -> Counted {
    let mut counted = Counted::default();
    let over = sleep_until(end);
    tokio::pin!(over);
    loop {
        let turn = async {
            let Ok(mut stream) = TcpStream::connect(&address).await else { return sleep(PAUSE).await };
            let _ = stream.set_nodelay(true);
            let mut buffer = Vec::with_capacity(8192);
            while let Ok(answer) = ask(&mut stream, request, &mut buffer, begin, &mut counted).await {
                if let Some(pause) = answer.retry_after {
                    sleep(pause).await;
                }
            }
        };
        tokio::select! {
            () = turn => {}
            () = &mut over => return counted,
        }
        counted.broken += u64::from(Instant::now() >= begin);
    }
}

async fn ask(
    stream: &mut TcpStream,
    request: &[u8],
    buffer: &mut Vec<u8>,
    begin: Instant,
    counted: &mut Counted,
) -> Result<Answer, Fault> {
    let started = Instant::now();
    stream.write_all(request).await?;
    let answer = read(stream, buffer).await?;
    let now = Instant::now();
    if now >= begin {
        match answer.status {
            200 => counted.times.push((now - started).as_micros() as u32),
            429 | 503 => counted.refused += 1,
            _ => counted.failed += 1,
        }
    }
    Ok(answer)
}

/// Takes one whole answer, whose length it says, out of the stream.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Answer, Fault> {
    buffer.clear();
    let head = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > LARGEST_ANSWER || stream.read_buf(buffer).await? == 0 {
            return Err("no whole answer".into());
        }
    };
    let text = std::str::from_utf8(&buffer[..head])?;
    let status = text.split(' ').nth(1).ok_or("no status")?.parse()?;
    let value = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = value("content-length").ok_or("no content-length")?.parse()?;
    let after = value("retry-after-ms").and_then(|value| value.parse().ok()).map(Duration::from_millis);
    let retry_after = matches!(status, 429 | 503).then(|| after.unwrap_or(PAUSE));
    while buffer.len() < head + length {
        if length > LARGEST_ANSWER || stream.read_buf(buffer).await? == 0 {
            return Err("no whole answer".into());
        }
    }
    Ok(Answer { status, retry_after })
}

fn print(counted: Counted, connections: usize, seconds: f64) {
    let Counted { times, refused, failed, broken } = counted;
    let at = |share: f64| match times.len() {
        0 => "null".to_owned(),
        count => format!("{:.3}", f64::from(times[(share * (count - 1) as f64).round() as usize]) / 1e3),
    };
    println!(
        "{{\"connections\": {connections}, \"answered\": {}, \"requests_per_second\": {:.2}, \"p50_ms\": {}, \"p99_ms\": {}, \
         \"max_ms\": {}, \"refused\": {refused}, \"failed\": {failed}, \"broken\": {broken}}}",
        times.len(),
        times.len() as f64 / seconds,
        at(0.5),
        at(0.99),
        at(1.0),
    );
}
