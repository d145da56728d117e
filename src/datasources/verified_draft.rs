use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::kernel::{Clock, FieldIssue, Fields, Segment};
use crate::settings::VerifiedParameter;

/// A question with its query, as somebody hands it in to be kept as verified.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VerifiedDraft {
    /// The id that it had; none for a new one.
    pub id: Option<String>,
    /// In plain words.
    pub question: String,
    /// In the language of the source.
    pub query: String,
    /// What is said of its parameters.
    pub parameters: BTreeMap<String, VerifiedParameter>,
    /// Who has verified it.
    pub verified_by: Option<String>,
    /// When; now, if nothing is said.
    pub verified_at: Option<String>,
}

impl VerifiedDraft {
    /// Lengths of a question, in characters.
    pub const QUESTION_CHARS: RangeInclusive<usize> = 1..=1000;
    /// Lengths of a query, in characters.
    pub const QUERY_CHARS: RangeInclusive<usize> = 1..=20_000;
    /// Longest name of somebody who verifies, in characters.
    pub const MAX_NAME_CHARS: usize = 200;
    /// Longest description of a parameter, in characters.
    pub const MAX_DESCRIPTION_CHARS: usize = 500;
    /// Parameters of one query.
    pub const MAX_PARAMETERS: usize = 50;

    /// Reads a draft; `question` and `query` are what counts where the fields have none.
    pub fn read(fields: &mut Fields<'_>, question: Option<&str>, query: Option<&str>) -> Self {
        let verified_at = fields.optional::<String>("verified_at");
        if verified_at.as_deref().is_some_and(|time| Clock::parse(time).is_none()) {
            fields.reject("verified_at", "Input should be a time such as 2026-11-22T17:20:03Z");
        }
        let id = fields.optional::<String>("id");
        let is_id = |id: &String| {
            (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        if id.as_ref().is_some_and(|id| !is_id(id)) {
            fields.reject("id", "Input should have 1 to 100 letters, digits, - and _");
        }
        Self {
            id,
            question: required_text(fields, "question", question, &Self::QUESTION_CHARS),
            query: required_text(fields, "query", query, &Self::QUERY_CHARS),
            parameters: read_parameters(fields),
            verified_by: short_text(fields, "verified_by", Self::MAX_NAME_CHARS),
            verified_at: verified_at.as_deref().and_then(Clock::parse).map(Clock::rfc3339),
        }
    }
}

/// A text within these lengths, which counts without blanks around it.
fn required_text(
    fields: &mut Fields<'_>,
    name: &'static str,
    otherwise: Option<&str>,
    chars: &RangeInclusive<usize>,
) -> String {
    let given: Option<String> = match otherwise {
        Some(otherwise) => Some(fields.optional(name).unwrap_or_else(|| otherwise.to_owned())),
        None => fields.value(name).map(|_| fields.required(name)),
    };
    let Some(text) = given else { return fields.required(name) };
    let text = text.trim().to_owned();
    let is_string = fields.value(name).is_none_or(|value| value.is_string() || value.is_null());
    if is_string && !chars.contains(&text.chars().count()) {
        fields.reject(name, format!("Input should have {} to {} characters", chars.start(), chars.end()));
    }
    text
}

fn short_text(fields: &mut Fields<'_>, name: &'static str, max_chars: usize) -> Option<String> {
    let text = fields.optional::<String>(name).map(|text| text.trim().to_owned());
    if text.as_ref().is_some_and(|text| text.chars().count() > max_chars) {
        fields.reject(name, format!("Input should have at most {max_chars} characters"));
    }
    text.filter(|text| !text.is_empty())
}

fn read_parameters(fields: &mut Fields<'_>) -> BTreeMap<String, VerifiedParameter> {
    let given = fields.optional::<Map<String, Value>>("parameters").unwrap_or_default();
    if given.len() > VerifiedDraft::MAX_PARAMETERS {
        let most = VerifiedDraft::MAX_PARAMETERS;
        fields.reject("parameters", format!("Input should have at most {most} parameters"));
        return BTreeMap::new();
    }
    let mut read = BTreeMap::new();
    for (name, about) in given {
        let at = [fields.loc("parameters"), vec![name.as_str().into()]].concat();
        match about {
            Value::Null => drop(read.insert(name, VerifiedParameter::default())),
            Value::Object(about) => {
                let (parameter, issues) = read_parameter(&about, at);
                fields.extend(issues);
                read.insert(name, parameter);
            }
            other => {
                let expected = "Input should be an object with description and default, or null";
                fields.extend([FieldIssue::new("dict_type", at, expected, other)]);
            }
        }
    }
    read
}

fn read_parameter(about: &Map<String, Value>, at: Vec<Segment>) -> (VerifiedParameter, Vec<FieldIssue>) {
    let mut fields = Fields::new(about, at);
    let description = short_text(&mut fields, "description", VerifiedDraft::MAX_DESCRIPTION_CHARS);
    let default = fields.value("default").filter(|value| !value.is_null()).cloned();
    if default.as_ref().is_some_and(|value| !is_parameter_value(value)) {
        fields.reject("default", "Input should be a text, a number, a boolean, or a short list of these");
    }
    (VerifiedParameter { description, default }, fields.into_issues())
}

/// Longest value of a parameter, in bytes of JSON.
const MAX_VALUE_BYTES: usize = 2000;

/// Whether a parameter may have this value.
pub fn is_parameter_value(value: &Value) -> bool {
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let is_fit = is_plain(value) || value.as_array().is_some_and(|items| items.iter().all(is_plain));
    is_fit && value.to_string().len() <= MAX_VALUE_BYTES
}
