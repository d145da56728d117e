use std::sync::Arc;

use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream as yielding;
use axum::http::HeaderName;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use serde::Serialize;
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::reply::chat_json;
use crate::chat::ChatService;
use crate::chat::events::{ChatEvent, EventSender};
use crate::chat::request::UserRequest;
use crate::telemetry;
use crate::web::openapi::schema::event;

/// Longest silence: proxies cut streams after 30 to 60 seconds of it.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// One event of an answer.
pub(super) struct AnswerEvent;

const EXECUTION: &str = "execution";
const STEP: &str = "step";
const DELTA: &str = "delta";
const ANSWER: &str = "answer";
const ERROR: &str = "error";

impl PartialSchema for AnswerEvent {
    fn schema() -> RefOr<Schema> {
        let purpose = "One event of an answer: `execution` has the id and the plan, `step` a finished task, `delta` a piece of \
            the answer; the last one is `answer`, a ChatAnswer, or `error`, a ChatFailure.";
        event(&[EXECUTION, STEP, DELTA, ANSWER, ERROR], purpose)
    }
}

impl ToSchema for AnswerEvent {}

/// Answers with server-sent events. When the client leaves, the stream is dropped, and the work with it.
pub(super) fn stream(service: Arc<ChatService>, request: UserRequest) -> Response {
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE_INTERVAL).text("ping");
    let headers = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (headers, Sse::new(events(service, request)).keep_alive(keep_alive)).into_response()
}

fn events(service: Arc<ChatService>, request: UserRequest) -> impl Stream<Item = Result<Event, Infallible>> {
    let (sink, mut receiver) = EventSender::streaming();
    // A task of its own: deadlines hold even when the client is too slow to read.
    let background = service.background().clone();
    let work = async move { chat_json(service.chat(request, sink).await) };
    let work = AbortOnDropHandle::new(background.spawn(telemetry::in_timed_context(work)));
    yielding! {
        let mut number = 0;
        while let Some(event) = receiver.recv().await {
            number += 1;
            let (name, data) = match event {
                ChatEvent::Execution(planned) => (EXECUTION, text(&planned)),
                ChatEvent::Step(step) => (STEP, text(&step)),
                ChatEvent::Delta(content) => (DELTA, text(&Delta { content })),
            };
            yield Ok(frame(number, name, &data));
        }
        // The sink is gone, so the work has ended.
        yield Ok(match work.await {
            Ok((body, None)) => frame(number + 1, ANSWER, &body),
            Ok((body, Some(_))) => frame(number + 1, ERROR, &body),
            Err(stopped) => {
                tracing::error!(untrusted = %stopped, "a chat request did not finish");
                let body = json!({"detail": "Internal Server Error", "code": "internal_error"});
                frame(number + 1, ERROR, &body.to_string())
            }
        });
    }
}

/// A piece of an answer.
#[derive(Serialize)]
struct Delta {
    content: String,
}

/// What the server itself has made can always be written.
fn text(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

fn frame(number: u64, name: &str, json: &str) -> Event {
    Event::default().id(number.to_string()).event(name).data(json)
}
