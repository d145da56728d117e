//! Cube's JSON queries: `:name` parameters, which Cube itself does not know, and the members that a query reads.

use serde_json::{Map, Value};

use super::DataError;
use super::query_outline::QueryOutline;
use crate::kernel::JsonReader;

/// Keys below which stands what members are compared with.
const VALUE_KEYS: [&str; 3] = ["values", "dateRange", "compareDateRange"];

/// Limit above which Cube refuses a query, unless its `CUBEJS_DB_QUERY_LIMIT` says otherwise.
const MAX_LIMIT: usize = 50_000;

/// Whether a text is a JSON query, or a list of those, rather than SQL.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// Reads a JSON query, or a list of those.
pub(super) fn read_json(text: &str) -> Result<Value, DataError> {
    let wrong = |what: String| DataError::invalid_query(format!("Not a Cube query: {what}"));
    let cube: Value = JsonReader::embedded().read(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    match &cube {
        Value::Object(_) => Ok(cube),
        Value::Array(queries) if !queries.is_empty() && queries.iter().all(Value::is_object) => Ok(cube),
        _ => Err(wrong("it should be an object, or a list of objects that are blended".to_owned())),
    }
}

/// Whether Cube answers with several results: for a list of queries, and for one that compares ranges of dates.
pub(super) fn has_many_results(cube: &Value) -> bool {
    let dimensions = cube.get("timeDimensions").and_then(Value::as_array).into_iter().flatten();
    cube.is_array() || dimensions.into_iter().any(|dimension| dimension.get("compareDateRange").is_some())
}

/// The query, or each of a list, with a limit: one row more than wanted tells whether there are more.
pub(super) fn with_limit(cube: &Value, max_rows: usize) -> Value {
    match cube {
        Value::Array(queries) => queries.iter().map(|query| with_limit(query, max_rows)).collect(),
        query => {
            let asked = query.get("limit").and_then(Value::as_u64).and_then(|limit| usize::try_from(limit).ok());
            let mut query = query.as_object().cloned().unwrap_or_default();
            let limit = asked.unwrap_or(MAX_LIMIT).min(max_rows.saturating_add(1));
            query.insert("limit".to_owned(), limit.into());
            Value::Object(query)
        }
    }
}

/// The query with values for texts of the form `:name`; a list among the items of a list stands for its items.
pub(super) fn with_parameters(query: Value, parameters: &Map<String, Value>) -> Value {
    let value_of = |text: &Value| parameters.get(parameter(text)?).cloned();
    match query {
        Value::Array(items) => {
            let items = items.into_iter().flat_map(|item| match value_of(&item) {
                Some(Value::Array(values)) => values.iter().map(member_text).collect(),
                Some(value) => vec![member_text(&value)],
                None => vec![with_parameters(item, parameters)],
            });
            items.collect()
        }
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, with_parameters(value, parameters))).collect()
        }
        other => value_of(&other).unwrap_or(other),
    }
}

/// The name of the parameter that a text stands for.
fn parameter(text: &Value) -> Option<&str> {
    let name = text.as_str()?.strip_prefix(':')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(name)
}

/// Cube compares with texts only.
fn member_text(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).into()
}

/// What a query reads and takes.
pub(super) fn describe(query: &Value) -> QueryOutline {
    let mut outline = QueryOutline::default();
    collect(query, true, &mut outline);
    outline
}

/// `is_member` tells whether members of cubes may stand here.
fn collect(value: &Value, is_member: bool, outline: &mut QueryOutline) {
    match value {
        Value::String(text) => {
            outline.parameters.extend(parameter(value).map(str::to_owned));
            add_member(Some(text.as_str()).filter(|_| is_member), outline);
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, is_member, outline)),
        Value::Object(members) => members.iter().for_each(|(key, below)| {
            // In `order` members are keys.
            add_member(Some(key.as_str()), outline);
            collect(below, is_member && !VALUE_KEYS.contains(&key.as_str()), outline);
        }),
        _ => {}
    }
}

/// `Orders.count` or `Orders.createdAt.day`.
fn add_member(text: Option<&str>, outline: &mut QueryOutline) {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let Some((cube, member)) = text.and_then(|text| text.split_once('.')) else { return };
    let member = member.split('.').next().unwrap_or_default();
    if is_name(cube) && is_name(member) {
        outline.tables.insert(cube.to_owned());
        outline.columns.insert(member.to_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_has_members_and_parameters_which_are_filled_with_texts() {
        let query = json!({"measures": ["Orders.count"], "order": {"Orders.total": "desc"}, "limit": 5,
            "timeDimensions": [{"dimension": "Orders.createdAt.day", "dateRange": [":from", "2024-01.02"]}],
            "filters": [{"member": "Users.city", "operator": "equals", "values": [":cities", "a.b"]}]});
        let outline = describe(&query);
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!((outline.parameters, outline.tables), (list(&["cities", "from"]), list(&["Orders", "Users"])));
        assert_eq!(outline.columns, list(&["city", "count", "createdat", "total"]));
        let values = json!({"from": 2024, "cities": ["Lisbon", 7]});
        let filled = with_parameters(query, values.as_object().unwrap());
        assert_eq!(filled["filters"][0]["values"], json!(["Lisbon", "7", "a.b"]));
        assert_eq!(filled["timeDimensions"][0]["dateRange"], json!(["2024", "2024-01.02"]));
    }
}
