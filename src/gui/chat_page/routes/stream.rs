use std::sync::Arc;

use std::convert::Infallible;

use async_stream::stream as yielding;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::Stream;
use tokio_util::task::AbortOnDropHandle;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::message::MessageBody;
use crate::chat::{ChatEvent, ChatService, EventSender, UserRequest};
use crate::gui::chat_page::ChatPageService;
use crate::gui::chat_page::turn::Turn;
use crate::kernel::Caller;
use crate::limits::ChatPermit;
use crate::telemetry;
use crate::web::openapi::schema::text_event;
use crate::web::{ApiError, BodyErrors, ErrorBody, JsonBody, event_stream};

/// One event of an answer.
pub(super) struct TextEvent;

/// What an event is called that has no name.
const PIECE: &str = "message";
const DONE: &str = "done";

impl PartialSchema for TextEvent {
    fn schema() -> RefOr<Schema> {
        text_event(&[PIECE, DONE], "One event of an answer: a piece of its text, or the end.")
    }
}

impl ToSchema for TextEvent {}

/// Send a message and stream the answer
///
/// Server-sent events without a name, each a piece of the answer as plain text (a line feed begins another `data:` line, as the
/// standard has it), and at the end one called `done`. What fails is told in words, as a last piece. Begin the conversation before, to
/// know its id.
#[utoipa::path(post, path = "/api/chat/ui/send/stream", tag = "gui", operation_id = "stream_chat_page_message",
    request_body = MessageBody,
    responses((status = 200, description = "The answer in pieces", body = TextEvent, content_type = "text/event-stream"),
        BodyErrors,
        (status = 404, description = "No such conversation", body = ErrorBody),
        (status = 503, description = "Too many chats are being answered; or Postgres is away, and the conversation may be there", body = ErrorBody)))]
pub(super) async fn stream(
    State(page): State<ChatPageService>,
    caller: Caller,
    JsonBody(MessageBody(draft)): JsonBody<MessageBody>,
) -> Result<Response, ApiError> {
    let permit = page.chat.admit(&caller).await?;
    let (turn, request) = page.begin(draft, caller).await?;
    Ok(event_stream(events(page.chat, turn, request, permit)))
}

/// When the client leaves, this is dropped, and with it the work and the turn, which keeps what was shown.
fn events(
    chat: Arc<ChatService>,
    mut turn: Turn,
    request: UserRequest,
    permit: ChatPermit,
) -> impl Stream<Item = Result<Event, Infallible>> {
    let (sink, mut receiver) = EventSender::streaming();
    // A task of its own: deadlines hold even when the client is too slow to read.
    let background = chat.background().clone();
    let work = async move { chat.chat(request, permit, sink).await };
    let work = AbortOnDropHandle::new(background.spawn(telemetry::in_timed_context(work)));
    yielding! {
        while let Some(event) = receiver.recv().await {
            if let ChatEvent::Delta(text) = event {
                turn.show(&text);
                yield Ok(piece(&text));
            }
        }
        // The sink is gone, so the work has ended.
        match work.await {
            Ok(response) => {
                let rest = turn.finish(response).await.rest;
                if !rest.is_empty() {
                    yield Ok(piece(&rest));
                }
            }
            Err(stopped) => {
                tracing::error!(untrusted = %stopped, "a chat request did not finish");
                drop(turn);
                yield Ok(piece("There is no answer: Internal Server Error"));
            }
        }
        // Readers of events hear of none without data; to a reader of lines this adds nothing.
        yield Ok(Event::default().event(DONE).data("\n"));
    }
}

/// A piece of the answer. A carriage return would end a line, as the line feed after it does.
fn piece(text: &str) -> Event {
    Event::default().data(text.replace('\r', ""))
}
