use serde_json::Value;
use utoipa::openapi::Schema;

use crate::web::openapi::schema::{Members, any_of, anything, or_null, text};

/// Where the pages put a prompt, in the order in which it is looked for.
const MEMBERS: [&str; 7] = ["prompt", "message", "input", "query", "text", "input_text", "user_input"];

/// What a page says of a prompt.
#[derive(Debug, PartialEq)]
pub(super) enum PromptInput {
    /// This one.
    Given(String),
    /// None: an empty object, as the pages send it.
    Absent,
    /// Something that holds none.
    Unknown,
}

impl PromptInput {
    /// Reads a text, or an object that has one.
    pub(super) fn read(value: Option<&Value>) -> Self {
        match value {
            None | Some(Value::Null) => Self::Absent,
            Some(Value::String(text)) if text.trim().is_empty() => Self::Absent,
            Some(Value::String(text)) => Self::Given(text.clone()),
            Some(Value::Object(object)) if object.is_empty() => Self::Absent,
            Some(Value::Object(object)) => {
                let texts = MEMBERS.iter().filter_map(|member| object.get(*member)?.as_str());
                let given = texts.map(str::to_owned).find(|text| !text.trim().is_empty());
                given.map_or(Self::Unknown, Self::Given)
            }
            Some(_) => Self::Unknown,
        }
    }

    /// The prompt, if there is one.
    pub(super) fn given(self) -> Option<String> {
        match self {
            Self::Given(prompt) => Some(prompt),
            Self::Absent | Self::Unknown => None,
        }
    }
}

/// What was expected where nothing is known of a value.
pub(super) fn expected() -> String {
    let (last, others) = MEMBERS.split_last().unwrap_or((&"", &[]));
    format!("Input should be a text, or an object that has one as {} or {last}", others.join(", "))
}

/// The members that may hold a prompt.
pub(super) fn members() -> Members {
    let purpose = |member: &str| match member {
        "prompt" => "What is asked: the first of these members that has a text counts.",
        _ => "The same.",
    };
    MEMBERS.iter().fold(Members::new(), |members, member| members.optional(member, purpose(member), anything()))
}

/// A text, or an object that has one.
pub(super) fn schema() -> Schema {
    or_null(any_of([text(), members().object("")]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_prompt_is_found_where_the_pages_put_it() {
        let given = |text: &str| PromptInput::Given(text.to_owned());
        for (value, expected) in [
            (json!("Hello"), given("Hello")),
            (json!({"prompt": "a", "text": "b"}), given("a")),
            (json!({"prompt": " ", "message": null, "input": 5, "query": "c"}), given("c")),
            (json!({"input_text": "d", "context": {}}), given("d")),
            (json!({"user_input": "e", "intent": "x"}), given("e")),
            (json!({}), PromptInput::Absent),
            (json!(null), PromptInput::Absent),
            (json!(" "), PromptInput::Absent),
            (json!({"question": "f"}), PromptInput::Unknown),
            (json!(["Hello"]), PromptInput::Unknown),
            (json!(7), PromptInput::Unknown),
        ] {
            assert_eq!(PromptInput::read(Some(&value)), expected, "{value}");
        }
        assert_eq!(PromptInput::read(None), PromptInput::Absent);
        assert!(expected().ends_with("as prompt, message, input, query, text, input_text or user_input"));
    }
}
