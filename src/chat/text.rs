//! Texts that go to models and agents and come back from them.

use regex::Regex;
use serde_json::{Map, Value};

use crate::kernel::{JsonReader, one_line, truncate_chars};
use crate::outbound::{ReportedError, reported_error};

/// Characters of a prompt that are classified or put into a question: what is wanted stands at its beginning.
pub(super) const MAX_PROMPT_CHARS: usize = 4000;

/// What is looked at of a prompt.
pub(super) fn beginning(prompt: &str) -> String {
    prompt.chars().take(MAX_PROMPT_CHARS).collect()
}

/// A pattern that stands in the source.
#[expect(clippy::expect_used, reason = "the unit tests of whoever calls it compile each")]
pub(super) fn constant_regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("constant pattern")
}

/// A text between two lines of dashes, longer than any in the text: whoever wrote it can't end it before its end.
pub(super) fn fenced(text: &str) -> String {
    let rules = text.lines().map(str::trim).filter(|line| line.chars().all(|c| c == '-'));
    let fence = "-".repeat(rules.map(str::len).max().unwrap_or(0).max(2) + 1);
    format!("{fence}\n{text}\n{fence}")
}

/// `1 row`, `2 rows`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// The JSON object in a model's answer; prose around it is forgiven.
pub(super) fn json_in(text: &str) -> Option<Value> {
    let object = text.get(text.find('{')?..=text.rfind('}')?)?;
    JsonReader::embedded().read(object.as_bytes()).ok()
}

/// The text of an agent's JSON: the usual member that holds one, else all of it.
pub(super) fn text_in(json: &Value) -> String {
    const MEMBERS: [&str; 9] =
        ["answer", "output", "result", "response", "text", "content", "message", "reply", "data"];
    match json {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) => match MEMBERS.iter().find_map(|member| map.get(*member).filter(|value| !value.is_null()))
        {
            Some(Value::String(text)) => text.clone(),
            Some(inner @ Value::Object(_)) => text_in(inner),
            _ => format!("{json:#}"),
        },
        other => format!("{other:#}"),
    }
}

/// The texts of server-sent events, put together: whatever each has in its `data`.
pub(super) fn text_of_events(events: &str) -> String {
    let data = events.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start);
    let text = |data: &str| match JsonReader::embedded().read(data.as_bytes()) {
        Ok(json @ (Value::Object(_) | Value::String(_))) => text_in(&json),
        _ => data.to_owned(),
    };
    data.filter(|data| *data != "[DONE]").map(text).collect()
}

/// The error that server-sent events tell of: an event of that name, or one whose `data` is an error.
pub(super) fn error_in_events(events: &str) -> Option<ReportedError> {
    let mut is_error = false;
    for line in events.lines() {
        if let Some(name) = line.strip_prefix("event:") {
            is_error = name.trim() == "error";
        } else if let Some(data) = line.strip_prefix("data:").map(str::trim) {
            let told = JsonReader::embedded().read(data.as_bytes()).ok().and_then(|json| reported_error(&json));
            let named = || is_error.then(|| ReportedError { text: short_line(data), has_answer: false });
            if let Some(error) = told.or_else(named) {
                return Some(error);
            }
        } else if line.is_empty() {
            is_error = false;
        }
    }
    None
}

/// Rows as a Markdown table; the first `most` of them.
pub(super) fn table(columns: &[String], rows: &[Value], most: usize) -> String {
    if rows.is_empty() {
        return "(no rows)".to_owned();
    }
    if columns.is_empty() {
        // A service over HTTP may give rows that are no objects.
        let row = |row: &Value| Map::from_iter([("value".to_owned(), row.clone())]).into();
        return table(&["value".to_owned()], &rows.iter().map(row).collect::<Vec<_>>(), most);
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut table = line(columns.iter().map(|name| cell(&Value::String(name.clone()))).collect());
    table.push_str(&line(columns.iter().map(|_| "---".to_owned()).collect()));
    for row in rows.iter().take(most) {
        table.push_str(&line(columns.iter().map(|name| row.get(name).map_or_else(String::new, cell)).collect()));
    }
    if rows.len() > most {
        table.push_str(&format!("\n… and {}", count(rows.len() - most, "more row")));
    }
    table.trim_end().to_owned()
}

/// Longest text in a cell or a line of a list, in characters.
const MAX_LINE_CHARS: usize = 200;

/// A text on one line, cut if it is long.
pub(super) fn short_line(text: &str) -> String {
    truncate_chars(&one_line(text), MAX_LINE_CHARS)
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    short_line(&text).replace('\\', "\\\\").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_agents_text_is_found_where_it_usually_is() {
        let cases = [
            (json!({"answer": "a", "model": "m"}), "a"),
            (json!({"data": {"result": {"text": "b"}}}), "b"),
            (json!("c"), "c"),
            (json!({"output": null, "message": "d"}), "d"),
            (json!([1]), "[\n  1\n]"),
            (json!(null), ""),
        ];
        for (json, text) in cases {
            assert_eq!(text_in(&json), text, "{json}");
        }
    }

    #[test]
    fn the_texts_of_events_are_put_together() {
        let events = "event: delta\ndata: {\"content\": \"Two \"}\n\n: ping\n\ndata: {\"content\": \"invoices.\"}\n\ndata: [DONE]\n";
        assert_eq!(text_of_events(events), "Two invoices.");
        assert_eq!(text_of_events("data: plain words\n\n"), "plain words");
    }

    #[test]
    fn an_error_among_events_is_found() {
        let text = |events| error_in_events(events).map(|error| error.text);
        assert_eq!(
            text("data: {\"content\": \"Two \"}\n\nevent: error\ndata: out of memory\n\n").as_deref(),
            Some("out of memory")
        );
        assert_eq!(text("event: end\ndata: {\"error\": {\"message\": \"boom\"}}\n\n").as_deref(), Some("boom"));
        assert_eq!(text("event: error\n\ndata: {\"content\": \"error\", \"error\": null}\n\n"), None);
    }

    #[test]
    fn a_table_survives_what_is_in_its_cells() {
        let columns = ["a|b".to_owned(), "n".to_owned()];
        let rows = [json!({"a|b": "x\ny | z", "n": null}), json!({"n": 2}), json!({"n": 3})];
        let expected = "| a\\|b | n |\n| --- | --- |\n| x y \\| z |  |\n|  | 2 |\n\n… and 1 more row";
        assert_eq!(table(&columns, &rows, 2), expected);
        assert_eq!(table(&columns, &[], 2), "(no rows)");
        assert_eq!(table(&[], &[json!([1, "a"])], 2), "| value |\n| --- |\n| [1,\"a\"] |");
    }

    #[test]
    fn a_fence_is_longer_than_what_is_in_it() {
        assert_eq!(fenced("a"), "---\na\n---");
        assert_eq!(fenced("a\n --- \n-----\r\n| --- |"), "------\na\n --- \n-----\r\n| --- |\n------");
    }

    proptest! {
        #[test]
        fn every_row_is_one_line(text in ".{0,40}") {
            let table = table(&["c".to_owned()], &[json!({"c": text})], 5);
            prop_assert_eq!(table.lines().count(), 3);
        }
    }
}
