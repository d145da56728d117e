//! `/api/memory`: history, context, summary, stats, clear, add a message; the module's own config and health.

mod requests;

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::requests::{ContextQuery, HistoryQuery, MessageQuery, NewMessage};
use super::context::ContextMessage;
use super::service::{MemoryService, MemoryStats, StoreReport};
use crate::kernel::{Caller, Clock, Role};
use crate::storage::{HistoryPage, Message};
use crate::web::openapi::schema::one_of;
use crate::web::{
    ApiError, BodyErrors, ErrorBody, JsonReply, OptionalBody, PathSpeaker, PathUser, QueryParams, ReadErrors,
};

/// The module's routes.
pub fn router() -> OpenApiRouter<MemoryService> {
    OpenApiRouter::new()
        .routes(routes!(config))
        .routes(routes!(health))
        .routes(routes!(history))
        .routes(routes!(context))
        .routes(routes!(summary))
        .routes(routes!(stats))
        .routes(routes!(clear))
        .routes(routes!(add_message))
}

one_of!(
    /// Who spoke.
    MessageRole,
    Role::OF_MESSAGES.map(Role::as_str)
);

/// A stored message.
#[derive(Serialize, ToSchema)]
struct MessageView {
    /// `user`, `assistant` or `system`.
    #[schema(value_type = MessageRole, example = "user")]
    role: &'static str,
    #[schema(example = "My name is Ada.")]
    content: String,
    #[schema(format = DateTime, example = "2026-11-22T17:20:03.374Z")]
    timestamp: String,
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

impl From<&Message> for MessageView {
    fn from(message: &Message) -> Self {
        Self {
            role: message.role.as_str(),
            content: message.content.clone(),
            timestamp: Clock::rfc3339(message.created_ms),
            metadata: message.metadata.clone(),
        }
    }
}

/// The newest messages, newest first.
#[derive(Serialize, ToSchema)]
struct History {
    success: bool,
    #[schema(example = "ada")]
    user_id: String,
    messages: Vec<MessageView>,
    #[schema(example = 1)]
    count: usize,
    /// Of an archive: pass it as `cursor` for the next page; absent on the last one.
    #[schema(example = "1795367403374_12")]
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What a model is shown.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "user_id": "ada", "context": [{"role": "user", "content": "My name is Ada."}], "message_count": 1
}))]
struct Context {
    success: bool,
    user_id: String,
    #[schema(value_type = Vec<Object>)]
    context: Vec<ContextMessage>,
    message_count: usize,
}

/// What was folded away.
#[derive(Serialize, ToSchema)]
struct Summary {
    success: bool,
    #[schema(example = "ada")]
    user_id: String,
    #[schema(example = "Ada plans a trip to Lisbon in May.")]
    summary: Option<String>,
    has_summary: bool,
}

/// Numbers about a conversation.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "success": true, "user_id": "ada", "stats": {"total_messages": 2, "user_messages": 1, "assistant_messages": 1,
        "system_messages": 0, "total_characters": 40, "has_summary": false, "memory_enabled": true, "max_messages": 50}
}))]
struct Stats {
    success: bool,
    user_id: String,
    #[schema(value_type = Object)]
    stats: MemoryStats,
}

/// Done.
#[derive(Serialize, ToSchema)]
struct ClearMemoryResponse {
    success: bool,
    #[schema(example = "Conversation memory cleared for user ada")]
    message: String,
}

/// A message was added.
#[derive(Serialize, ToSchema)]
struct AddMessageResponse {
    success: bool,
    #[schema(example = "Message added to conversation history")]
    message: &'static str,
    #[schema(example = "ada")]
    user_id: String,
    #[schema(value_type = MessageRole, example = "user")]
    role: &'static str,
}

/// How memory is set up.
#[derive(Serialize, ToSchema)]
struct MemoryConfig {
    enabled: bool,
    #[schema(example = 50)]
    max_messages: usize,
    summary_enabled: bool,
    redis_configured: bool,
    postgres_configured: bool,
}

/// Whether memory works, store by store.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"healthy": true, "enabled": true, "storage": [
    {"type": "redis", "status": "not_configured"}, {"type": "postgres", "status": "not_configured"},
    {"type": "sqlite", "status": "healthy"}
], "degraded": []}))]
struct MemoryHealth {
    healthy: bool,
    enabled: bool,
    #[schema(value_type = Vec<Value>)]
    storage: Vec<StoreReport>,
    /// What the embedded store stands in for at the moment.
    degraded: Vec<String>,
}

/// Conversation history
///
/// The newest messages, newest first. An unknown user has an empty history. With `archive=true`, all that was said since the conversation
/// began or was cleared, page by page: also what a summary stands for by now, where Postgres keeps it.
#[utoipa::path(get, path = "/api/memory/{user_id}/history", tag = "memory", operation_id = "get_history",
    params(PathUser, HistoryQuery),
    responses((status = 200, description = "The messages", body = History), ReadErrors,
        (status = 400, description = "The cursor is none that a page has given", body = ErrorBody),
        (status = 503, description = "Postgres is away, which has the archive", body = ErrorBody)))]
async fn history(
    State(memory): State<MemoryService>,
    PathUser(user): PathUser,
    QueryParams(query): QueryParams<HistoryQuery>,
) -> Result<JsonReply<History>, ApiError> {
    let settings = memory.settings.snapshot().memory;
    let page = if query.archive || query.cursor.is_some() {
        memory.archive(&user, query.limit, query.cursor.as_deref(), &settings).await?
    } else {
        HistoryPage { messages: memory.history(&user, query.limit, &settings).await?, next: None }
    };
    let messages: Vec<MessageView> = page.messages.iter().map(|message| MessageView::from(&**message)).collect();
    let (count, next_cursor) = (messages.len(), page.next.map(|next| next.to_string()));
    Ok(JsonReply::ok(History { success: true, user_id: user.to_string(), messages, count, next_cursor }))
}

/// Context for a model
///
/// The summary, the system messages and the newest turns that fit `max_tokens`, oldest first.
#[utoipa::path(get, path = "/api/memory/{user_id}/context", tag = "memory", operation_id = "get_context",
    params(PathUser, ContextQuery),
    responses((status = 200, description = "The context", body = Context), ReadErrors))]
async fn context(
    State(memory): State<MemoryService>,
    PathUser(user): PathUser,
    QueryParams(ContextQuery(max_tokens)): QueryParams<ContextQuery>,
) -> Result<JsonReply<Context>, ApiError> {
    let context = memory.context(&user, max_tokens).await?;
    let message_count = context.len();
    Ok(JsonReply::ok(Context { success: true, user_id: user.to_string(), context, message_count }))
}

/// Summary
///
/// What older turns were folded into, if the conversation has outgrown `MEMORY_MAX_MESSAGES`.
#[utoipa::path(get, path = "/api/memory/{user_id}/summary", tag = "memory", operation_id = "get_summary",
    params(PathUser),
    responses((status = 200, description = "The summary", body = Summary), ReadErrors))]
async fn summary(
    State(memory): State<MemoryService>,
    PathUser(user): PathUser,
) -> Result<JsonReply<Summary>, ApiError> {
    let summary = memory.summary(&user).await?;
    Ok(JsonReply::ok(Summary { success: true, user_id: user.to_string(), has_summary: summary.is_some(), summary }))
}

/// Statistics
///
/// Numbers about the messages that the history shows. Characters are code points.
#[utoipa::path(get, path = "/api/memory/{user_id}/stats", tag = "memory", operation_id = "get_memory_stats",
    params(PathUser),
    responses((status = 200, description = "The numbers", body = Stats), ReadErrors))]
async fn stats(State(memory): State<MemoryService>, PathUser(user): PathUser) -> Result<JsonReply<Stats>, ApiError> {
    let stats = memory.stats(&user, &memory.settings.snapshot().memory).await?;
    Ok(JsonReply::ok(Stats { success: true, user_id: user.to_string(), stats }))
}

/// Clear a conversation
///
/// Forgets history and summary. Succeeds for an unknown user too.
#[utoipa::path(delete, path = "/api/memory/{user_id}", tag = "memory", operation_id = "clear_memory",
    params(PathUser),
    responses((status = 200, description = "Cleared", body = ClearMemoryResponse), ReadErrors))]
async fn clear(
    State(memory): State<MemoryService>,
    PathUser(user): PathUser,
) -> Result<JsonReply<ClearMemoryResponse>, ApiError> {
    memory.clear(&user).await?;
    Ok(JsonReply::ok(ClearMemoryResponse {
        success: true,
        message: format!("Conversation memory cleared for user {user}"),
    }))
}

/// Add a message
///
/// Takes a JSON body of `role`, `content` and `metadata`; or, as the original did, `role` and `content` as query
/// parameters and the metadata as the body. Where the query has only one of the two, the body has the rest.
#[utoipa::path(post, path = "/api/memory/{user_id}/message", tag = "memory", operation_id = "add_message",
    params(PathSpeaker, MessageQuery),
    request_body(content = NewMessage, description = "The message; its metadata if role and content are query parameters"),
    responses((status = 200, description = "Added", body = AddMessageResponse), BodyErrors,
        (status = 503, description = "Memory is disabled", body = ErrorBody)))]
async fn add_message(
    State(memory): State<MemoryService>,
    caller: Caller,
    PathSpeaker(user): PathSpeaker,
    QueryParams(query): QueryParams<MessageQuery>,
    body: OptionalBody,
) -> Result<JsonReply<AddMessageResponse>, ApiError> {
    let settings = memory.settings.snapshot();
    let message = NewMessage::combine(query, body, settings.server.object_limits)?;
    let role = message.role()?;
    let message = memory.message(role, message.content, message.metadata);
    memory.append(&user, &[message], &caller, &settings).await?;
    let message = "Message added to conversation history";
    Ok(JsonReply::ok(AddMessageResponse { success: true, message, user_id: user.to_string(), role: role.as_str() }))
}

/// Memory configuration
///
/// Whether memory is on, and its limits.
#[utoipa::path(get, path = "/api/memory/config", tag = "memory", operation_id = "get_memory_config",
    responses((status = 200, description = "The configuration", body = MemoryConfig)))]
async fn config(State(memory): State<MemoryService>) -> JsonReply<MemoryConfig> {
    let settings = memory.settings.snapshot();
    JsonReply::ok(MemoryConfig {
        enabled: settings.memory.enabled,
        max_messages: settings.memory.max_messages,
        summary_enabled: settings.memory.summary_enabled,
        redis_configured: settings.storage.redis_url.is_some(),
        postgres_configured: settings.storage.postgres_dsn.is_some(),
    })
}

/// Memory health
///
/// Asks each store that is in use whether it answers.
#[utoipa::path(get, path = "/api/memory/health", tag = "memory", operation_id = "memory_health",
    responses((status = 200, description = "Whether memory works", body = MemoryHealth)))]
async fn health(State(memory): State<MemoryService>) -> JsonReply<MemoryHealth> {
    let settings = memory.settings.snapshot();
    let (healthy, storage) = memory.health(&settings.storage).await;
    let degraded = memory.degraded();
    JsonReply::ok(MemoryHealth { healthy, enabled: settings.memory.enabled, storage, degraded })
}
