use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::kernel::{Clock, Error, Fields};
use crate::monitoring::MonitoringService;
use crate::monitoring::log_tail::LogTailEvent;
use crate::telemetry::{self, LEVEL_INPUT_NAMES, LEVEL_OUTPUT_NAMES, LogEntry, LogFilter};
use crate::web::openapi::schema::{
    PADDING, any_case, any_of, event, one_of, pattern, query, query_boolean, query_integer, short_text, text, time,
};
use crate::web::{ApiError, ErrorBody, FromFields, JsonReply, QueryParams, ReadErrors, event_stream};

/// Lines of one reply.
const LIMITS: RangeInclusive<i64> = 0..=10_000;
/// Longest text to look for, in characters: it is looked for in each line.
const MAX_NEEDLE_CHARS: usize = 256;

/// Which lines of the log are wanted, and whether new ones are.
pub(super) struct LogQuery {
    limit: usize,
    follow: bool,
    filter: LogFilter,
}

impl FromFields for LogQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        let limit = fields.count_or("limit", 100, LIMITS);
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let since = text(fields.optional("since"));
        let since_ms = since.as_deref().and_then(Clock::parse);
        if since.is_some() && since_ms.is_none() {
            fields.reject("since", "Input should be a time such as 2026-11-23T08:15:00Z");
        }
        let contains = text(fields.optional("contains"));
        if contains.as_ref().is_some_and(|text| text.chars().count() > MAX_NEEDLE_CHARS) {
            fields.reject("contains", format!("Input should have at most {MAX_NEEDLE_CHARS} characters"));
        }
        Self {
            limit,
            follow: fields.beyond_original(|fields| fields.or("follow", false)),
            filter: LogFilter {
                level: fields.optional("level"),
                since_ms,
                contains: contains.map(|text| text.to_lowercase()),
                request_id: text(fields.optional("request_id")),
                execution_id: text(fields.optional("execution_id")),
            },
        }
    }
}

impl IntoParams for LogQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let since = any_of([time(), pattern("^$")]);
        let level = pattern(format!(r"^{PADDING}(?:{}){PADDING}$", any_case(&LEVEL_INPUT_NAMES)));
        vec![
            query("limit", "Most lines; 100 if absent", query_integer(&LIMITS)),
            query("level", "`debug`, `info`, `warning` or `error`: lines of this level or a worse one", level),
            query("since", "Lines from this time on, such as 2026-11-23T08:15:00Z", since),
            query("contains", "Lines that say this somewhere, in any case", short_text(MAX_NEEDLE_CHARS)),
            query("request_id", "Lines of this request", text()),
            query("execution_id", "Lines of this execution", text()),
            query("follow", "Go on with new lines, as server-sent events", query_boolean()),
        ]
    }
}

one_of!(
    /// Level of a line.
    LogLevelName,
    LEVEL_OUTPUT_NAMES
);

/// Lines of the log, newest first.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "logs": [{
        "id": 42, "timestamp": "2026-11-23T08:15:00.123Z", "level": "INFO", "target": "orchestrator_studio::web::log_line",
        "message": "served", "request_id": "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11", "execution_id": null,
        "fields": {"method": "GET", "route": "/api/agents", "status": 200, "duration_ms": 0.4}
    }],
    "count": 1
}))]
pub(super) struct Logs {
    #[schema(value_type = Vec<LogLine>)]
    logs: Vec<Arc<LogEntry>>,
    count: usize,
}

/// One line of the log.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes LogEntry for the OpenAPI document")]
struct LogLine {
    /// Counts the lines since the server was started.
    id: u64,
    #[schema(format = DateTime)]
    timestamp: String,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    #[schema(value_type = LogLevelName)]
    level: String,
    /// The part of the server that speaks.
    target: String,
    message: String,
    request_id: Option<String>,
    execution_id: Option<String>,
    /// Particulars.
    #[schema(value_type = Object)]
    fields: serde_json::Value,
}

/// One event of those who follow the log.
struct LogEvent;

const LINE: &str = "log";
const MISSED: &str = "missed";

impl PartialSchema for LogEvent {
    fn schema() -> RefOr<Schema> {
        let purpose =
            "One event of those who follow the log: `log` is a LogLine, `missed` says how many lines are lost.";
        event(&[LINE, MISSED], purpose)
    }
}

impl ToSchema for LogEvent {}

/// The latest lines of the log
///
/// Newest first, out of the 5,000 latest lines that `LOG_LEVEL` let through. All filters must fit. With `follow=true` the reply
/// is a stream of server-sent events: first the latest lines, oldest first, as `log` events, then each new one. A client that
/// reads too slowly gets a last event `missed`; one that does not read for a minute is cut off. At most 32 may follow at once.
#[utoipa::path(get, path = "/api/monitoring/logs", tag = "monitoring", operation_id = "monitoring_logs",
    params(LogQuery),
    responses((status = 200, description = "The lines, or events with them", content(
            (Logs = "application/json"), (LogEvent = "text/event-stream"))), ReadErrors,
        (status = 503, description = "Too many follow the log already", body = ErrorBody)))]
pub(super) async fn logs(
    State(monitoring): State<MonitoringService>,
    QueryParams(query): QueryParams<LogQuery>,
) -> Response {
    if query.follow {
        return follow(&monitoring, query).map_err(ApiError::from).into_response();
    }
    // Megabytes are searched.
    let search = tokio::task::spawn_blocking(move || telemetry::logs().newest(&query.filter, query.limit));
    let found = search.await.map_err(|stopped| Error::internal("the log could not be searched", stopped));
    let reply = |(logs, _): (Vec<_>, _)| JsonReply::ok(Logs { count: logs.len(), logs });
    found.map(reply).map_err(ApiError::from).into_response()
}

fn follow(monitoring: &MonitoringService, query: LogQuery) -> Result<Response, Error> {
    let events = monitoring.log_tail.follow(query.filter, query.limit)?.map(|followed| {
        Ok::<_, Infallible>(match followed {
            LogTailEvent::Line(line) => {
                Event::default().id(line.id.to_string()).event(LINE).data(json!(line).to_string())
            }
            LogTailEvent::Missed(count) => Event::default().event(MISSED).data(json!({"count": count}).to_string()),
        })
    });
    Ok(event_stream(events))
}
