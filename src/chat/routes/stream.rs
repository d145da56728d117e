use std::sync::Arc;

use std::convert::Infallible;

use async_stream::stream as yielding;
use axum::response::Response;
use axum::response::sse::Event;
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
use crate::limits::ChatPermit;
use crate::telemetry;
use crate::web::event_stream;
use crate::web::openapi::schema::event;

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
            the answer; the last one is `answer`, a ChatAnswer, or `error`, a ChatFailure. The id is the number of the event in the \
            log of the execution; a `delta` is none there.";
        event(&[EXECUTION, STEP, DELTA, ANSWER, ERROR], purpose)
    }
}

impl ToSchema for AnswerEvent {}

/// Answers with server-sent events. When the client leaves, the stream is dropped, and the work with it.
pub(super) fn stream(service: Arc<ChatService>, request: UserRequest, permit: ChatPermit) -> Response {
    event_stream(events(service, request, permit))
}

fn events(
    service: Arc<ChatService>,
    request: UserRequest,
    permit: ChatPermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let (sink, mut receiver) = EventSender::streaming();
    // A task of its own: deadlines hold even when the client is too slow to read.
    let background = service.background().clone();
    let work = async move {
        let response = service.chat(request, permit, sink).await;
        (response.end_number, chat_json(response))
    };
    let work = AbortOnDropHandle::new(background.spawn(telemetry::in_timed_context(work)));
    yielding! {
        while let Some(event) = receiver.recv().await {
            yield Ok(match event {
                ChatEvent::Execution { number, planned } => logged(number, EXECUTION, &text(&planned)),
                ChatEvent::Step { number, step } => logged(number, STEP, &text(&step)),
                ChatEvent::Delta(content) => frame(DELTA, &text(&Delta { content })),
            });
        }
        // The sink is gone, so the work has ended.
        yield Ok(match work.await {
            Ok((number, (body, None))) => logged(number, ANSWER, &body),
            Ok((number, (body, Some(_)))) => logged(number, ERROR, &body),
            Err(stopped) => {
                tracing::error!(untrusted = %stopped, "a chat request did not finish");
                let body = json!({"detail": "Internal Server Error", "code": "internal_error"});
                frame(ERROR, &body.to_string())
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

/// An event that is in the log of the execution, too, under this number: a reader who loses the stream goes on behind it there.
fn logged(number: i64, name: &str, json: &str) -> Event {
    frame(name, json).id(number.to_string())
}

fn frame(name: &str, json: &str) -> Event {
    Event::default().event(name).data(json)
}
