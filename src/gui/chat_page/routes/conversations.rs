use std::ops::RangeInclusive;

use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::model_id;
use crate::gui::chat_page::ChatPageService;
use crate::gui::chat_page::profile::RoutingProfile;
use crate::gui::chat_page::service::ConversationDraft;
use crate::kernel::{Caller, Clock, Fields, JsonReader, Permission, UserId};
use crate::storage::{Transcript, TranscriptFilter, TranscriptMessage};
use crate::web::openapi::schema::{Members, any_of, name_of, or_null, pattern, query, query_integer, short_text, text};
use crate::web::openapi::texts;
use crate::web::{ApiError, BodyErrors, ErrorBody, FromFields, JsonBody, JsonReply, PathId, QueryParams, ReadErrors};

/// Longest title, in characters.
const MAX_TITLE_CHARS: usize = 200;
/// Conversations on one page.
const PAGE_SIZES: RangeInclusive<i64> = 1..=200;
/// How many conversations a page may leave out.
const OFFSETS: RangeInclusive<i64> = 0..=i64::MAX;

/// A conversation.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationView {
    #[schema(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    id: String,
    #[schema(example = "What did I tell you about Lisbon?")]
    title: String,
    #[schema(example = "ada")]
    user_id: Option<String>,
    /// Used where a message names none.
    #[schema(example = "llama3.2")]
    model_id: Option<String>,
    /// Used where a message names none.
    #[schema(example = "direct_llm")]
    routing_profile: String,
    /// Always null: what a summary is for is the memory's.
    #[schema(example = json!(null))]
    summary: Option<String>,
    #[schema(format = DateTime, example = "2026-12-01T17:20:03.374Z")]
    created_at: String,
    /// When a message was added last.
    #[schema(format = DateTime, example = "2026-12-01T17:21:30.112Z")]
    updated_at: String,
    /// Always false: what is deleted is gone.
    is_deleted: bool,
    #[schema(example = 2)]
    message_count: i64,
}

impl From<Transcript> for ConversationView {
    fn from(it: Transcript) -> Self {
        Self {
            id: it.id,
            title: it.title,
            user_id: it.user_id,
            model_id: it.model_id,
            routing_profile: it.routing_profile,
            summary: None,
            created_at: Clock::rfc3339(it.created_ms),
            updated_at: Clock::rfc3339(it.updated_ms),
            is_deleted: false,
            message_count: it.message_count,
        }
    }
}

/// A message as it was shown.
#[derive(Serialize, ToSchema)]
pub(super) struct ShownMessage {
    #[schema(example = "0b7c3f0a-6c0e-4d5e-9d5e-2f9f6f0f5a11")]
    id: String,
    #[schema(example = "5f0c6a9e-53a1-4f0b-9a55-8f3d2c6f3f10")]
    conversation_id: String,
    /// `user` or `assistant`.
    #[schema(example = "assistant")]
    role: String,
    #[schema(example = "You want to go there in May.")]
    content: String,
    /// Of a user's message as it was sent; of an answer `model_used`, `routing_profile`, `tools_used`, `steps`, `error` and more.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    #[schema(format = DateTime, example = "2026-12-01T17:21:30.112Z")]
    created_at: String,
}

impl ShownMessage {
    fn new(conversation: &str, it: TranscriptMessage) -> Self {
        Self {
            id: it.id,
            conversation_id: conversation.to_owned(),
            role: it.role,
            content: it.content,
            metadata: JsonReader::stored().read(it.metadata.as_bytes()).unwrap_or_default(),
            created_at: Clock::rfc3339(it.created_ms),
        }
    }
}

/// A page of conversations, those first that a message was added to last.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationPage {
    conversations: Vec<ConversationView>,
    /// How many there are in all.
    #[schema(example = 1)]
    total: i64,
    #[schema(example = 50)]
    limit: usize,
    #[schema(example = 0)]
    offset: usize,
}

/// A conversation and its newest messages, at most 1000, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationDetail {
    conversation: ConversationView,
    messages: Vec<ShownMessage>,
}

/// A conversation that was begun.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationCreated {
    success: bool,
    conversation: ConversationView,
}

/// What was done.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationDeleted {
    success: bool,
    #[schema(example = "Conversation deleted")]
    message: &'static str,
}

/// Which conversations to list.
pub(super) struct ConversationQuery(TranscriptFilter);

impl IntoParams for ConversationQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            query("user_id", "Of this user only; of all if it is empty", text()),
            query("limit", "Page size, 50 by default", query_integer(&PAGE_SIZES)),
            query("offset", "Leave out this many at the beginning", query_integer(&OFFSETS)),
        ]
    }
}

impl FromFields for ConversationQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self(TranscriptFilter {
            user_id: fields.optional::<String>("user_id").filter(|user| !user.is_empty()),
            limit: fields.count_or("limit", 50, PAGE_SIZES),
            offset: fields.count_or("offset", 0, OFFSETS),
        })
    }
}

/// A conversation to begin.
pub(super) struct NewConversation(ConversationDraft);

impl PartialSchema for NewConversation {
    fn schema() -> RefOr<Schema> {
        let user = any_of([texts::speaker(), pattern("^$")]);
        let title = "Null or blank: the first words of the first message.";
        Members::new()
            .optional("title", title, or_null(short_text(MAX_TITLE_CHARS)))
            .optional("model_id", "For messages that name none.", model_id::schema())
            .optional("routing_profile", "For messages that name none; `direct_llm` if none.", or_null(profile_name()))
            .optional("user_id", "Whose it is.", or_null(user))
            .with_example(
                "A conversation to begin.",
                json!({"title": "New Conversation", "routing_profile": "direct_llm", "user_id": "ada"}),
            )
    }
}

impl ToSchema for NewConversation {}

/// The id of a routing profile.
pub(super) fn profile_name() -> Schema {
    name_of(RoutingProfile::ALL.map(RoutingProfile::id))
}

impl FromFields for NewConversation {
    fn read(fields: &mut Fields<'_>) -> Self {
        let title: Option<String> = fields.optional("title");
        if title.as_ref().is_some_and(|title| title.chars().count() > MAX_TITLE_CHARS) {
            fields.reject("title", format!("Title should have at most {MAX_TITLE_CHARS} characters"));
        }
        let user: Option<String> = fields.optional::<String>("user_id").filter(|user| !user.is_empty());
        let user = user
            .map(|user| UserId::parse_speaker(&user))
            .and_then(|user| user.map_err(|expected| fields.reject("user_id", expected)).ok());
        Self(ConversationDraft {
            title: title.filter(|title| !title.trim().is_empty()),
            model_id: model_id::read(fields),
            profile: fields.optional("routing_profile").unwrap_or_default(),
            user,
        })
    }
}

/// List conversations
///
/// Newest first by when a message was added last.
#[utoipa::path(get, path = "/api/chat/ui/conversations", tag = "gui", operation_id = "list_chat_page_conversations",
    params(ConversationQuery), responses((status = 200, description = "A page", body = ConversationPage), ReadErrors))]
pub(super) async fn list(
    State(page): State<ChatPageService>,
    caller: Caller,
    QueryParams(ConversationQuery(filter)): QueryParams<ConversationQuery>,
) -> Result<JsonReply<ConversationPage>, ApiError> {
    let TranscriptFilter { user_id, limit, offset } = filter;
    let Ok(user_id) = caller.listed_owner(user_id, Permission::MemoryAll) else {
        return Ok(JsonReply::ok(ConversationPage { conversations: Vec::new(), total: 0, limit, offset }));
    };
    let found = page.list(&TranscriptFilter { user_id, limit, offset }).await?;
    let conversations = found.transcripts.into_iter().map(Into::into).collect();
    Ok(JsonReply::ok(ConversationPage { conversations, total: found.total, limit, offset }))
}

/// Begin a conversation
///
/// Without a message. One that keeps its title, `New Conversation`, is renamed after its first message.
#[utoipa::path(post, path = "/api/chat/ui/conversations", tag = "gui", operation_id = "create_chat_page_conversation",
    request_body = NewConversation,
    responses((status = 200, description = "It is there", body = ConversationCreated), BodyErrors))]
pub(super) async fn create(
    State(page): State<ChatPageService>,
    caller: Caller,
    JsonBody(NewConversation(draft)): JsonBody<NewConversation>,
) -> Result<JsonReply<ConversationCreated>, ApiError> {
    let user = caller.acting_for(draft.user)?;
    let conversation = page.create(ConversationDraft { user, ..draft }).await?.into();
    Ok(JsonReply::ok(ConversationCreated { success: true, conversation }))
}

/// Show a conversation
///
/// With its newest 1000 messages, oldest first.
#[utoipa::path(get, path = "/api/chat/ui/conversations/{id}", tag = "gui", operation_id = "get_chat_page_conversation",
    params(PathId),
    responses((status = 200, description = "The conversation", body = ConversationDetail),
        (status = 404, description = "No such conversation", body = ErrorBody), ReadErrors,
        (status = 503, description = "Postgres is away, and the conversation may be there", body = ErrorBody)))]
pub(super) async fn get(
    State(page): State<ChatPageService>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<JsonReply<ConversationDetail>, ApiError> {
    let (transcript, messages) = page.show(&id, &caller).await?;
    let messages = messages.into_iter().map(|message| ShownMessage::new(&id, message)).collect();
    Ok(JsonReply::ok(ConversationDetail { conversation: transcript.into(), messages }))
}

/// Delete a conversation
///
/// With its messages, and what the memory knows of it.
#[utoipa::path(delete, path = "/api/chat/ui/conversations/{id}", tag = "gui",
    operation_id = "delete_chat_page_conversation", params(PathId),
    responses((status = 200, description = "It is gone", body = ConversationDeleted),
        (status = 404, description = "No such conversation", body = ErrorBody), ReadErrors,
        (status = 503, description = "Postgres is away, and the conversation may be there", body = ErrorBody)))]
pub(super) async fn delete(
    State(page): State<ChatPageService>,
    caller: Caller,
    PathId(id): PathId,
) -> Result<JsonReply<ConversationDeleted>, ApiError> {
    page.delete(&id, &caller).await?;
    Ok(JsonReply::ok(ConversationDeleted { success: true, message: "Conversation deleted" }))
}
