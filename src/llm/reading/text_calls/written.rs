//! Reads the body of a call that stands in a text.

use serde_json::{Map, Value};

use super::elements::{WrittenCall, element_calls, key_value_call};
use super::forms::{ARGUMENT_MEMBERS, NAME_MEMBERS, OTHER_MEMBERS};
use super::python::python_calls;
use crate::kernel::{JsonReader, ValueCounter, new_id};
use crate::llm::ToolCall;
use crate::llm::reading::arguments::arguments;
use crate::llm::reading::json_scan::json_values;
use crate::llm::reading::offered::KnownFunctions;

/// What stands where a call may.
#[derive(Debug, PartialEq)]
pub(super) enum CallText {
    /// Calls of functions that are offered.
    Calls(Vec<ToolCall>),
    /// Mark-up, but of no such call.
    Markup,
    /// Something else.
    Prose,
}

/// Reads what stands between marks that nothing but calls have.
pub(super) fn read_marked(body: &str, offered: &KnownFunctions) -> CallText {
    let mut written = element_calls(body, offered);
    if written.is_empty() {
        written.extend(key_value_call(body, offered));
    }
    if written.is_empty() {
        written = python_calls(body).unwrap_or_else(|| json_calls(body, offered));
    }
    let is_markup = !written.is_empty() || body.trim_start().starts_with(['{', '[']);
    match known(written, offered) {
        calls if !calls.is_empty() => CallText::Calls(calls),
        _ if is_markup => CallText::Markup,
        _ => CallText::Prose,
    }
}

/// Reads what has no marks, JSON or Python: it has to be calls through and through, all of functions that are offered.
pub(super) fn read_bare(text: &str, offered: &KnownFunctions) -> Option<Vec<ToolCall>> {
    let written = python_calls(text).or_else(|| bare_json_calls(text))?;
    let all = written.len();
    let calls = known(written, offered);
    (all > 0 && calls.len() == all).then_some(calls)
}

fn bare_json_calls(text: &str) -> Option<Vec<WrittenCall>> {
    let (mut written, mut length) = (Vec::new(), 0);
    for (lead, value) in json_values(text) {
        if !lead.trim_matches([';', ',']).trim().is_empty() {
            return None;
        }
        length += lead.len() + value.len();
        let value = JsonReader::embedded().read_tolerantly(value.as_bytes()).ok()?;
        written.extend(calls_of(&value, true)?);
    }
    let rest = text.get(length..)?.trim_matches(|c: char| c.is_whitespace() || c == ';');
    rest.is_empty().then_some(written)
}

/// Those of functions that are offered, under the names that they have.
fn known(written: Vec<WrittenCall>, offered: &KnownFunctions) -> Vec<ToolCall> {
    let call = |WrittenCall { name, arguments }| {
        let name = offered.find(&name)?.to_owned();
        Some(ToolCall { id: new_id(), name, arguments })
    };
    written.into_iter().filter_map(call).collect()
}

/// Calls as JSON objects, or as names with the JSON of their arguments behind them.
fn json_calls(body: &str, offered: &KnownFunctions) -> Vec<WrittenCall> {
    const SEPARATORS: [&str; 3] = ["<｜tool▁sep｜>", "[ARGS]", "[CALL_ID]"];
    let body = SEPARATORS.iter().fold(body.to_owned(), |body, mark| body.replace(mark, " "));
    let mut written = Vec::new();
    for (lead, text) in json_values(&body) {
        let Ok(value) = JsonReader::embedded().read_tolerantly(text.as_bytes()) else { continue };
        let name = name_in(lead, offered);
        let is_named = name.as_ref().is_some_and(|name| offered.find(name).is_some());
        match (calls_of(&value, false), name) {
            (Some(calls), _) if !is_named => written.extend(calls),
            (_, Some(name)) if value.is_object() => written.push(WrittenCall { name, arguments: value }),
            _ => {}
        }
    }
    written
}

/// The name of a function before its arguments: one that is offered, or else the last word that may be one.
fn name_in(lead: &str, offered: &KnownFunctions) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    let words = || lead.split(|c: char| !is_part(c)).filter(|word| !word.is_empty());
    words().find(|word| offered.find(word).is_some()).or_else(|| words().next_back()).map(str::to_owned)
}

/// The calls that a JSON value is; `strictly` so if it has no members but those of calls.
fn calls_of(value: &Value, strictly: bool) -> Option<Vec<WrittenCall>> {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let calls: Option<Vec<_>> = items.iter().map(|item| calls_of(item, strictly)).collect();
            Some(calls?.into_iter().flatten().collect())
        }
        Value::Object(members) => match (members.get("tool_calls"), members.get("function")) {
            (Some(calls @ Value::Array(_)), _) => calls_of(calls, strictly),
            (_, Some(function @ Value::Object(_))) => calls_of(function, strictly),
            _ => call_of(members, strictly).map(|call| vec![call]),
        },
        _ => None,
    }
}

fn call_of(members: &Map<String, Value>, strictly: bool) -> Option<WrittenCall> {
    let name = NAME_MEMBERS.iter().find_map(|member| members.get(*member)?.as_str())?.to_owned();
    let written = ARGUMENT_MEMBERS.iter().find_map(|member| members.get(*member)).filter(|value| !value.is_null());
    let all = [NAME_MEMBERS.as_slice(), &ARGUMENT_MEMBERS, &OTHER_MEMBERS].concat();
    if strictly && (written.is_none() || members.keys().any(|key| !all.contains(&key.as_str()))) {
        return None;
    }
    let arguments = match written {
        None => Value::Object(Map::new()),
        Some(Value::String(text)) => arguments(text, &mut ValueCounter::default()),
        Some(value) => value.clone(),
    };
    (!strictly || arguments.is_object()).then_some(WrittenCall { name, arguments })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::ToolSpec;

    fn offered() -> KnownFunctions {
        let parameters =
            json!({"type": "object", "properties": {"url": {"type": "string"}, "days": {"type": "integer"}}});
        KnownFunctions::of(&[ToolSpec { name: "weather".to_owned(), description: String::new(), parameters }])
    }

    fn calls(read: CallText) -> Vec<(String, Value)> {
        let CallText::Calls(calls) = read else { return Vec::new() };
        calls.into_iter().map(|call| (call.name, call.arguments)).collect()
    }

    #[test]
    fn bodies_of_every_form_are_read() {
        let expected = [("weather".to_owned(), json!({"url": "/a", "days": 2}))];
        for body in [
            r#"{"name": "weather", "arguments": {"url": "/a", "days": 2}}"#,
            r#"{"name": "functions.weather", "parameters": {"url": "/a", "days": 2}}"#,
            r#"{"name": "weather", "arguments": "{\"url\": \"/a\", \"days\": 2}"}"#,
            r#"{'name': 'weather', 'arguments': {'url': '/a', 'days': 2,}}"#,
            r#"{"type": "function", "function": {"name": "weather", "arguments": {"url": "/a", "days": 2}}}"#,
            r#"[{"name": "weather", "arguments": {"url": "/a", "days": 2}}]"#,
            r#"weather{"url": "/a", "days": 2}"#,
            r#"The call: {"name": "weather", "arguments": {"url": "/a", "days": 2}}"#,
            r#"weather[ARGS]{"url": "/a", "days": 2}"#,
            "function<｜tool▁sep｜>weather\n```json\n{\"url\": \"/a\", \"days\": 2}\n```",
            r#"functions.weather:0<|tool_call_argument_begin|>{"url": "/a", "days": 2}"#,
            r#"functions.weather <|constrain|>json<|message|>{"url": "/a", "days": 2}"#,
            "<function=weather><parameter=url>\n/a\n</parameter>\n<parameter=days>2</parameter></function>",
            r#"<function=weather>{"url": "/a", "days": 2}</function>"#,
            r#"<function=weather{"url": "/a", "days": 2}</function>"#,
            r#"<function(weather){"url": "/a", "days": 2}</function>"#,
            r#"<invoke name="weather"><parameter name="url">/a</parameter><parameter name="days">2</parameter></invoke>"#,
            "weather\n<arg_key>url</arg_key>\n<arg_value>/a</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>",
        ] {
            assert_eq!(calls(read_marked(body, &offered())), expected, "{body}");
        }
        let named = r#"weather {"name": "Oslo"}"#;
        assert_eq!(calls(read_marked(named, &offered()))[0].1, json!({"name": "Oslo"}), "an argument of that name");
        let digits = "<function=weather><parameter=url>7</parameter></function>";
        assert_eq!(calls(read_marked(digits, &offered()))[0].1, json!({"url": "7"}), "a text by its schema");
    }

    #[test]
    fn what_is_no_call_of_an_offered_function_is_none() {
        for (body, read) in [
            (r#"{"name": "delete", "arguments": {}}"#, CallText::Markup),
            (r#"{"name": "weat"#, CallText::Markup),
            (" is the tag that begins it.", CallText::Prose),
        ] {
            assert_eq!(read_marked(body, &offered()), read, "{body}");
        }
        for text in [
            r#"{"name": "weather", "parameters": {"type": "object"}, "description": "What it is"}"#,
            r#"{"name": "weather"}"#,
            r#"{"name": "weather", "arguments": "none"}"#,
            r#"{"name": "delete", "arguments": {}}"#,
            r#"{"name": "weather", "arguments": {}} is how"#,
            "{}",
        ] {
            assert_eq!(read_bare(text, &offered()), None, "{text}");
        }
        let two =
            r#"{"name": "weather", "parameters": {"url": "/a"}}; {"name": "weather", "parameters": {"url": "/b"}};"#;
        assert_eq!(read_bare(two, &offered()).unwrap().len(), 2);
    }
}
