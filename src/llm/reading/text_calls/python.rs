//! Calls written as Python has them, `[weather(city="Oslo", days=2), time()]`: Llama does so without any marks around them.

use serde_json::{Map, Value};

use super::elements::WrittenCall;
use super::forms::JsonStart;
use crate::kernel::JsonReader;
use crate::llm::reading::offered::KnownFunctions;

/// Whether a text begins like a list of such calls, the first of which is one of a function that is offered.
pub(super) fn python_start(text: &str, offered: &KnownFunctions) -> JsonStart {
    let Some(inside) = text.trim_start().strip_prefix('[').map(str::trim_start) else { return JsonStart::Other };
    match inside.find(|c| !is_name_part(c)).map(|end| inside.split_at(end)) {
        None if offered.has_name_from(inside) => JsonStart::Open,
        Some((name, rest)) if rest.starts_with('(') && offered.has(name) => JsonStart::Call,
        _ => JsonStart::Other,
    }
}

/// The calls of such a list, or the one call that stands alone; `None` if a text is neither.
pub(super) fn python_calls(text: &str) -> Option<Vec<WrittenCall>> {
    let text = text.trim();
    let inside = text.strip_prefix('[').map_or(Some(text), |list| list.strip_suffix(']'))?;
    parts(inside)?.into_iter().map(call).collect()
}

fn call(text: &str) -> Option<WrittenCall> {
    let (name, rest) = text.split_once('(')?;
    let is_name = !name.is_empty() && name.chars().all(is_name_part);
    let written = parts(rest.strip_suffix(')')?)?.into_iter().map(argument);
    let arguments: Map<_, _> = written.collect::<Option<_>>()?;
    is_name.then(|| WrittenCall { name: name.to_owned(), arguments: arguments.into() })
}

fn argument(text: &str) -> Option<(String, Value)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim_end();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let listed = JsonReader::embedded().read_tolerantly(format!("[{value}]").as_bytes()).ok()?;
    match listed {
        Value::Array(mut values) if is_name && values.len() == 1 => Some((name.to_owned(), values.pop()?)),
        _ => None,
    }
}

/// What stands between the commas of a text that are in no string and no brackets; the last comma may have nothing behind it. `None` if
/// brackets or quotes have no end.
fn parts(text: &str) -> Option<Vec<&str>> {
    let (mut depth, mut quote, mut is_escaped) = (0_usize, None, false);
    let (mut start, mut parts) = (0, Vec::new());
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.checked_sub(1)?,
            (None, ',') if depth == 0 => {
                parts.push(text.get(start..at)?.trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text.get(start..)?.trim();
    parts.extend(Some(last).filter(|last| !last.is_empty()));
    (depth == 0 && quote.is_none()).then_some(parts)
}

fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Option<Value> {
        let calls = python_calls(text)?.into_iter().map(|call| json!([call.name, call.arguments]));
        Some(calls.collect())
    }

    #[test]
    fn calls_with_values_of_every_kind_are_read() {
        for (text, expected) in [
            ("[time()]", json!([["time", {}]])),
            ("functions.time()", json!([["functions.time", {}]])),
            ("[a(x=1, y = -2.5), b(z=None,)]", json!([["a", {"x": 1, "y": -2.5}], ["b", {"z": null}]])),
            (r#"[a(x="b, c)", y='it\'s', z=True)]"#, json!([["a", {"x": "b, c)", "y": "it's", "z": true}]])),
            ("[ a( x=[1, 'b'], y={'c': {'d': 1}} ) ]", json!([["a", {"x": [1, "b"], "y": {"c": {"d": 1}}}]])),
            ("[a(x='ü=1')]", json!([["a", {"x": "ü=1"}]])),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_call_is_none() {
        for text in [
            "[a(1)]",
            "[a(x=b)]",
            "[a(x=1]",
            "[a(x='1)]",
            "[a(x=1)b(y=2)]",
            "[a(x=1) and b]",
            "[(x=1)]",
            "[a(x=1), 2]",
            "[a](b)",
            r#"{"name": "f(x=1)"}"#,
            "print(f(x=1))",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
