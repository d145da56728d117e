use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

use crate::llm::ToolSpec;
use crate::llm::sending::{plain, short_id};

/// The limit on tokens of an answer, under its first name.
pub(super) const MAX_TOKENS: &str = "max_tokens";
/// And under the one that OpenAI's newer models want.
pub(super) const MAX_COMPLETION_TOKENS: &str = "max_completion_tokens";

/// A way in which a request differs from the usual one, because the server refuses that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::llm) enum Adaptation {
    /// A parameter is left out.
    Without(String),
    /// For this request alone: the limit on tokens is left out, since prompt and answer together are too long for the model.
    WithoutLimitOnce,
    /// `max_tokens` is called `max_completion_tokens`.
    MaxCompletionTokens,
    /// Instructions come from `developer` instead of `system`.
    DeveloperRole,
    /// Instructions stand before the user's first words.
    SystemAsUser,
    /// Contents are texts, if empty ones, never null.
    TextContent,
    /// Calls have ids of nine letters and digits.
    ShortCallIds,
    /// Schemas of functions have nothing but types and descriptions.
    PlainSchemas,
    /// At most so many functions are offered.
    FewerTools(usize),
    /// A function is not offered; the digest is that of its schema.
    WithoutTool(String, u64),
    /// No functions are offered: whoever would offer them asks before.
    NoTools,
}

impl Adaptation {
    /// That a function is not offered in the form that it has now.
    pub(super) fn without_tool(tool: &ToolSpec) -> Self {
        Self::WithoutTool(tool.name.clone(), digest(tool))
    }

    /// Whether the next request begins with it.
    pub(super) fn is_lasting(&self) -> bool {
        *self != Self::WithoutLimitOnce
    }

    /// What is done, for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Without(parameter) => format!("'{parameter}' is not sent"),
            Self::WithoutLimitOnce => format!("'{MAX_TOKENS}' was not sent once"),
            Self::MaxCompletionTokens => format!("'{MAX_TOKENS}' is sent as '{MAX_COMPLETION_TOKENS}'"),
            Self::DeveloperRole => "instructions are sent in the role 'developer'".to_owned(),
            Self::SystemAsUser => "instructions are sent with the user's first message".to_owned(),
            Self::TextContent => "empty contents are sent as texts".to_owned(),
            Self::ShortCallIds => "ids of tool calls are sent in nine characters".to_owned(),
            Self::PlainSchemas => "schemas of functions are sent in their plainest form".to_owned(),
            Self::FewerTools(most) => format!("at most {most} functions are offered"),
            Self::WithoutTool(name, _) => format!("the function '{name}' is not offered"),
            Self::NoTools => "no functions are offered".to_owned(),
        }
    }

    /// What it is about, in one word of a list that is bounded, for figures.
    pub(super) fn label(&self) -> &'static str {
        const PARAMETERS: [&str; 6] =
            ["temperature", MAX_TOKENS, MAX_COMPLETION_TOKENS, "stream", "stream_options", "tool_choice"];
        match self {
            Self::Without(parameter) => PARAMETERS.into_iter().find(|known| known == parameter).unwrap_or("parameter"),
            Self::WithoutLimitOnce | Self::MaxCompletionTokens => MAX_TOKENS,
            Self::DeveloperRole | Self::SystemAsUser => "system_role",
            Self::TextContent => "content",
            Self::ShortCallIds => "tool_call_id",
            Self::PlainSchemas => "schema",
            Self::FewerTools(_) | Self::WithoutTool(..) | Self::NoTools => "tools",
        }
    }

    /// Changes the body of a request; functions that are left out are not in it.
    pub(in crate::llm) fn apply(&self, body: &mut Map<String, Value>) {
        match self {
            Self::Without(parameter) => remove(body, parameter),
            Self::WithoutLimitOnce => remove(body, MAX_TOKENS),
            Self::MaxCompletionTokens => {
                if let Some(most) = body.remove(MAX_TOKENS) {
                    body.insert(MAX_COMPLETION_TOKENS.to_owned(), most);
                }
            }
            Self::DeveloperRole => instructions(body).into_iter().for_each(|system| set(system, "role", "developer")),
            Self::SystemAsUser => put_before_user(body),
            Self::TextContent => {
                messages(body).iter_mut().filter(|one| is_empty(one)).for_each(|one| set(one, "content", ""))
            }
            Self::ShortCallIds => shorten_ids(body),
            Self::PlainSchemas => functions(body).filter_map(|one| one.get_mut("parameters")).for_each(plain),
            Self::FewerTools(most) => {
                if let Some(Value::Array(tools)) = body.get_mut("tools") {
                    tools.truncate(*most);
                }
            }
            Self::WithoutTool(..) | Self::NoTools => {}
        }
    }
}

/// Whether a function is not offered to a server that needs these adaptations.
pub(in crate::llm) fn is_left_out(tool: &ToolSpec, adaptations: &[Adaptation]) -> bool {
    let is_it = |adaptation: &Adaptation| match adaptation {
        Adaptation::WithoutTool(name, of) => *name == tool.name && *of == digest(tool),
        _ => false,
    };
    adaptations.iter().any(is_it)
}

/// The names of the functions that are not offered to a server that needs these adaptations.
pub(in crate::llm) fn left_out(tools: &[ToolSpec], adaptations: &[Adaptation]) -> Vec<String> {
    let most = adaptations.iter().filter_map(|adaptation| match adaptation {
        Adaptation::FewerTools(most) => Some(*most),
        _ => None,
    });
    let (refused, taken): (Vec<_>, Vec<_>) = tools.iter().partition(|tool| is_left_out(tool, adaptations));
    let beyond = taken.into_iter().skip(most.min().unwrap_or(usize::MAX));
    refused.into_iter().chain(beyond).map(|tool| tool.name.clone()).collect()
}

fn digest(tool: &ToolSpec) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&tool.description, tool.parameters.to_string()).hash(&mut hasher);
    hasher.finish()
}

/// Removes a parameter, by whatever name it is sent; what depends on it goes along.
fn remove(body: &mut Map<String, Value>, parameter: &str) {
    body.remove(parameter);
    if let Some(Value::Object(options)) = body.get_mut("options") {
        options.remove(parameter);
    }
    match parameter {
        MAX_TOKENS => drop(body.remove(MAX_COMPLETION_TOKENS)),
        "stream" => drop(body.remove("stream_options")),
        _ => {}
    }
}

fn messages(body: &mut Map<String, Value>) -> &mut [Value] {
    body.get_mut("messages").and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default()
}

/// The message with the instructions, if there are any.
fn instructions(body: &mut Map<String, Value>) -> Option<&mut Value> {
    messages(body).first_mut().filter(|first| is_instruction(first))
}

pub(super) fn is_instruction(message: &Value) -> bool {
    message.get("role").is_some_and(|role| role == "system" || role == "developer")
}

fn is_empty(message: &Value) -> bool {
    message.get("content").is_some_and(Value::is_null)
}

fn functions(body: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    let tools = body.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten();
    tools.filter_map(|tool| tool.get_mut("function"))
}

fn set(object: &mut Value, name: &str, value: &str) {
    if let Value::Object(object) = object {
        object.insert(name.to_owned(), value.into());
    }
}

fn put_before_user(body: &mut Map<String, Value>) {
    let Some(Value::Array(messages)) = body.get_mut("messages") else { return };
    if messages.len() < 2 || !messages.first().is_some_and(is_instruction) {
        return;
    }
    let text = |message: &Value| message.get("content").and_then(Value::as_str).unwrap_or_default().to_owned();
    let instruction = text(&messages.remove(0));
    if let Some(first) = messages.first_mut() {
        let both = format!("{instruction}\n\n{}", text(first));
        set(first, "content", &both);
    }
}

/// Calls and results are in the same order, so that they can be counted.
fn shorten_ids(body: &mut Map<String, Value>) {
    let (mut calls, mut results) = (0, 0);
    for message in messages(body) {
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            calls += 1;
            set(call, "id", &short_id(calls));
        }
        if message.get("tool_call_id").is_some() {
            results += 1;
            set(message, "tool_call_id", &short_id(results));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(adaptations: &[Adaptation]) -> Value {
        let body = json!({
            "messages": [{"role": "system", "content": "Rule"}, {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "some-long-id"}]},
                {"role": "tool", "tool_call_id": "some-long-id", "content": "x"}],
            "max_tokens": 5, "stream": true, "stream_options": {"include_usage": true},
            "tools": [{"function": {"name": "a", "parameters": {"type": "object", "properties":
                {"n": {"type": "integer", "minimum": 1}}}}}, {"function": {"name": "b"}}],
            "options": {"temperature": 0.5}
        });
        let mut body = body.as_object().unwrap().clone();
        adaptations.iter().for_each(|adaptation| adaptation.apply(&mut body));
        Value::Object(body)
    }

    #[test]
    fn each_adaptation_does_what_it_says() {
        let without = |name: &str| applied(&[Adaptation::Without(name.to_owned())]);
        assert_eq!((&without("stream")["stream"], &without("stream")["stream_options"]), (&json!(null), &json!(null)));
        assert_eq!(without("temperature")["options"], json!({}));
        let renamed = applied(&[Adaptation::MaxCompletionTokens]);
        assert_eq!((&renamed["max_tokens"], &renamed["max_completion_tokens"]), (&json!(null), &json!(5)));
        let removed = applied(&[Adaptation::MaxCompletionTokens, Adaptation::Without("max_tokens".to_owned())]);
        assert_eq!(removed["max_completion_tokens"], json!(null));
        assert_eq!(applied(&[Adaptation::DeveloperRole])["messages"][0]["role"], "developer");
        let as_user = applied(&[Adaptation::DeveloperRole, Adaptation::SystemAsUser]);
        assert_eq!(as_user["messages"][0], json!({"role": "user", "content": "Rule\n\nHi"}));
        assert_eq!(applied(&[Adaptation::TextContent])["messages"][2]["content"], "");
        let short = applied(&[Adaptation::ShortCallIds]);
        assert_eq!(short["messages"][2]["tool_calls"][0]["id"], "call00001");
        assert_eq!(short["messages"][3]["tool_call_id"], "call00001");
        let simple = applied(&[Adaptation::PlainSchemas]);
        assert_eq!(simple["tools"][0]["function"]["parameters"]["properties"]["n"], json!({"type": "integer"}));
        assert_eq!(applied(&[Adaptation::FewerTools(1)])["tools"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_function_is_left_out_until_its_schema_changes() {
        let tool = ToolSpec { name: "a".to_owned(), description: String::new(), parameters: json!({"type": "object"}) };
        let known = [Adaptation::without_tool(&tool)];
        assert!(is_left_out(&tool, &known));
        assert!(!is_left_out(&ToolSpec { parameters: json!({}), ..tool.clone() }, &known));
        let other = ToolSpec { name: "b".to_owned(), ..tool.clone() };
        assert!(!is_left_out(&other, &known));
        let all = [tool, other.clone(), ToolSpec { name: "c".to_owned(), ..other }];
        assert_eq!(left_out(&all, &[known[0].clone(), Adaptation::FewerTools(1)]), ["a", "c"]);
    }
}
