use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::kernel::{Redaction, Role};

/// One message to or from a model, in the form both wire formats are translated to.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatMessage {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// The tools an assistant asks for.
    pub tool_calls: Vec<ToolCall>,
    /// For the result of a tool: the call it answers.
    pub answers: Option<ToolCall>,
}

impl ChatMessage {
    /// A plain message.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), tool_calls: Vec::new(), answers: None }
    }
}

/// A tool offered to the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON schema of its arguments.
    pub parameters: Value,
}

/// A model's wish to have a tool called.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// Id of the call; made up for servers that send none.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// Its arguments: an object, or the text itself where it was not JSON.
    pub arguments: Value,
}

/// What to ask a model.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// The model; the configured default if none.
    pub model: Option<String>,
    /// The conversation.
    pub messages: Vec<ChatMessage>,
    /// Tools the model may ask for.
    pub tools: Vec<ToolSpec>,
    /// Overrides the configured temperature.
    pub temperature: Option<f64>,
}

impl ChatRequest {
    /// One question without a history.
    pub fn question(prompt: impl Into<String>) -> Self {
        Self { messages: vec![ChatMessage::new(Role::User, prompt)], ..Self::default() }
    }
}

/// Tokens used, as far as the server told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}

impl Usage {
    /// Usage of that many tokens read and written.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens.saturating_add(completion_tokens) }
    }

    /// What two calls used together, as far as it is known.
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Self {
                prompt_tokens: one.prompt_tokens.saturating_add(other.prompt_tokens),
                completion_tokens: one.completion_tokens.saturating_add(other.completion_tokens),
                total_tokens: one.total_tokens.saturating_add(other.total_tokens),
            }),
            (one, other) => one.or(other),
        }
    }
}

/// A model's complete answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The text; may be empty when tools are asked for.
    pub content: String,
    /// The tools asked for.
    pub tool_calls: Vec<ToolCall>,
    /// Why the model stopped, in the server's word.
    pub finish_reason: Option<String>,
    /// Tokens used.
    pub usage: Option<Usage>,
    /// The model that answered.
    pub model: String,
    /// Attempts that were made, over all models tried.
    pub attempts: u32,
    /// The server's reply as it came, secrets masked; null for a stream.
    pub raw: Value,
}

impl Completion {
    /// The answer without secrets.
    pub(super) fn masked(self, redaction: &Redaction) -> Self {
        let call = |call: ToolCall| ToolCall {
            id: redaction.text(&call.id),
            name: redaction.text(&call.name),
            arguments: redaction.json(call.arguments),
        };
        Self {
            content: redaction.text(&self.content),
            tool_calls: self.tool_calls.into_iter().map(call).collect(),
            finish_reason: self.finish_reason.map(|reason| redaction.text(&reason)),
            model: redaction.text(&self.model),
            ..self
        }
    }
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Chunk {
    /// More text, as it came: a secret in it may be in pieces.
    Text(String),
    /// The end: everything together, secrets masked. Always the last chunk.
    End(Completion),
}
