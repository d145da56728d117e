use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::str::FromStr;
use std::sync::LazyLock;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::redact::Redactor;
use super::writer::{self, FlushGuard};
use super::{LogEntry, LogRing, metrics};
use crate::kernel::{Clock, Lenient};
use crate::settings::{MonitoringSettings, Settings, SharedSettings};

/// There is one log for the process, as there is one standard error.
static LOG: LazyLock<Log> = LazyLock::new(Log::default);

/// Crates that quote what they work on (queries; the SDK of MCP even what servers say): silent unless content may be logged.
const QUOTING_CRATES: [(&str, LevelFilter); 3] =
    [("sqlparser", LevelFilter::OFF), ("sqlx", LevelFilter::OFF), ("rmcp", LevelFilter::OFF)];

#[derive(Debug, Default)]
struct Log {
    ring: LogRing,
    redactor: Redactor,
}

/// Sends the log to standard error and keeps its latest lines. A second call changes nothing.
pub fn init(settings: &Settings) -> FlushGuard {
    let server = &settings.server;
    let MonitoringSettings { log_format, log_content, .. } = *settings.monitoring;
    let targets = parse_level(&server.log_level, server.debug).unwrap_or_default();
    let targets = if log_content { targets } else { silence_quoting_crates(&targets) };
    let lines = LogLayer { content: log_content };
    // It is set already in the demo.
    if tracing_subscriber::registry().with(lines).with(targets).try_init().is_ok() {
        writer::start(&LOG.ring, log_format);
        std::panic::set_hook(Box::new(log_panic));
    }
    FlushGuard(&LOG.ring)
}

/// A part of the server gave up: whoever reads the log must hear of it, as the task that did can't tell.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(place, untrusted = panic.payload_as_str(), backtrace, "a part of the server has panicked");
}

/// Writes what ends the process to standard error, without secrets; unless nobody reads it.
pub fn print_fatal(text: &str) {
    writer::write_stderr(LOG.redactor.redact(text) + "\n");
}

/// Lines of the log that could not be written to standard error.
pub fn lost_lines() -> u64 {
    LOG.ring.lost()
}

/// Masks the secrets of these settings in the log from now on, whatever they become.
pub fn redact_secrets_of(settings: SharedSettings) {
    LOG.redactor.set_settings(settings);
}

/// The latest lines of the log.
pub fn logs() -> &'static LogRing {
    &LOG.ring
}

/// Turns events into lines.
struct LogLayer {
    content: bool,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let entry = LOG.ring.push(LogEntry::of(event, Clock::system().now_ms(), &LOG.redactor, self.content));
        metrics::log_line(entry.level);
    }
}

/// A level as a query names it.
#[derive(Clone, Copy, Debug)]
pub struct LogLevel(pub Level);

impl LogLevel {
    /// What levels are called in the log.
    pub const OUTPUT_NAMES: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
    /// What levels are called, in any case: by Python and by tracing.
    pub const INPUT_NAMES: [&str; 9] =
        ["trace", "notset", "debug", "info", "warning", "warn", "error", "critical", "fatal"];
}

impl Lenient for LogLevel {
    fn read(value: &serde_json::Value) -> Result<Self, (&'static str, &'static str)> {
        let name = value.as_str().map(|text| text.trim().to_ascii_lowercase());
        // tracing takes numbers, too.
        let name = name.filter(|name| Self::INPUT_NAMES.contains(&name.as_str()));
        let level = name.and_then(|name| Level::from_str(&normalize_level(&name)).ok());
        level.map(Self).ok_or(("enum", "Input should be 'debug', 'info', 'warning' or 'error'"))
    }
}

/// Says what is wrong with a log level.
pub fn check_level(level: &str) -> Result<(), String> {
    parse_level(level, false).map(|_| ()).ok_or_else(|| {
        "Input should be a level such as INFO or DEBUG, or targets such as info,orchestrator_studio::llm=debug"
            .to_owned()
    })
}

/// Reads `LEVEL` or `LEVEL,TARGET=LEVEL,...`. tracing's own parser takes a level that is misspelt for a target, and all else
/// is silent then.
fn parse_level(text: &str, debug: bool) -> Option<Targets> {
    let level =
        |word: &str| LevelFilter::from_str(&normalize_level(word.trim())).ok().filter(|_| !word.trim().is_empty());
    let mut targets = Targets::new();
    for part in text.split(',') {
        targets = match part.split_once('=') {
            Some((target, word)) if is_target(target.trim()) => targets.with_target(target.trim(), level(word)?),
            Some(_) => return None,
            None => targets.with_default(level(part)?),
        };
    }
    let is_info = targets.default_level() == Some(LevelFilter::INFO) && !text.contains('=');
    Some(if is_info && debug { targets.with_target("orchestrator_studio", LevelFilter::DEBUG) } else { targets })
}

fn silence_quoting_crates(targets: &Targets) -> Targets {
    let is_quoting = |target: &str| QUOTING_CRATES.iter().any(|(name, _)| target.starts_with(name));
    let default = targets.default_level().unwrap_or(LevelFilter::OFF);
    let others = targets.iter().filter(|(target, _)| !is_quoting(target));
    Targets::new().with_default(default).with_targets(others).with_targets(QUOTING_CRATES)
}

fn is_target(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_:-".contains(c))
}

/// Python's level names are understood beside tracing's, since existing `.env` files use them.
fn normalize_level(level: &str) -> String {
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
    use crate::kernel::MASK;
    use crate::telemetry::LogFilter;

    #[test]
    fn levels_of_python_and_of_tracing_are_understood() {
        for level in ["INFO", "warning", "CRITICAL", "debug", "off", "info,orchestrator_studio::llm=debug"] {
            assert_eq!(check_level(level), Ok(()), "{level}");
        }
        for level in
            ["verbose", "INF0", "waring", "", "info,", "a=b=c", "info,x=loud", "info,x=", "info,=debug", "x y=info"]
        {
            assert!(check_level(level).is_err(), "{level}");
        }
        let mixed = parse_level("Warning, orchestrator_studio::llm = NOTSET,hyper=Critical", false).unwrap();
        let expected = "warn,orchestrator_studio::llm=trace,hyper=error";
        assert_eq!(mixed, Targets::from_str(expected).unwrap());
        let quiet = silence_quoting_crates(&parse_level("warn,rmcp::service=debug,hyper=info", false).unwrap());
        assert!(!quiet.would_enable("rmcp::service", &Level::ERROR) && quiet.would_enable("hyper", &Level::INFO));
        assert!(quiet.would_enable("x", &Level::WARN) && !quiet.would_enable("x", &Level::INFO));
        assert_eq!(parse_level(" Info ", true).unwrap(), Targets::from_str("info,orchestrator_studio=debug").unwrap());
        assert_eq!(LogLevel::read(&"Warning".into()).unwrap().0, Level::WARN);
        assert!(LogLevel::read(&"loud".into()).is_err());
    }

    fn lines_of(what: impl FnOnce(), says: &str) -> Vec<std::sync::Arc<LogEntry>> {
        let subscriber = tracing_subscriber::registry().with(LogLayer { content: false });
        tracing::subscriber::with_default(subscriber, what);
        logs().newest(&LogFilter { contains: Some(says.to_owned()), ..LogFilter::default() }, 10).0
    }

    #[test]
    fn a_panic_is_a_line_that_tells_where() {
        let lines = lines_of(
            || {
                let before = std::panic::take_hook();
                std::panic::set_hook(Box::new(log_panic));
                drop(std::panic::catch_unwind(|| panic!("canary-1")));
                std::panic::set_hook(before);
            },
            "has panicked",
        );
        let place = lines.iter().filter_map(|line| line.fields.get("place")?.as_str()).next().unwrap();
        assert!(place.contains("log.rs:") && lines.iter().all(|line| !line.contains("canary-1")), "{lines:?}");
    }

    #[test]
    fn a_line_holds_no_words_of_others_no_secret_and_no_id_that_is_not_ours() {
        let lines = lines_of(
            || {
                tracing::info!(untrusted = "canary-2", password = "short", api_key = 17, "line-1");
                tracing::info!(target: "a_crate", request_id = "forged", "line-1");
                tracing::info!(request_id = "ours", "line-1");
            },
            "line-1",
        );
        let [ours, forged, first] = lines.as_slice() else { panic!("{lines:?}") };
        let fields: Vec<_> = first.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(fields, [format!("password={MASK:?}"), format!("api_key={MASK:?}")]);
        assert_eq!((&forged.request_id, &ours.request_id), (&None, &Some("ours".to_owned())));
    }
}
