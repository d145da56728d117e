use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::body::ChatBody;
use super::reply::{ChatAnswer, ChatFailure, ChatRefusal, chat_json};
use super::stream::{AnswerEvent, stream};
use crate::chat::ChatService;
use crate::chat::events::EventSender;
use crate::kernel::Caller;
use crate::web::{ApiError, BodyErrors, JsonBody, JsonReply, JsonText, accepts_event_stream};

/// Whether chat is there.
#[derive(Serialize, ToSchema)]
pub(super) struct ChatHealth {
    #[schema(example = "healthy")]
    status: &'static str,
    #[schema(example = "chat")]
    service: &'static str,
    #[schema(example = "1.0.0")]
    version: String,
}

/// Chat
///
/// Works out what the prompt asks for, does it in steps, answers, and remembers both turns under `user_id`. Streaming
/// gives the events `execution`, `step`, `delta`, then `answer` (the whole reply) or `error`.
#[utoipa::path(post, path = "/chat", tag = "chat", operation_id = "chat", request_body = ChatBody, responses(
    (status = 200, description = "The answer, or a stream of events", content(
        (ChatAnswer = "application/json"), (AnswerEvent = "text/event-stream")), links(
            ("execution" = (operation_id = "get_execution", parameters(("id" = "$response.body#/execution_id")))))),
    BodyErrors,
    (status = 502, description = "The LLM failed, or the identity provider", body = ChatRefusal),
    (status = 503, description = "No LLM is configured, or too many chats are being answered", body = ChatRefusal),
    (status = 504, description = "The LLM, or the request as a whole, took too long", body = ChatFailure)))]
pub(super) async fn chat(
    State(service): State<Arc<ChatService>>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<ChatBody>,
) -> Result<Response, ApiError> {
    let is_stream = body.stream || accepts_event_stream(&headers);
    let request = body.into_request(caller.clone())?;
    let permit = service.admit(&caller).await?;
    if is_stream {
        return Ok(stream(service, request, permit));
    }
    let (reply, error) = chat_json(service.chat(request, permit, EventSender::default()).await);
    Ok(match error {
        Some(error) => {
            let mut response = JsonText(error.status(), reply).into_response();
            response.headers_mut().extend(error.headers());
            response
        }
        None => JsonText(StatusCode::OK, reply).into_response(),
    })
}

/// Chat health
///
/// Answers as long as the module is served; contacts nothing.
#[utoipa::path(get, path = "/chat/health", tag = "chat", operation_id = "chat_health",
    responses((status = 200, description = "It is there", body = ChatHealth)))]
pub(super) async fn health(State(service): State<Arc<ChatService>>) -> JsonReply<ChatHealth> {
    let version = service.version();
    JsonReply::ok(ChatHealth { status: "healthy", service: "chat", version })
}
