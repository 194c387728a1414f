//! The log: what `tracing` says, in the configured form, on standard error. What is said while a request is answered carries
//! its id.

use std::fmt;
use std::io::IsTerminal;

use serde_json::json;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Log, LogFormat};
use crate::console;
use crate::http::access;

/// From now on the program logs as `log` says.
pub fn start(log: &Log) {
    let ansi = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&log.level))
        .with_writer(|| console::Stderr)
        // It would print what could not be printed, and panic over that.
        .log_internal_errors(false)
        .with_ansi(ansi);
    match log.format {
        LogFormat::Json => {
            console::tell_losses(|lost| {
                let timestamp = jiff::Timestamp::now().to_string();
                let fields = json!({"message": console::losses(lost), "lost": lost});
                json!({"timestamp": timestamp, "level": "WARN", "fields": fields, "target": "convscope::console"}).to_string()
            });
            subscriber.json().fmt_fields(JsonFields::new()).event_format(WithId(Format::default().json())).init();
        }
        LogFormat::Pretty => subscriber.event_format(WithId(Format::default().with_ansi(ansi))).init(),
    }
}

/// A form of events, and in it the id of the request at hand.
struct WithId<F>(F);

/// Puts an id to a line that was written.
trait Put {
    /// The line with `id`; neither has its end.
    fn put(line: &str, id: &str) -> String;
}

impl Put for Format {
    fn put(line: &str, id: &str) -> String {
        format!("{line} id={id:?}")
    }
}

impl Put for Format<Json> {
    fn put(line: &str, id: &str) -> String {
        // A line is an object, and an id has plain characters only.
        format!("{},\"span\":{{\"id\":\"{id}\",\"name\":\"request\"}}}}", line.strip_suffix('}').unwrap_or(line))
    }
}

impl<S, N, F> FormatEvent<S, N> for WithId<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N> + Put,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(id) = access::current_id() else { return self.0.format_event(context, writer, event) };
        let mut line = String::new();
        let mut inner = Writer::new(&mut line);
        self.0.format_event(context, inner.by_ref(), event)?;
        writeln!(writer, "{}", F::put(line.trim_end_matches('\n'), &id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_joins_a_line_and_json_stays_json() {
        let line = Format::<Json>::put(r#"{"level":"WARN","fields":{"message":"a"}}"#, "trace-7");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["level"], &line["span"]["id"]), (&"WARN".into(), &"trace-7".into()));
        assert_eq!(<Format as Put>::put("WARN a", "trace-7"), "WARN a id=\"trace-7\"");
    }
}
