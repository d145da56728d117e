//! What both databases are asked with, since they have the same columns, and how their rows are read.

use super::record::{AnswerFacts, PromptProfile, Transcript, TranscriptMessage, UsageCount};

/// Messages of one transcript that are kept: the newest.
pub(super) const MAX_MESSAGES: i64 = 1000;
/// Characters of these, unless the newest one alone has more.
pub(super) const MAX_MESSAGE_CHARS: i64 = 2_000_000;
/// Answers that figures are made of: the newest.
pub(super) const MAX_COUNTED: i64 = 100_000;
/// Models and profiles that figures name.
pub(super) const MAX_NAMED: i64 = 10;
/// Prompt profiles that are listed.
pub(super) const MAX_PROFILES: i64 = 1000;

/// Reads transcripts, each with the number of its messages.
macro_rules! select_transcript {
    ($rest:literal) => {
        concat!(
            "SELECT id, title, user_id, model_id, routing_profile, created_at, updated_at,
                 (SELECT COUNT(*) FROM transcript_message WHERE transcript_id = transcript.id) FROM transcript ",
            $rest
        )
    };
}

pub(super) const SELECT_ONE: &str = select_transcript!("WHERE id = $1");
pub(super) const SELECT_PAGE: &str = select_transcript!("ORDER BY updated_at DESC, id DESC LIMIT $1 OFFSET $2");
pub(super) const SELECT_PAGE_OF_USER: &str =
    select_transcript!("WHERE user_id = $3 ORDER BY updated_at DESC, id DESC LIMIT $1 OFFSET $2");
pub(super) const COUNT: &str = "SELECT COUNT(*) FROM transcript";
pub(super) const COUNT_OF_USER: &str = "SELECT COUNT(*) FROM transcript WHERE user_id = $1";

/// When the newest one was changed that is beyond so many.
pub(super) const SELECT_SURPLUS: &str = "SELECT updated_at FROM transcript ORDER BY updated_at DESC LIMIT 1 OFFSET $1";

/// The newest messages of a transcript, oldest first. The databases add up the lengths from the newest on, so that no more is read.
pub(super) const SELECT_MESSAGES: &str = "SELECT id, role, content, metadata, created_at, model, routing_profile, succeeded,
        latency_ms FROM
        (SELECT *, SUM(length(content) + length(metadata)) OVER (ORDER BY position DESC)
             - length(content) - length(metadata) AS newer
         FROM (SELECT * FROM transcript_message WHERE transcript_id = $1 ORDER BY position DESC LIMIT $2) AS newest) AS sized
    WHERE newer < $3 ORDER BY position";

pub(super) const SELECT_PROFILES: &str =
    "SELECT id, name, description, system_prompt, is_active, created_at, updated_at
    FROM prompt_profile ORDER BY name LIMIT $1";

/// How many answers since a time, how many of them succeeded, and how long all took.
pub(super) const SELECT_USAGE: &str =
    "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN succeeded THEN 1 ELSE 0 END), 0) AS BIGINT),
        CAST(COALESCE(SUM(latency_ms), 0) AS BIGINT)
    FROM (SELECT succeeded, latency_ms FROM transcript_message WHERE succeeded IS NOT NULL AND created_at >= $1
        ORDER BY created_at DESC LIMIT $2) AS counted";

/// What the answers since a time have most in this column.
macro_rules! select_most {
    ($column:literal) => {
        concat!(
            "SELECT name, COUNT(*) FROM (SELECT ",
            $column,
            " AS name FROM transcript_message WHERE succeeded IS NOT NULL AND created_at >= $1
                 ORDER BY created_at DESC LIMIT $2) AS counted
             WHERE name IS NOT NULL GROUP BY name ORDER BY COUNT(*) DESC, name LIMIT $3"
        )
    };
}

pub(super) const SELECT_MODELS: &str = select_most!("model");
pub(super) const SELECT_USED_PROFILES: &str = select_most!("routing_profile");

type Nullable = Option<String>;
pub(super) type TranscriptRow = (String, String, Nullable, Nullable, String, i64, i64, i64);
pub(super) type MessageRow = (String, String, String, String, i64, Nullable, Nullable, Option<bool>, Option<i64>);
pub(super) type ProfileRow = (String, String, Nullable, String, bool, i64, i64);

pub(super) fn transcript(row: TranscriptRow) -> Transcript {
    let (id, title, user_id, model_id, routing_profile, created_ms, updated_ms, message_count) = row;
    Transcript { id, title, user_id, model_id, routing_profile, created_ms, updated_ms, message_count }
}

pub(super) fn message(row: MessageRow) -> TranscriptMessage {
    let (id, role, content, metadata, created_ms, model, profile, succeeded, latency) = row;
    let facts = |succeeded| AnswerFacts {
        model,
        routing_profile: profile.unwrap_or_default(),
        succeeded,
        latency_ms: latency.unwrap_or_default(),
    };
    TranscriptMessage { id, role, content, metadata, created_ms, answer: succeeded.map(facts) }
}

pub(super) fn profile(row: ProfileRow) -> PromptProfile {
    let (id, name, description, system_prompt, is_active, created_ms, updated_ms) = row;
    PromptProfile { id, name, description, system_prompt, is_active, created_ms, updated_ms }
}

pub(super) fn usage_count((name, count): (String, i64)) -> UsageCount {
    UsageCount { name, count }
}
