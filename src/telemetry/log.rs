use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::PanicHookInfo;
use std::sync::LazyLock;

use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::context::{find_request, note_execution};
use super::level::LevelLayer;
use super::redact::Redactor;
use super::writer::{self, FlushGuard};
use super::{LogEntry, LogRing, metrics};
use crate::kernel::Clock;
use crate::settings::{MonitoringSettings, Settings, SharedSettings};

/// There is one log for the process, as there is one standard error.
static RING: LazyLock<LogRing> = LazyLock::new(LogRing::default);
static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::default);

/// Sends the log to standard error and keeps its latest lines. A second call changes nothing.
pub fn init(settings: &Settings) -> FlushGuard {
    let server = &settings.server;
    let MonitoringSettings { log_format, log_content, .. } = *settings.monitoring;
    let filter = LevelLayer::new(&server.log_level, server.debug, log_content);
    let lines = LogLayer { content: log_content };
    // It is set already in the demo.
    if tracing_subscriber::registry().with(lines).with(filter).try_init().is_ok() {
        writer::start(&RING, log_format);
        std::panic::set_hook(Box::new(log_panic));
    }
    FlushGuard(&RING)
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
    writer::write_stderr(REDACTOR.redact(text) + "\n");
}

/// Writes what the log still holds, unless nobody reads it: for an end of the process that drops nothing.
pub fn flush() {
    drop(FlushGuard(&RING));
}

/// Masks the secrets of these settings in the log from now on, whatever they become.
pub fn redact_secrets_of(settings: SharedSettings) {
    REDACTOR.set_settings(settings);
}

/// The latest lines of the log.
pub fn logs() -> &'static LogRing {
    &RING
}

/// Turns events into lines.
struct LogLayer {
    content: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        note_execution(attributes, id, &context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let request = context.event_scope(event).and_then(find_request);
        let now_ms = Clock::system().now_ms();
        let entry = RING.push(LogEntry::new(event, request.as_deref(), now_ms, &REDACTOR, self.content));
        metrics::log_line(entry.level);
    }
}

#[cfg(test)]
/// Keeps spans and lines in this process, but writes none.
pub(crate) fn init_for_tests() {
    drop(tracing_subscriber::registry().with(LogLayer { content: false }).try_init());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::MASK;
    use crate::telemetry::LogFilter;

    fn lines_of(what: impl FnOnce(), says: &str) -> Vec<std::sync::Arc<LogEntry>> {
        init_for_tests();
        what();
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
