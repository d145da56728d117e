//! The mark-up that models write calls in.

/// One form of calls: how it begins, and what it may end with. Without an end it goes on to the end of the answer.
pub(super) struct CallForm {
    pub(super) opening: &'static str,
    pub(super) closings: &'static [&'static str],
}

/// What calls begin with.
pub(super) const FORMS: [CallForm; 20] = [
    // Hermes, Qwen, and most that were trained like them.
    CallForm { opening: "<tool_call>", closings: &["</tool_call>"] },
    CallForm { opening: "<tool_calls>", closings: &["</tool_calls>"] },
    CallForm { opening: "<toolcall>", closings: &["</toolcall>"] },
    CallForm { opening: "<function_call>", closings: &["</function_call>"] },
    CallForm { opening: "<functioncall>", closings: &["</functioncall>", "<|endoftext|>"] },
    CallForm { opening: "<tool_use>", closings: &["</tool_use>"] },
    // Llama, Qwen-Coder, Claude's prompts, MiniMax.
    CallForm { opening: "<function=", closings: &["</function>"] },
    CallForm { opening: "<function name=", closings: &["</function>"] },
    CallForm { opening: "<function(", closings: &["</function>"] },
    CallForm { opening: "<invoke name=", closings: &["</invoke>"] },
    CallForm { opening: "<|python_tag|>", closings: &["<|eom_id|>", "<|eot_id|>"] },
    // Mistral.
    CallForm { opening: "[TOOL_CALLS]", closings: &[] },
    CallForm { opening: "[TOOL_REQUEST]", closings: &["[END_TOOL_REQUEST]"] },
    // Granite, DeepSeek, Kimi, gpt-oss, InternLM, LFM2, Command R.
    CallForm { opening: "<|tool_call|>", closings: &[] },
    CallForm { opening: "<｜tool▁call▁begin｜>", closings: &["<｜tool▁call▁end｜>"] },
    CallForm { opening: "<|tool_call_begin|>", closings: &["<|tool_call_end|>"] },
    CallForm { opening: "<|channel|>commentary to=", closings: &["<|call|>"] },
    CallForm { opening: "<|action_start|>", closings: &["<|action_end|>"] },
    CallForm { opening: "<|tool_call_start|>", closings: &["<|tool_call_end|>"] },
    CallForm { opening: "<|START_ACTION|>", closings: &["<|END_ACTION|>"] },
];

/// What stands before calls and says nothing.
pub(super) const WRAPPER_OPENINGS: [&str; 4] =
    ["<function_calls>", "<｜tool▁calls▁begin｜>", "<|tool_calls_section_begin|>", "<minimax:tool_call>"];
/// What stands behind calls and says nothing.
pub(super) const WRAPPER_ENDS: [&str; 8] = [
    "</function_calls>",
    "<｜tool▁calls▁end｜>",
    "<|tool_calls_section_end|>",
    "</minimax:tool_call>",
    "</tool_call>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|im_end|>",
];

/// What a fenced block begins and ends with.
pub(super) const FENCE: &str = "```";

/// Members of a JSON object that may hold the name of a function.
pub(super) const NAME_MEMBERS: [&str; 6] = ["name", "function", "tool", "tool_name", "function_name", "action"];
/// Members that may hold its arguments.
pub(super) const ARGUMENT_MEMBERS: [&str; 8] =
    ["arguments", "parameters", "args", "input", "tool_input", "action_input", "params", "kwargs"];
/// Members that calls have besides.
pub(super) const OTHER_MEMBERS: [&str; 5] = ["type", "id", "call_id", "index", "tool_calls"];

/// Whether a text begins like JSON that is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonStart {
    Call,
    /// More of it has to be seen.
    Open,
    Other,
}

/// Whether this is how a call in JSON begins: an object, or a list of objects, whose first member is one that calls have.
pub(super) fn json_start(text: &str) -> JsonStart {
    let text = text.trim_start();
    let text = text.strip_prefix('[').map_or(text, str::trim_start);
    let Some(inside) = text.strip_prefix('{') else {
        return if text.is_empty() { JsonStart::Open } else { JsonStart::Other };
    };
    let Some(member) = inside.trim_start().strip_prefix(['"', '\'']) else {
        return if inside.trim_start().is_empty() { JsonStart::Open } else { JsonStart::Other };
    };
    let mut members = NAME_MEMBERS.iter().chain(&ARGUMENT_MEMBERS).chain(&OTHER_MEMBERS);
    match member.split_once(['"', '\'']) {
        Some((name, _)) if members.any(|known| *known == name) => JsonStart::Call,
        Some(_) => JsonStart::Other,
        None if members.any(|known| known.starts_with(member)) => JsonStart::Open,
        None => JsonStart::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_may_be_a_call_is_told_by_its_first_member() {
        for (text, start) in [
            (r#"{"name": "f""#, JsonStart::Call),
            ("[ {'tool_calls': [", JsonStart::Call),
            ("{\n  \"func", JsonStart::Open),
            ("[", JsonStart::Open),
            ("{", JsonStart::Open),
            (r#"{"city""#, JsonStart::Other),
            (r#"{"ci"#, JsonStart::Other),
            ("[1", JsonStart::Other),
            ("text", JsonStart::Other),
        ] {
            assert_eq!(json_start(text), start, "{text}");
        }
    }
}
