use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::kernel::{Error, UserId};
use crate::memory::{ClearedMemory, MemoryService, RedisMemory};
use crate::web::{ApiError, BodyErrors, JsonReply, OptionalBody, ReadErrors};

/// Numbers about all that is remembered.
#[derive(Serialize, ToSchema)]
pub(super) struct MemoryNumbers {
    #[schema(example = 12)]
    conversation_count: usize,
    /// False if Redis holds more keys than are looked at: then there may be more conversations.
    conversation_count_is_exact: bool,
    /// Of the look-ups since the start, from 0 to 1.
    #[schema(example = 0.25)]
    cache_hit_rate: f64,
    /// In Redis' own words, or why there is none.
    #[schema(example = "1.02M")]
    redis_memory_usage: String,
    /// Executions that are recorded.
    #[schema(example = 240)]
    state_store_entries: usize,
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
pub(super) struct MemoryClearing {
    success: bool,
    #[schema(example = "Cleared 12 conversation(s) and 3 cached answer(s)")]
    message: String,
    #[schema(example = 12)]
    conversations: usize,
    #[schema(example = 3)]
    answers: usize,
}

/// One conversation was forgotten.
#[derive(Serialize, ToSchema)]
pub(super) struct ConversationClearing {
    success: bool,
    #[schema(example = "Conversation memory cleared for user stats")]
    message: String,
}

/// Numbers about memory
///
/// For the existing GUI. Conversations of all users, the cache, Redis, and records of executions.
#[utoipa::path(get, path = "/api/memory/stats", tag = "gui", operation_id = "memory_totals",
    responses((status = 200, description = "The numbers", body = MemoryNumbers), ReadErrors))]
pub(super) async fn totals(State(memory): State<MemoryService>) -> Result<JsonReply<MemoryNumbers>, ApiError> {
    let totals = memory.totals().await?;
    let redis = match totals.redis_memory {
        RedisMemory::NotConfigured => "Redis is not configured".to_owned(),
        RedisMemory::Away => "Redis is away".to_owned(),
        RedisMemory::Untold => "Redis does not say".to_owned(),
        RedisMemory::Used(used) => used,
    };
    Ok(JsonReply::ok(MemoryNumbers {
        conversation_count: totals.conversations.count,
        conversation_count_is_exact: totals.conversations.is_complete,
        cache_hit_rate: totals.cache_hit_rate,
        redis_memory_usage: redis,
        state_store_entries: totals.executions,
    }))
}

/// Forget everything
///
/// For the existing GUI. Forgets the conversations of all users and the cached answers; records of executions stay. In a Redis that
/// several servers share, these are the conversations and answers of all of them. Any body is ignored.
#[utoipa::path(post, path = "/api/memory/clear", tag = "gui", operation_id = "clear_all_memory",
    responses((status = 200, description = "Forgotten", body = MemoryClearing), BodyErrors))]
pub(super) async fn clear_all(
    State(memory): State<MemoryService>,
    _: OptionalBody,
) -> Result<JsonReply<MemoryClearing>, ApiError> {
    let ClearedMemory { conversations, answers } = memory.clear_all().await?;
    let more =
        if conversations.is_complete && answers.is_complete { "" } else { "; there may be more, so clear again" };
    let (conversations, answers) = (conversations.count, answers.count);
    let message = format!("Cleared {conversations} conversation(s) and {answers} cached answer(s){more}");
    Ok(JsonReply::ok(MemoryClearing { success: true, message, conversations, answers }))
}

/// Clear the conversation of the user `stats`
///
/// `DELETE /api/memory/{user_id}` for a user whose name is that of a path of the GUI.
#[utoipa::path(delete, path = "/api/memory/stats", tag = "gui", operation_id = "clear_memory_of_stats",
    responses((status = 200, description = "Cleared", body = ConversationClearing), ReadErrors))]
pub(super) async fn clear_of_user_stats(
    State(memory): State<MemoryService>,
) -> Result<JsonReply<ConversationClearing>, ApiError> {
    clear_of_user(&memory, "stats").await
}

/// Clear the conversation of the user `clear`
///
/// `DELETE /api/memory/{user_id}` for a user whose name is that of a path of the GUI.
#[utoipa::path(delete, path = "/api/memory/clear", tag = "gui", operation_id = "clear_memory_of_clear",
    responses((status = 200, description = "Cleared", body = ConversationClearing), ReadErrors))]
pub(super) async fn clear_of_user_clear(
    State(memory): State<MemoryService>,
) -> Result<JsonReply<ConversationClearing>, ApiError> {
    clear_of_user(&memory, "clear").await
}

async fn clear_of_user(memory: &MemoryService, name: &str) -> Result<JsonReply<ConversationClearing>, ApiError> {
    let user = UserId::parse(name).map_err(|expected| Error::internal("a user can't be called so", expected))?;
    memory.clear(&user).await?;
    let message = format!("Conversation memory cleared for user {user}");
    Ok(JsonReply::ok(ConversationClearing { success: true, message }))
}
