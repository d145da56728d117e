use std::io::{IsTerminal, Write};
use std::str::FromStr;
use std::sync::LazyLock;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::redact::Redactor;
use super::{LogEntry, LogRing, metrics};
use crate::kernel::{Clock, Lax};
use crate::settings::{LogFormat, MonitoringSettings, Settings, SharedSettings};

/// There is one log for the process, as there is one standard error.
static LOG: LazyLock<Log> = LazyLock::new(Log::default);

/// Crates that quote what they work on (queries; the SDK of MCP even what servers say): silent unless content may be logged.
const TALKATIVE: [(&str, LevelFilter); 3] =
    [("sqlparser", LevelFilter::OFF), ("sqlx", LevelFilter::OFF), ("rmcp", LevelFilter::OFF)];

#[derive(Debug, Default)]
struct Log {
    ring: LogRing,
    redactor: Redactor,
}

/// Sends the log to standard error and keeps its latest lines. A second call changes nothing.
pub fn init(settings: &Settings) {
    let server = &settings.server;
    let MonitoringSettings { log_format, log_content, .. } = *settings.monitoring;
    let targets = parse_level(&server.log_level, server.debug).unwrap_or_else(|_| Targets::new());
    let targets = if log_content { targets } else { targets.with_targets(TALKATIVE) };
    let writer = Writer { format: log_format, content: log_content, colored: std::io::stderr().is_terminal() };
    // Already set in tests that start several servers in one process.
    drop(tracing_subscriber::registry().with(writer).with(targets).try_init());
}

/// Masks the secrets of these settings in the log from now on, whatever they become.
pub fn redact_secrets_of(settings: SharedSettings) {
    LOG.redactor.follow(settings);
}

/// The latest lines of the log.
pub fn logs() -> &'static LogRing {
    &LOG.ring
}

/// Turns events into lines.
struct Writer {
    format: LogFormat,
    content: bool,
    colored: bool,
}

impl<S: Subscriber> Layer<S> for Writer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let entry = LOG.ring.push(LogEntry::of(event, Clock::system().now_ms(), &LOG.redactor, self.content));
        let line = match self.format {
            LogFormat::Text => entry.to_text(self.colored),
            LogFormat::Json => entry.to_json(),
        };
        // Nobody is left to be told that the log can't be written.
        drop(std::io::stderr().lock().write_all(line.as_bytes()));
        metrics::log_line(entry.level);
    }
}

/// A level as a query names it.
#[derive(Clone, Copy, Debug)]
pub struct LogLevel(pub Level);

impl Lax for LogLevel {
    fn read(value: &serde_json::Value) -> Result<Self, (&'static str, &'static str)> {
        let level = value.as_str().map(|text| in_our_words(text.trim()));
        let level = level.and_then(|level| Level::from_str(&level).ok());
        level.map(Self).ok_or(("enum", "Input should be 'debug', 'info', 'warning' or 'error'"))
    }
}

/// Says what is wrong with a log level.
pub fn check_level(level: &str) -> Result<(), String> {
    parse_level(level, false).map(|_| ()).map_err(|_| {
        "Input should be a level such as INFO or DEBUG, or targets such as info,orchestrator_studio::llm=debug"
            .to_owned()
    })
}

fn parse_level(level: &str, debug: bool) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    match in_our_words(level.trim()).as_str() {
        "info" if debug => Targets::from_str("info,orchestrator_studio=debug"),
        other => Targets::from_str(other),
    }
}

/// Python's level names are understood beside tracing's, since existing `.env` files use them.
fn in_our_words(level: &str) -> String {
    let level = level.to_ascii_lowercase();
    match level.as_str() {
        "warning" => "warn".to_owned(),
        "critical" | "fatal" => "error".to_owned(),
        "notset" => "trace".to_owned(),
        _ => level,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_python_and_of_tracing_are_understood() {
        for level in ["INFO", "warning", "CRITICAL", "debug", "info,orchestrator_studio::llm=debug"] {
            assert_eq!(check_level(level), Ok(()), "{level}");
        }
        assert!(check_level("a=b=c").is_err());
        assert!(check_level("info,x=loud").is_err());
        assert_eq!(LogLevel::read(&"Warning".into()).unwrap().0, Level::WARN);
        assert!(LogLevel::read(&"loud".into()).is_err());
    }
}
