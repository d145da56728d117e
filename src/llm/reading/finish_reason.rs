use crate::llm::FinishReason;

/// What a server's word for the end of an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinishWord {
    /// The answer has ended.
    Ended(FinishReason),
    /// It broke off.
    Failed,
    /// Nobody knows; it is no end by itself.
    Unknown,
    /// Nothing is said.
    Silent,
}

/// Reads `finish_reason` or `done_reason`, in the words of OpenAI, Anthropic, Gemini, Mistral, Ollama, TGI, vLLM and others.
pub(super) fn read_finish(word: &str) -> FinishWord {
    match word.trim().to_ascii_lowercase().as_str() {
        "" | "null" | "none" => FinishWord::Silent,
        "stop" | "eos" | "eos_token" | "end" | "end_turn" | "stop_sequence" | "complete" | "completed" | "done"
        | "finish" | "finished" | "success" | "normal" | "load" | "unload" => FinishWord::Ended(FinishReason::Stop),
        "length"
        | "max_tokens"
        | "max_output_tokens"
        | "max_new_tokens"
        | "max_length"
        | "model_length"
        | "token_limit"
        | "model_context_window_exceeded" => FinishWord::Ended(FinishReason::Length),
        "tool_calls" | "tool_call" | "tool_use" | "function_call" | "function_calls" => {
            FinishWord::Ended(FinishReason::ToolCalls)
        }
        "content_filter"
        | "content_filtered"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "refusal"
        | "sensitive"
        | "guardrail_intervened" => FinishWord::Ended(FinishReason::ContentFilter),
        "error"
        | "failed"
        | "failure"
        | "abort"
        | "aborted"
        | "cancelled"
        | "canceled"
        | "timeout"
        | "network_error"
        | "internal_error"
        | "server_error"
        | "insufficient_system_resource"
        | "malformed_function_call" => FinishWord::Failed,
        _ => FinishWord::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_an_answer_only_if_they_say_so() {
        for (word, read) in [
            ("stop", FinishWord::Ended(FinishReason::Stop)),
            ("STOP", FinishWord::Ended(FinishReason::Stop)),
            ("MAX_TOKENS", FinishWord::Ended(FinishReason::Length)),
            ("function_call", FinishWord::Ended(FinishReason::ToolCalls)),
            ("SAFETY", FinishWord::Ended(FinishReason::ContentFilter)),
            ("error", FinishWord::Failed),
            ("", FinishWord::Silent),
            ("in_progress", FinishWord::Unknown),
        ] {
            assert_eq!(read_finish(word), read, "{word}");
        }
    }
}
