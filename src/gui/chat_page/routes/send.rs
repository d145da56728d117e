use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::message::MessageBody;
use crate::chat::EventSender;
use crate::gui::chat_page::ChatPageService;
use crate::gui::chat_page::turn::{AnswerMetadata, TurnReply};
use crate::kernel::Caller;
use crate::web::{ApiError, BodyErrors, ErrorBody, JsonBody, JsonReply};

/// A message that was answered.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "conversation_id": "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10", "message_id": "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11",
    "answer": "You want to go there in May.",
    "metadata": {"model_used": "llama3.2", "routing_profile": "direct_llm", "tools_used": [],
        "steps": [{"id": "task_1", "action": "llm_call", "target": "llama3.2", "status": "completed", "duration_ms": 412,
            "error": null, "query": null}],
        "execution_id": "c2d1a0f4-8a55-4f6e-b0a1-1c9f0f5a1142", "duration_ms": 415, "error": null},
    "error": null
}))]
pub(super) struct MessageReply {
    conversation_id: String,
    /// Id of the answer.
    message_id: String,
    /// If there is none, a sentence that says so.
    answer: String,
    #[schema(value_type = Object)]
    metadata: AnswerMetadata,
    /// Why there is no answer, or only a partial one.
    error: Option<String>,
}

impl From<TurnReply> for MessageReply {
    fn from(reply: TurnReply) -> Self {
        let error = reply.error().map(str::to_owned);
        let TurnReply { conversation: conversation_id, message: message_id, answer, metadata, .. } = reply;
        Self { conversation_id, message_id, answer, metadata, error }
    }
}

/// Send a message
///
/// Has it answered as the routing profile says. A conversation without a title is called by its first words. What fails is told with a
/// status of 200, in `error` and as the answer, and stays in the conversation.
#[utoipa::path(post, path = "/api/chat/ui/send", tag = "gui", operation_id = "send_chat_page_message",
    request_body = MessageBody,
    responses((status = 200, description = "It was answered, or could not be", body = MessageReply), BodyErrors,
        (status = 404, description = "No such conversation", body = ErrorBody),
        (status = 503, description = "Too many chats are being answered; or Postgres is away, and the conversation may be there", body = ErrorBody)))]
pub(super) async fn send(
    State(page): State<ChatPageService>,
    caller: Caller,
    JsonBody(MessageBody(draft)): JsonBody<MessageBody>,
) -> Result<JsonReply<MessageReply>, ApiError> {
    let permit = page.chat.admit(&caller).await?;
    let (turn, request) = page.begin(draft, caller).await?;
    let response = page.chat.chat(request, permit, EventSender::default()).await;
    Ok(JsonReply::ok(turn.finish(response).await.into()))
}
