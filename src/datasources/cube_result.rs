//! What Cube's `/v1/load` answers: the rows of one query, or those of several results that belong together (`queryType=multi`).

use serde_json::{Map, Value, json};

use super::query::{QueryResult, ResultMetadata};

/// The rows of a reply, those of several results one after the other; `None` if there are none.
pub(super) fn load_result(reply: &mut Value, max_rows: usize) -> Option<QueryResult> {
    let results = match reply.get_mut("results").map(Value::take) {
        Some(Value::Array(results)) => results,
        _ => vec![reply.take()],
    };
    let (mut rows, mut columns) = (Vec::new(), Vec::<Value>::new());
    for mut result in results {
        let Some(Value::Array(mut data)) = result.get_mut("data").map(Value::take) else { return None };
        let annotation = result.get("annotation").and_then(Value::as_object);
        let doubled = annotation.map(doubled_members).unwrap_or_default();
        data.iter_mut().for_each(|row| remove_members(row, &doubled));
        rows.append(&mut data);
        let described = annotation.map(|annotation| described_columns(annotation, &doubled)).unwrap_or_default();
        let is_new = |column: &Value| !columns.iter().any(|known| known.get("name") == column.get("name"));
        let fresh: Vec<_> = described.into_iter().filter(is_new).collect();
        columns.extend(fresh);
    }
    let truncated = rows.len() > max_rows;
    rows.truncate(max_rows);
    let metadata = [("columns".to_owned(), json!(columns)), ("truncated".to_owned(), json!(truncated))];
    let metadata = ResultMetadata::Service(metadata.into_iter().collect());
    Some(QueryResult { row_count: rows.len() as u64, rows, metadata })
}

/// Members that Cube tells once more: a time dimension stands there by its own name too, where a query asks for it by days or the
/// like (`orders.createdAt` beside `orders.createdAt.day`).
fn doubled_members(annotation: &Map<String, Value>) -> Vec<String> {
    let names = |kind: &str| annotation.get(kind).and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let is_coarser = |name: &str| {
        let mut coarser = names("timeDimensions").filter_map(|other| other.rsplit_once('.'));
        coarser.any(|(whole, _)| whole == name)
    };
    let is_asked_for = |name: &str| names("dimensions").any(|dimension| dimension == name);
    names("timeDimensions").filter(|name| is_coarser(name) && !is_asked_for(name)).cloned().collect()
}

fn remove_members(row: &mut Value, names: &[String]) {
    if let Some(row) = row.as_object_mut().filter(|_| !names.is_empty()) {
        row.retain(|name, _| !names.contains(name));
    }
}

/// Name, type and title of each member.
fn described_columns(annotation: &Map<String, Value>, doubled: &[String]) -> Vec<Value> {
    let members = annotation.values().filter_map(Value::as_object).flatten();
    let shown = members.filter(|(name, _)| !doubled.contains(name));
    shown.map(|(name, about)| json!({"name": name, "type": about.get("type"), "title": about.get("title")})).collect()
}
