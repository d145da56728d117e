//! A schema as a model is shown it that writes a query.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::Value;

use crate::chat::relevance::Keywords;
use crate::datasources::written_identifier;
use crate::grounding::{Item, ItemKind, Vocabulary};
use crate::kernel::{one_line, truncate_chars};
use crate::settings::Protocol;

/// Longest description of a schema, in characters.
const MAX_SCHEMA_CHARS: usize = 8_000;
/// Longest value of a column, in characters.
const MAX_VALUE_CHARS: usize = 40;
/// Values of a column.
const MAX_VALUES: usize = 20;

/// The schema in a few lines: what the prompt talks of first, the rest as far as there is room, and how much is left out.
pub(super) fn describe(
    schema: &Value,
    protocol: Option<Protocol>,
    vocabulary: Option<&Vocabulary>,
    prompt: &str,
) -> String {
    let tables = ["tables", "cubes"].iter().find_map(|key| schema.get(*key)?.as_array());
    let Some(tables) = tables else { return truncate_chars(&schema.to_string(), MAX_SCHEMA_CHARS) };
    let (keywords, writer) = (Keywords::of(prompt), SchemaWriter::new(protocol, vocabulary));
    let shown = tables.iter().filter(|table| text(table, "type") != "partition");
    let mut lines: Vec<_> = shown.map(|table| TableLine::of(table, &writer, &keywords)).collect();
    lines.sort_by_key(|line| (Reverse(line.score), line.is_part));
    let (mut all, mut left_out) = (String::new(), 0);
    for TableLine { line, .. } in lines {
        if all.len() + line.len() > MAX_SCHEMA_CHARS && !all.is_empty() {
            left_out += 1;
            continue;
        }
        all.push_str(&truncate_chars(&line, MAX_SCHEMA_CHARS));
        all.push('\n');
    }
    if left_out > 0 {
        all.push_str(&format!("({left_out} further tables are left out)\n"));
    }
    all.trim_end().to_owned()
}

/// A table as it is shown.
struct TableLine {
    line: String,
    /// How much it has to do with the prompt.
    score: usize,
    /// Whether it is part of another table, or of an extension.
    is_part: bool,
}

impl TableLine {
    fn of(table: &Value, writer: &SchemaWriter<'_>, keywords: &Keywords) -> Self {
        let line = writer.table(table);
        let (name, whole) = (text(table, "name"), text(table, "part_of"));
        // What it shares with the whole speaks for the whole.
        let own = name.split('_').filter(|word| !whole.split(['_', '.']).any(|of_whole| of_whole == *word));
        let score = match whole {
            "" => keywords.score(&line.replace('_', " ")),
            _ => keywords.score(&own.collect::<Vec<_>>().join(" ")),
        };
        Self { line, score, is_part: !whole.is_empty() }
    }
}

/// Writes names as the source's language takes them, and the values that columns are known to have.
struct SchemaWriter<'a> {
    protocol: Option<Protocol>,
    /// Tables by their names in lower case, with and without schema.
    known: HashMap<String, &'a Item>,
}

impl<'a> SchemaWriter<'a> {
    fn new(protocol: Option<Protocol>, vocabulary: Option<&'a Vocabulary>) -> Self {
        let items = vocabulary.map(|vocabulary| vocabulary.items.as_slice()).unwrap_or_default();
        let mut known = HashMap::new();
        for item in items.iter().filter(|item| item.kind == ItemKind::Table) {
            let name = item.name.to_lowercase();
            known.entry(last_part(&name).to_owned()).or_insert(item);
            known.insert(name, item);
        }
        Self { protocol, known }
    }

    /// A name as a query has to spell it.
    fn written(&self, name: &str) -> String {
        self.protocol.map_or_else(|| name.to_owned(), |protocol| written_identifier(protocol, name).into_owned())
    }

    /// `customers (id integer primary key, name text): comment`, or a cube with its members.
    fn table(&self, table: &Value) -> String {
        // A service over HTTP may list bare names.
        if let Value::String(name) = table {
            return name.clone();
        }
        let (schema, own) = (text(table, "schema"), text(table, "name"));
        let name = match schema {
            "" | "public" => self.written(own),
            schema => format!("{}.{}", self.written(schema), self.written(own)),
        };
        let item = self.known.get(&format!("{schema}.{own}").to_lowercase());
        let item = item.or_else(|| self.known.get(last_part(&own.to_lowercase()))).copied();
        let list = |key: &str| {
            let items = table.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            items.iter().map(|column| self.column(column, item)).collect::<Vec<_>>().join(", ")
        };
        let comment = Some(text(table, "comment")).filter(|comment| !comment.is_empty());
        let comment = comment.map(|comment| format!(": {comment}")).unwrap_or_default();
        let columns = list("columns");
        if !columns.is_empty() {
            return format!("{name} ({columns}){comment}");
        }
        let members = ["measures", "dimensions", "segments"].map(|kind| {
            let members = list(kind);
            if members.is_empty() { String::new() } else { format!("; {kind}: {members}") }
        });
        format!("{name}{comment}{}", members.concat())
    }

    /// A column or member, whose table is known as `item`.
    fn column(&self, column: &Value, item: Option<&Item>) -> String {
        if let Value::String(name) = column {
            return name.clone();
        }
        let own = text(column, "name");
        let mut line = format!("{} {}", self.written(own), text(column, "type")).trim_end().to_owned();
        let is_own = |name: &str| last_part(name).eq_ignore_ascii_case(last_part(own));
        let known = item.and_then(|item| item.details.iter().find(|detail| is_own(&detail.name)));
        line.push_str(&describe_values(column, known.map(|known| known.values.as_slice()).unwrap_or_default()));
        if column.get("primary_key") == Some(&Value::Bool(true)) {
            line.push_str(" primary key");
        }
        let references =
            text(column, "references").split('.').map(|name| self.written(name)).collect::<Vec<_>>().join(".");
        if !text(column, "references").is_empty() {
            line.push_str(&format!(" references {references}"));
        }
        for comment in
            ["comment", "title"].map(|key| text(column, key)).into_iter().filter(|comment| !comment.is_empty())
        {
            line.push_str(&format!(" -- {comment}"));
        }
        line
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A name without what it stands in.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// ` ('open', 'paid')`: the values that a column may have, by its type or else by what was found in it.
fn describe_values(column: &Value, found: &[String]) -> String {
    let of_type = column.get("values").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of_type: Vec<_> = of_type.iter().filter_map(Value::as_str).collect();
    let is_complete = !of_type.is_empty() && of_type.len() <= MAX_VALUES;
    let all = if of_type.is_empty() { found.iter().map(String::as_str).collect() } else { of_type };
    let quoted = |value: &&str| format!("'{}'", truncate_chars(&one_line(value), MAX_VALUE_CHARS).replace('\'', "''"));
    let shown: Vec<_> = all.iter().take(MAX_VALUES).map(quoted).collect();
    match shown.is_empty() {
        true => String::new(),
        false if is_complete => format!(" one of ({})", shown.join(", ")),
        false => format!(" such as ({})", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(schema: &Value, prompt: &str) -> String {
        describe(schema, Some(Protocol::Postgres), None, prompt)
    }

    #[test]
    fn a_large_schema_keeps_what_the_prompt_talks_of() {
        let column = json!({"name": "id", "type": "integer", "primary_key": true, "comment": "x".repeat(40)});
        let mut tables: Vec<_> = (0..500).map(|at| json!({"name": format!("t{at}"), "columns": [column]})).collect();
        tables.push(json!({"name": "sales_orders", "schema": "shop", "columns": [column]}));
        let text = shown(&json!({"tables": tables}), "How many sales orders?");
        assert!(text.starts_with("shop.sales_orders (id integer primary key -- x"), "{text}");
        assert!(text.len() < MAX_SCHEMA_CHARS + 100 && text.contains("further tables are left out"));
    }

    #[test]
    fn a_schema_of_bare_names_is_shown() {
        let schema = json!({"tables": ["plans", {"name": "sales", "columns": ["id", {"name": "day"}]}]});
        assert_eq!(describe(&schema, None, None, "?"), "plans\nsales (id, day)");
    }

    #[test]
    fn names_are_written_as_a_query_has_to_spell_them() {
        let column = json!({"name": "CustomerID", "type": "integer", "references": "Odd Name.Users.ID"});
        let table = |schema: &str| json!({"schema": schema, "name": "Customers", "columns": [column]});
        let text = shown(&json!({"tables": [table("public"), table("publications"), table("order")]}), "?");
        let line = "\"Customers\" (\"CustomerID\" integer references \"Odd Name\".\"Users\".\"ID\")";
        assert_eq!(text, format!("{line}\npublications.{line}\n\"order\".{line}"));
    }

    #[test]
    fn parts_stand_behind_what_else_a_prompt_talks_of() {
        let columns = json!([{"name": "country", "type": "text"}]);
        let mut tables = vec![json!({"name": "page_views", "columns": columns})];
        let part =
            |name: &str, kind: &str| json!({"name": name, "type": kind, "part_of": "page_views", "columns": columns});
        tables.extend((0..400).map(|day| part(&format!("page_views_{day}"), "table")));
        tables.extend((0..400).map(|day| part(&format!("page_views_p{day}"), "partition")));
        tables.push(json!({"name": "visitors", "columns": columns}));
        tables.push(part("page_views_archive", "table"));
        let text = shown(&json!({"tables": tables}), "How many page views per country of the visitors?");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["page_views (country text)", "visitors (country text)"]);
        assert!(!text.contains("page_views_p"), "{text}");
        let text = shown(&json!({"tables": tables}), "What is in the archive?");
        assert!(text.starts_with("page_views_archive ("), "{text}");
    }
}
