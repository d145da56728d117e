//! Texts that go to models and agents and come back from them.

use serde_json::Value;

/// The first characters of a text.
pub(super) fn excerpt(text: &str, chars: usize) -> String {
    let mut cut: String = text.chars().take(chars).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// The JSON object in a model's answer; prose around it is forgiven.
pub(super) fn json_in(text: &str) -> Option<Value> {
    let object = text.get(text.find('{')?..=text.rfind('}')?)?;
    serde_json::from_str(object).ok()
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

/// Rows as a Markdown table; the first `most` of them.
pub(super) fn table(columns: &[String], rows: &[Value], most: usize) -> String {
    if columns.is_empty() || rows.is_empty() {
        return "(no rows)".to_owned();
    }
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut table = line(columns.iter().map(|name| cell(&Value::String(name.clone()))).collect());
    table.push_str(&line(columns.iter().map(|_| "---".to_owned()).collect()));
    for row in rows.iter().take(most) {
        table.push_str(&line(columns.iter().map(|name| row.get(name).map_or_else(String::new, cell)).collect()));
    }
    if rows.len() > most {
        table.push_str(&format!("\n… and {} more rows", rows.len() - most));
    }
    table.trim_end().to_owned()
}

/// Longest text in a cell, in characters.
const LONGEST_CELL: usize = 200;

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    excerpt(&text, LONGEST_CELL).replace('\\', "\\\\").replace('|', "\\|")
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
    fn a_table_survives_what_is_in_its_cells() {
        let columns = ["a|b".to_owned(), "n".to_owned()];
        let rows = [json!({"a|b": "x\ny | z", "n": null}), json!({"n": 2}), json!({"n": 3})];
        let expected = "| a\\|b | n |\n| --- | --- |\n| x y \\| z |  |\n|  | 2 |\n\n… and 1 more rows";
        assert_eq!(table(&columns, &rows, 2), expected);
        assert_eq!(table(&columns, &[], 2), "(no rows)");
    }

    proptest! {
        #[test]
        fn every_row_is_one_line(text in ".{0,40}") {
            let table = table(&["c".to_owned()], &[json!({"c": text})], 5);
            prop_assert_eq!(table.lines().count(), 3);
        }
    }
}
