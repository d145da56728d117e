use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reading::AnswerText;
use crate::kernel::Role;

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
    /// What the tokens written are made of, if the server told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_tokens_details: Option<TokenDetails>,
}

/// What tokens are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenDetails {
    /// Those of reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Usage of that many tokens read and written.
    pub fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        Self { prompt_tokens, completion_tokens, total_tokens, completion_tokens_details: None }
    }

    /// What two calls used together, as far as it is known.
    pub fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let both = one.zip(other).map(|(one, other)| Self {
            prompt_tokens: one.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: one.completion_tokens.saturating_add(other.completion_tokens),
            total_tokens: one.total_tokens.saturating_add(other.total_tokens),
            completion_tokens_details: TokenDetails::sum(
                one.completion_tokens_details,
                other.completion_tokens_details,
            ),
        });
        both.or(one).or(other)
    }
}

impl TokenDetails {
    fn sum(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        let both = one.zip(other).map(|(one, other)| one.reasoning_tokens.saturating_add(other.reasoning_tokens));
        both.map(|reasoning_tokens| Self { reasoning_tokens }).or(one).or(other)
    }
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It had said all.
    Stop,
    /// There was room for no more tokens.
    Length,
    /// It wants to have tools called.
    ToolCalls,
    /// Its server did not let it go on.
    ContentFilter,
    /// For a reason that nobody here knows.
    Other,
}

/// A model's complete answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Completion {
    /// The text; may be empty when tools are asked for.
    pub content: String,
    /// The tools asked for.
    pub tool_calls: Vec<ToolCall>,
    /// Why the model stopped, if the server told.
    pub finish_reason: Option<FinishReason>,
    /// What the model thought before it answered; the beginning of it, if it is long. No part of the text.
    pub reasoning: Option<String>,
    /// Whether the model began with reasoning that no tag opened, if that is news.
    pub unopened_reasoning: Option<bool>,
    /// Tools that were not offered, since the server refuses their schemas.
    pub left_out: Vec<String>,
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
    /// Why there is no text, for an answer that has none.
    pub fn why_no_text(&self) -> &'static str {
        match (self.finish_reason, &self.reasoning) {
            (Some(FinishReason::Length), Some(_)) => {
                "The LLM used up its tokens while thinking, before it wrote an answer (finish_reason length). \
                 Give it more of them (LLM_MAX_TOKENS, or the context length of its server)"
            }
            (Some(FinishReason::Length), None) => {
                "The LLM had no tokens left for an answer (finish_reason length). \
                 Give it more of them (LLM_MAX_TOKENS, or the context length of its server)"
            }
            (Some(FinishReason::ContentFilter), _) => {
                "The LLM's server kept its answer back (finish_reason content_filter)"
            }
            (_, Some(_)) => "The LLM answered without any text: it only thought",
            (_, None) => "The LLM answered without any text",
        }
    }

    /// Whether it would end without text if it were asked once more, too.
    pub fn is_cut_off(&self) -> bool {
        self.content.trim().is_empty()
            && self.tool_calls.is_empty()
            && matches!(self.finish_reason, Some(FinishReason::Length | FinishReason::ContentFilter))
    }
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Chunk {
    /// More text, as it came: a secret in it may be in pieces.
    Text(String),
    /// All text so far was no part of the answer: the model was thinking, and nothing had said so.
    Restart,
    /// The end: everything together, secrets masked. Always the last chunk.
    End(Box<Completion>),
}

/// Puts a stream's pieces together and says what each one adds.
pub(super) trait StreamReader: Send + Sync {
    /// Takes the next event (OpenAI) or line (Ollama); gives the text it adds.
    fn feed(&mut self, data: &str) -> Result<AnswerText, String>;

    /// Whether the server has said that nothing more will come.
    fn has_ended(&self) -> bool;

    /// Whether the answer is whole, even if more might come.
    fn is_complete(&self) -> bool {
        self.has_ended()
    }

    /// Whether the answer is whole if the reply ends here as it should.
    fn is_complete_at_end(&self) -> bool {
        self.is_complete()
    }

    /// Nothing more comes; gives the text that was held until now.
    fn end(&mut self) -> AnswerText;

    /// All of it together, after its end.
    fn finish(self: Box<Self>) -> Completion;
}
