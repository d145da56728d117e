use super::{ChatMessage, ChatRequest};
use crate::settings::LlmSettings;

/// Bytes of a token, about: fewer than most models have, as what is used should not turn out to be more than was reserved.
const BYTES_PER_TOKEN: usize = 3;
/// Tokens of an answer whose length nobody limits.
const EXPECTED_ANSWER_TOKENS: u64 = 1_000;
/// Tokens around a message: its role and marks.
const TOKENS_PER_MESSAGE: u64 = 5;

/// About how many tokens a text is.
pub(super) fn tokens_of(text: &str) -> u64 {
    u64::try_from(text.len().div_ceil(BYTES_PER_TOKEN)).unwrap_or(u64::MAX)
}

/// About how many tokens a request is to the model.
pub(super) fn prompt_tokens(request: &ChatRequest) -> u64 {
    let message = |message: &ChatMessage| {
        let calls = message.tool_calls.iter().map(|call| tokens_of(&call.arguments.to_string()));
        tokens_of(&message.content) + calls.sum::<u64>() + TOKENS_PER_MESSAGE
    };
    let tools = request.tools.iter().map(|tool| tokens_of(&tool.description) + tokens_of(&tool.parameters.to_string()));
    request.messages.iter().map(message).chain(tools).sum()
}

/// About how many tokens a request is going to use, its answer included.
pub(super) fn tokens_to_reserve(request: &ChatRequest, llm: &LlmSettings) -> u64 {
    let answer = llm.max_tokens.and_then(|most| u64::try_from(most).ok()).unwrap_or(EXPECTED_ANSWER_TOKENS);
    prompt_tokens(request).saturating_add(answer)
}
