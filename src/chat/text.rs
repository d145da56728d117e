//! Texts that go to models and come back from them.

use serde_json::{Map, Value};

use crate::kernel::{JsonReader, one_line, truncate_chars};

/// Characters of a prompt that are classified or put into a question: what is wanted stands at its beginning.
pub(super) const MAX_PROMPT_CHARS: usize = 4000;

/// What is looked at of a prompt.
pub(super) fn beginning(prompt: &str) -> &str {
    let end = prompt.char_indices().nth(MAX_PROMPT_CHARS).map_or(prompt.len(), |(end, _)| end);
    prompt.get(..end).unwrap_or(prompt)
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

/// The JSON object in a model's answer; prose around it is forgiven, and what makes it no JSON by a hair.
pub(super) fn json_in(text: &str) -> Option<Value> {
    let object = text.get(text.find('{')?..=text.rfind('}')?)?;
    JsonReader::embedded().read_tolerantly(object.as_bytes()).ok()
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
