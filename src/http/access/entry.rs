//! A request's line in the log. It is put into words on the thread that writes them, in the form of all the other lines.

use std::io::Write;
use std::net::SocketAddr;

use axum::extract::MatchedPath;
use axum::http::{HeaderValue, Method, Uri};
use jiff::Timestamp;
use serde::Serialize;

use crate::config::LogFormat;

/// What it is said to be from, to filters of the log too.
pub const TARGET: &str = "convscope::http::access";

/// Of a path that matches no route, more is nobody's business.
const LONGEST_PATH: usize = 200;

/// What is said of a request: never a body, a query or a token.
#[derive(Debug)]
pub struct Entry {
    /// When its answer was ready.
    pub at: Timestamp,
    /// What was asked.
    pub method: Method,
    /// Of which only the path is said.
    pub uri: Uri,
    /// The route it took.
    pub route: Option<MatchedPath>,
    /// Of the answer; none where its caller hung up before there was one.
    pub status: Option<u16>,
    /// From its head to the answer's, in microseconds.
    pub micros: u64,
    /// Who asked.
    pub client: Option<SocketAddr>,
    /// The model that answered.
    pub model: Option<(String, u64)>,
    /// Bytes of its body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer, where they are known beforehand.
    pub bytes_out: Option<u64>,
    /// Its id.
    pub id: HeaderValue,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    fields: Fields<'a>,
    target: &'static str,
    span: Span<'a>,
}

#[derive(Serialize)]
struct Span<'a> {
    id: &'a str,
    name: &'static str,
}

#[derive(Serialize)]
struct Fields<'a> {
    message: &'static str,
    method: &'a str,
    path: &'a str,
    route: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    bytes_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_out: Option<u64>,
}

impl Entry {
    /// Adds the line, its end included, to `out`; with colours for a terminal.
    pub fn write(&self, format: LogFormat, colours: bool, out: &mut Vec<u8>) {
        // Bytes are taken into memory, which never fails.
        let _ = match format {
            LogFormat::Json => self.json(out),
            LogFormat::Pretty => self.pretty(colours, out),
        };
    }

    fn json(&self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let line = Line {
            timestamp: self.at.to_string(),
            level: "INFO",
            fields: self.fields(),
            target: TARGET,
            span: Span { id: self.id(), name: "request" },
        };
        serde_json::to_writer(&mut *out, &line)?;
        out.push(b'\n');
        Ok(())
    }

    fn pretty(&self, colours: bool, out: &mut Vec<u8>) -> std::io::Result<()> {
        let [dim, green, plain] = if colours { ["\u{1b}[2m", "\u{1b}[32m", "\u{1b}[0m"] } else { [""; 3] };
        let Fields { message, method, path, route, status, duration_ms, client, model, bytes_in, bytes_out } = self.fields();
        write!(out, "{dim}{:.6}{plain} {green} INFO{plain} {dim}{TARGET}:{plain} {message} ", self.at)?;
        write!(out, "method={method} path={path:?} route={route:?}")?;
        if let Some(status) = status {
            write!(out, " status={status}")?;
        }
        write!(out, " duration_ms={duration_ms}")?;
        for (name, value) in [("client", client), ("model", model)] {
            if let Some(value) = value {
                write!(out, " {name}={value:?}")?;
            }
        }
        write!(out, " bytes_in={bytes_in}")?;
        if let Some(bytes) = bytes_out {
            write!(out, " bytes_out={bytes}")?;
        }
        writeln!(out, " id={:?}", self.id())
    }

    fn fields(&self) -> Fields<'_> {
        let path = self.uri.path();
        let end = path.char_indices().nth(LONGEST_PATH).map_or(path.len(), |(end, _)| end);
        Fields {
            message: if self.status.is_some() { "answered" } else { "the caller hung up" },
            method: self.method.as_str(),
            path: &path[..end],
            route: self.route.as_ref().map_or("", MatchedPath::as_str),
            status: self.status,
            duration_ms: self.micros as f64 / 1e3,
            client: self.client.map(|client| client.to_string()),
            model: self.model.as_ref().map(|(name, version)| format!("{name}/{version}")),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        }
    }

    fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            at: Timestamp::UNIX_EPOCH,
            method: Method::POST,
            uri: Uri::from_static("/a%22b?token=secret"),
            route: None,
            status: Some(404),
            micros: 1500,
            client: Some(([127, 0, 0, 1], 80).into()),
            model: Some(("tutorial".into(), 2)),
            bytes_in: 3,
            bytes_out: None,
            id: HeaderValue::from_static("trace-7"),
        }
    }

    fn written(entry: &Entry, format: LogFormat) -> String {
        let mut out = Vec::new();
        entry.write(format, false, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_says_everything_but_the_query() {
        assert_eq!(
            written(&entry(), LogFormat::Pretty),
            "1970-01-01T00:00:00.000000Z  INFO convscope::http::access: answered method=POST path=\"/a%22b\" route=\"\" status=404 \
             duration_ms=1.5 client=\"127.0.0.1:80\" model=\"tutorial/2\" bytes_in=3 id=\"trace-7\"\n"
        );
        assert_eq!(
            written(&entry(), LogFormat::Json),
            "{\"timestamp\":\"1970-01-01T00:00:00Z\",\"level\":\"INFO\",\"fields\":{\"message\":\"answered\",\"method\":\"POST\",\
             \"path\":\"/a%22b\",\"route\":\"\",\"status\":404,\"duration_ms\":1.5,\"client\":\"127.0.0.1:80\",\"model\":\"tutorial/2\",\
             \"bytes_in\":3},\"target\":\"convscope::http::access\",\"span\":{\"id\":\"trace-7\",\"name\":\"request\"}}\n"
        );
    }

    #[test]
    fn a_path_of_any_characters_is_cut_and_stays_a_line() {
        let path = format!("/{}", "é\u{7f}\"".repeat(400)).parse();
        let Ok(uri) = path else { return };
        let line = written(&Entry { uri, status: None, ..entry() }, LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["fields"]["path"].as_str().unwrap().chars().count(), LONGEST_PATH);
        assert_eq!(line["fields"]["message"], "the caller hung up");
    }
}
