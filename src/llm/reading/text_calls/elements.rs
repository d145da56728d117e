//! Calls written as elements: `<function=name><parameter=key>value</parameter></function>` and their kin.

use serde_json::{Map, Value};

use crate::kernel::JsonReader;
use crate::llm::reading::json_scan::json_values;
use crate::llm::reading::marks::{FirstMark, first_mark};
use crate::llm::reading::offered::KnownFunctions;

/// A call as it was written.
pub(super) struct WrittenCall {
    pub(super) name: String,
    pub(super) arguments: Value,
}

const CALLS: [&str; 4] = ["<function=", "<function name=", "<function(", "<invoke name="];
const ENDS: [&str; 6] = ["</function>", "</invoke>", "<function=", "<function name=", "<function(", "<invoke name="];
const PARAMETERS: [&str; 2] = ["<parameter=", "<parameter name="];
const PARAMETER_ENDS: [&str; 3] = ["</parameter>", "<parameter=", "<parameter name="];

/// The calls that a text has as elements.
pub(super) fn element_calls(text: &str, offered: &KnownFunctions) -> Vec<WrittenCall> {
    let call = |element: &str| {
        let (name, inner) = split_name(element)?;
        let parameters = parameters(name, inner, offered);
        let json = || JsonReader::embedded().read_tolerantly(json_values(inner).next()?.1.as_bytes()).ok();
        let arguments = if parameters.is_empty() { json() } else { None };
        Some(WrittenCall { name: name.to_owned(), arguments: arguments.unwrap_or(Value::Object(parameters)) })
    };
    elements(text, &CALLS, &ENDS).into_iter().filter_map(call).collect()
}

/// The call in GLM's form: its name, then `<arg_key>key</arg_key><arg_value>value</arg_value>`.
pub(super) fn key_value_call(text: &str, offered: &KnownFunctions) -> Option<WrittenCall> {
    let (name, rest) = text.split_once("<arg_key>")?;
    let name = name.trim();
    let pair = |part: &str| {
        let (key, rest) = part.split_once("</arg_key>")?;
        let value = rest.split_once("<arg_value>")?.1;
        Some((key.trim().to_owned(), value.split("</arg_value>").next()?.to_owned()))
    };
    let pairs = rest.split("<arg_key>").filter_map(pair);
    let arguments = pairs.map(|(key, text)| (key.clone(), value(name, &key, &text, offered))).collect();
    Some(WrittenCall { name: name.to_owned(), arguments: Value::Object(arguments) })
}

/// What stands between each of `openings` and what may end it.
fn elements<'a>(text: &'a str, openings: &[&str], ends: &[&str]) -> Vec<&'a str> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let FirstMark::Whole { end, .. } = first_mark(text, from, openings) {
        let until = match first_mark(text, end, ends) {
            FirstMark::Whole { start, .. } => start,
            FirstMark::Partial { .. } | FirstMark::Absent => text.len(),
        };
        found.extend(text.get(end..until));
        from = until;
    }
    found
}

/// The name at the beginning of an element, and what follows its tag.
fn split_name(element: &str) -> Option<(&str, &str)> {
    let element = element.trim_start_matches(['"', '\'', ' ']);
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    let end = element.find(|c| !is_part(c)).unwrap_or(element.len());
    let (name, rest) = element.split_at_checked(end)?;
    let rest = rest.trim_start_matches(['"', '\'', ')', ' ']);
    (!name.is_empty()).then(|| (name, rest.strip_prefix('>').unwrap_or(rest)))
}

fn parameters(function: &str, inner: &str, offered: &KnownFunctions) -> Map<String, Value> {
    let parameter = |element: &str| {
        let (tag, text) = element.split_once('>')?;
        let key = tag.trim_start_matches(['"', '\'']).split(['"', '\'', ' ']).next()?.trim();
        Some((key.to_owned(), value(function, key, text, offered)))
    };
    elements(inner, &PARAMETERS, &PARAMETER_ENDS).into_iter().filter_map(parameter).collect()
}

/// What an argument is: a text where the schema says so, else JSON if it is some.
fn value(function: &str, key: &str, text: &str, offered: &KnownFunctions) -> Value {
    let text = text.strip_prefix('\n').unwrap_or(text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    let function = offered.find(function).unwrap_or(function);
    let json = || JsonReader::embedded().read(text.trim().as_bytes()).ok();
    let read = if offered.is_text(function, key) { None } else { json() };
    read.unwrap_or_else(|| Value::from(text))
}
