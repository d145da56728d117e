use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use async_stream::stream as yielding;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::records::{StepView, unknown};
use crate::kernel::{Caller, Clock, Fields};
use crate::storage::{ExecutionLog, ExecutionStatus, ExecutionStore, LogFact, NumberedEvent, Step, TaskStart};
use crate::web::openapi::schema::{event, one_of, query, query_integer};
use crate::web::{
    ApiError, ErrorBody, FromFields, JsonReply, LastEventId, PathId, QueryParams, ReadErrors, accepts_event_stream,
    event_stream,
};

/// How often the store is asked for more of an execution that runs.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long one connection follows an execution. Readers of events connect again by themselves, and miss nothing.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(600);
/// Numbers of events, and 0, which comes before all.
const NUMBERS: RangeInclusive<i64> = 0..=999_999_999;

const STARTED: &str = "started";
const PLANNED: &str = "planned";
const TASK_STARTED: &str = "task_started";
const TASK_FINISHED: &str = "task_finished";
const ANSWER: &str = "answer";
const FAILED: &str = "failed";
const CANCELLED: &str = "cancelled";
const INTERRUPTED: &str = "interrupted";
const TYPES: [&str; 8] = [STARTED, PLANNED, TASK_STARTED, TASK_FINISHED, ANSWER, FAILED, CANCELLED, INTERRUPTED];

one_of!(
    /// What an event tells.
    ExecutionEventType,
    TYPES
);

/// An event as it is told.
#[derive(Serialize)]
pub(super) struct EventView<'a> {
    number: i64,
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    #[serde(flatten)]
    facts: EventFacts<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum EventFacts<'a> {
    Started { user_id: &'a str, prompt: &'a str },
    Planned { intent: Option<&'a str>, intent_confidence: Option<f64>, plan: Option<&'a Value> },
    TaskStarted(&'a TaskStart),
    TaskFinished(Box<StepView>),
    Ended { answer: Option<&'a str>, error: Option<&'a str>, metadata: Option<&'a Value> },
}

impl<'a> EventView<'a> {
    fn of(log: &'a ExecutionLog, event: &NumberedEvent<'a>) -> Self {
        let execution = &log.execution;
        let (kind, facts) = match event.fact {
            LogFact::Started => {
                (STARTED, EventFacts::Started { user_id: &execution.user_id, prompt: &execution.prompt })
            }
            LogFact::Planned => {
                let (intent, intent_confidence) =
                    execution.intent.as_ref().map(|(intent, surety)| (intent.as_str(), *surety)).unzip();
                (PLANNED, EventFacts::Planned { intent, intent_confidence, plan: execution.plan.as_ref() })
            }
            LogFact::TaskStarted(start) => (TASK_STARTED, EventFacts::TaskStarted(start)),
            LogFact::TaskFinished(step) => {
                (TASK_FINISHED, EventFacts::TaskFinished(Box::new(Step::clone(step).into())))
            }
            LogFact::Ended => {
                let (answer, error) = (execution.answer.as_deref(), execution.error.as_deref());
                let metadata = execution.metadata.as_ref().filter(|metadata| !metadata.is_null());
                (end_type(execution.status), EventFacts::Ended { answer, error, metadata })
            }
        };
        Self { number: event.number, kind, at: Clock::rfc3339(event.at_ms), facts }
    }

    /// The events behind this number.
    fn after(log: &'a ExecutionLog, number: i64) -> Vec<Self> {
        let events = log.events();
        events.iter().filter(|event| event.number > number).map(|event| Self::of(log, event)).collect()
    }

    fn frame(&self) -> Event {
        // What the server itself has made can always be written.
        let data = serde_json::to_string(self).unwrap_or_default();
        Event::default().id(self.number.to_string()).event(self.kind).data(data)
    }
}

/// What the end of an execution is called.
fn end_type(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::Completed | ExecutionStatus::Running => ANSWER,
        ExecutionStatus::Failed => FAILED,
        ExecutionStatus::Cancelled => CANCELLED,
        ExecutionStatus::Interrupted => INTERRUPTED,
    }
}

/// The log of an execution, or what of it was asked for.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true,
    "events": [
        {"number": 1, "type": "started", "at": "2026-11-22T17:20:03.374Z", "user_id": "ada", "prompt": "Switch the lamp on"},
        {"number": 2, "type": "planned", "at": "2026-11-22T17:20:03.381Z", "intent": "general_llm", "intent_confidence": 0.7,
            "plan": [{"id": "task_1", "action": "llm_call", "target": null, "depends_on": []}]},
        {"number": 3, "type": "task_started", "at": "2026-11-22T17:20:04.102Z", "id": "task_1.1", "action": "tool_execution",
            "target": "lamp", "query": "{\"on\":true}"},
        {"number": 4, "type": "task_finished", "at": "2026-11-22T17:20:04.315Z", "id": "task_1.1", "action": "tool_execution",
            "target": "lamp", "status": "completed", "error": null, "query": "{\"on\":true}", "output": "It is on.",
            "duration_ms": 213}
    ],
    "count": 4
}))]
pub(super) struct ExecutionEvents<'a> {
    success: bool,
    #[schema(value_type = Vec<ExecutionEvent>)]
    events: Vec<EventView<'a>>,
    count: usize,
}

/// One event of an execution. Which members it has beyond the first three depends on its type.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes EventView for the OpenAPI document")]
struct ExecutionEvent {
    /// Counts the events of one execution, from 1 on.
    number: i64,
    /// `started`, `planned`; `task_started` before a task with side effects begins (a tool, an agent), `task_finished` after any; at last
    /// `answer`, `failed`, `cancelled` or `interrupted`.
    #[schema(rename = "type", value_type = ExecutionEventType)]
    kind: String,
    #[schema(format = DateTime)]
    at: String,
    user_id: Option<String>,
    prompt: Option<String>,
    intent: Option<String>,
    intent_confidence: Option<f64>,
    #[schema(value_type = Option<Vec<Object>>)]
    plan: Option<Value>,
    /// Of the task.
    id: Option<String>,
    action: Option<String>,
    target: Option<String>,
    status: Option<String>,
    query: Option<String>,
    output: Option<String>,
    duration_ms: Option<i64>,
    answer: Option<String>,
    /// Of the task, or of the whole.
    error: Option<String>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// One event of those who follow an execution.
pub(super) struct FollowedEvent;

impl PartialSchema for FollowedEvent {
    fn schema() -> RefOr<Schema> {
        event(&TYPES, "One event of those who follow an execution: an ExecutionEvent, whose number is the id.")
    }
}

impl ToSchema for FollowedEvent {}

pub(super) struct EventQuery {
    after: i64,
}

impl IntoParams for EventQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![query("after", "Only events with a larger number; 0 by default", query_integer(&NUMBERS))]
    }
}

impl FromFields for EventQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { after: fields.int_or("after", 0, NUMBERS) }
    }
}

/// List the events of an execution
///
/// What happened, in order: numbers have no gaps. With `Accept: text/event-stream` the reply is a stream of server-sent events: first
/// those that there are, then, while the execution runs, each new one up to its end, for ten minutes at most. Whoever loses the stream of
/// a chat goes on here with the last id that it has given. Where nothing more is to come, the reply is a 204, which tells readers of
/// events to connect no more.
#[utoipa::path(get, path = "/executions/{id}/events", tag = "executions", operation_id = "list_execution_events",
    params(PathId, EventQuery, LastEventId),
    responses((status = 200, description = "The events, or a stream of them", content(
            (ExecutionEvents = "application/json"), (FollowedEvent = "text/event-stream"))),
        (status = 204, description = "It has ended, and there are no events behind the last one that the reader of a stream has"),
        (status = 404, description = "No such execution", body = ErrorBody), ReadErrors,
        (status = 503, description = "Postgres is away, and the execution may be there", body = ErrorBody)))]
pub(super) async fn events(
    State(store): State<ExecutionStore>,
    caller: Caller,
    PathId(id): PathId,
    QueryParams(EventQuery { after }): QueryParams<EventQuery>,
    LastEventId(last): LastEventId,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let after = last.unwrap_or(after);
    let log = store.log(&id).await?.filter(|log| log.execution.is_for(&caller)).ok_or_else(|| unknown(&id))?;
    let events = EventView::after(&log, after);
    if !accepts_event_stream(&headers) {
        let reply = ExecutionEvents { success: true, count: events.len(), events };
        return Ok(JsonReply::ok(reply).into_response());
    }
    if events.is_empty() && !log.execution.is_running() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    drop(events);
    Ok(event_stream(follow(store, log, after)))
}

/// The events behind this number, and while the execution runs those that come.
fn follow(
    store: ExecutionStore,
    mut log: ExecutionLog,
    mut after: i64,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let until = Instant::now() + FOLLOW_TIMEOUT;
    yielding! {
        loop {
            for event in EventView::after(&log, after) {
                after = event.number;
                yield Ok(event.frame());
            }
            if !log.execution.is_running() || Instant::now() >= until {
                break;
            }
            sleep(POLL_INTERVAL).await;
            match store.log(&log.execution.id).await {
                Ok(Some(now)) => log = now,
                // It was deleted.
                Ok(None) => break,
                // The store may be back in a moment.
                Err(error) => tracing::debug!(%error, "the events of an execution can't be read now"),
            }
        }
    }
}
