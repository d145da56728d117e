use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One conversation of the chat page, without its messages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transcript {
    pub id: String,
    pub title: String,
    /// Whose it is, if somebody said.
    pub user_id: Option<String>,
    /// The model that it was begun with, if one was chosen.
    pub model_id: Option<String>,
    pub routing_profile: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// When a message was added last, in milliseconds since 1970.
    pub updated_ms: i64,
    /// Messages that it has; nothing that is stored.
    #[serde(skip)]
    pub message_count: i64,
}

/// One message as it was shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TranscriptMessage {
    pub id: String,
    /// `user` or `assistant`.
    pub role: String,
    pub content: String,
    /// An object as JSON text: as part of a change it could be too deep to be read again.
    pub metadata: String,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// What figures are made of, if it is an answer.
    pub answer: Option<AnswerFacts>,
}

impl TranscriptMessage {
    /// The text of this metadata.
    pub fn metadata_text(metadata: Map<String, Value>) -> String {
        Value::Object(metadata).to_string()
    }
}

/// How an answer came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerFacts {
    /// The model that wrote it, if one did.
    pub model: Option<String>,
    pub routing_profile: String,
    /// Whether it is one: else it says why there is none.
    pub succeeded: bool,
    pub latency_ms: i64,
}

/// Which transcripts to list.
#[derive(Clone, Debug, Default)]
pub struct TranscriptFilter {
    /// Of this user only.
    pub user_id: Option<String>,
    pub limit: usize,
    /// How many of the newest are left out.
    pub offset: usize,
}

/// Some transcripts, those first that a message was added to last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TranscriptPage {
    pub transcripts: Vec<Transcript>,
    /// How many there are in all.
    pub total: i64,
}

/// Instructions to the model that go with all that is sent from the chat page while they are active.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptProfile {
    pub id: String,
    /// One profile has it.
    pub name: String,
    pub description: Option<String>,
    pub system_prompt: String,
    /// At most one profile is.
    pub is_active: bool,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// Milliseconds since 1970.
    pub updated_ms: i64,
}

/// How the chat page was used since some time, by the answers that are still there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TranscriptUsage {
    pub answers: i64,
    pub succeeded: i64,
    /// Of all answers together, in milliseconds.
    pub latency_ms: i64,
    /// Those that wrote most answers, most first.
    pub models: Vec<UsageCount>,
    /// Those that were used most, most first.
    pub profiles: Vec<UsageCount>,
}

/// How many answers something has.
#[derive(Clone, Debug, PartialEq)]
pub struct UsageCount {
    pub name: String,
    pub count: i64,
}
