//! What services over HTTP say of their data, read as tables: the `cubes` of Cube, the `tables` of a REST service.

use serde_json::Value;

use super::schema::{ColumnSchema, TableCatalog, TableSchema};
use super::table_collector::TableCollector;

/// The cubes of `/v1/meta` that may be seen. Measures, dimensions and segments are their columns, by the names that queries use.
pub(super) fn cubes(meta: &Value) -> TableCatalog {
    let members = |cube: &Value| {
        [("measures", "measure"), ("dimensions", "dimension"), ("segments", "segment")]
            .into_iter()
            .flat_map(|(list, kind)| {
                items(cube, list).iter().filter(|member| is_public(member)).filter_map(move |member| {
                    let kind = [kind, text(member, "type").unwrap_or_default()].join(" ");
                    column(member, kind.trim_end())
                })
            })
            .collect()
    };
    let cubes = items(meta, "cubes").iter().filter(|cube| is_public(cube));
    collected(cubes.filter_map(|cube| Some(TableSchema { columns: members(cube), ..table(cube, "cube")? })))
}

/// The tables of a REST service: names, or objects with a name, a description and columns, which are told alike.
pub(super) fn tables(schema: &Value) -> TableCatalog {
    let columns = |listed: &Value| match listed.get("columns").or_else(|| listed.get("fields")) {
        Some(Value::Array(columns)) => {
            let kind = |column: &Value| text(column, "type").unwrap_or_default().to_owned();
            columns.iter().filter_map(|one| column(one, &kind(one))).collect()
        }
        Some(Value::Object(columns)) => {
            let named =
                |(name, kind): (&String, &Value)| column(&name.as_str().into(), kind.as_str().unwrap_or_default());
            columns.iter().filter_map(named).collect()
        }
        _ => Vec::new(),
    };
    match schema.get("tables").unwrap_or(schema) {
        Value::Array(list) => {
            collected(list.iter().filter_map(|one| Some(TableSchema { columns: columns(one), ..table(one, "table")? })))
        }
        Value::Object(named) => collected(named.iter().filter_map(|(name, one)| {
            let table = table(&name.as_str().into(), "table")?;
            Some(TableSchema { comment: about(one), columns: columns(one), ..table })
        })),
        _ => TableCatalog::default(),
    }
}

/// What is listed: a name, or an object that has one.
fn name_of(listed: &Value) -> Option<&str> {
    listed.as_str().or_else(|| text(listed, "name"))
}

fn table(listed: &Value, kind: &str) -> Option<TableSchema> {
    let kind = text(listed, "type").unwrap_or(kind).to_owned();
    let name = name_of(listed)?.to_owned();
    Some(TableSchema { schema: None, name, kind, comment: about(listed), part_of: None, columns: Vec::new() })
}

fn column(listed: &Value, kind: &str) -> Option<ColumnSchema> {
    let values = ["values", "enum"].iter().flat_map(|key| items(listed, key)).filter_map(Value::as_str);
    Some(ColumnSchema {
        name: name_of(listed)?.to_owned(),
        kind: kind.to_owned(),
        nullable: true,
        default: None,
        primary_key: listed.get("primaryKey").and_then(Value::as_bool).unwrap_or_default(),
        references: None,
        comment: about(listed),
        values: values.map(str::to_owned).collect(),
    })
}

/// Title and description, as one text.
fn about(listed: &Value) -> Option<String> {
    let parts = ["title", "description", "comment"].into_iter().filter_map(|key| text(listed, key));
    let about = parts.collect::<Vec<_>>().join(": ");
    (!about.is_empty()).then_some(about)
}

fn is_public(listed: &Value) -> bool {
    ["public", "isVisible"].iter().all(|key| listed.get(key).and_then(Value::as_bool) != Some(false))
}

/// As many of the tables as there is room for.
fn collected(tables: impl Iterator<Item = TableSchema>) -> TableCatalog {
    let (mut collector, mut total) = (TableCollector::default(), 0);
    for table in tables {
        collector.add(table);
        total += 1;
    }
    collector.finish(total)
}

fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

fn items<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(catalog: &TableCatalog) -> Vec<String> {
        let column = |column: &ColumnSchema| format!("{} {} {:?}", column.name, column.kind, column.comment);
        let table = |table: &TableSchema| {
            let columns: Vec<_> = table.columns.iter().map(column).collect();
            format!("{} {} {:?} [{}]", table.name, table.kind, table.comment, columns.join(", "))
        };
        catalog.tables.iter().map(table).collect()
    }

    #[test]
    fn cubes_are_tables_of_measures_and_dimensions() {
        let meta = json!({"cubes": [
            {"name": "orders", "title": "Orders", "description": "What was ordered", "type": "cube",
                "measures": [{"name": "orders.count", "title": "Orders Count", "type": "number"}],
                "dimensions": [{"name": "orders.status", "type": "string"}, {"name": "orders.secret", "public": false}]},
            {"name": "internal", "isVisible": false}, 7, {"title": "no name"}
        ]});
        let expected = "orders cube Some(\"Orders: What was ordered\") \
            [orders.count measure number Some(\"Orders Count\"), orders.status dimension string None]";
        assert_eq!(shown(&cubes(&meta)), [expected]);
        assert_eq!(cubes(&json!("nothing")), TableCatalog::default());
    }

    #[test]
    fn services_list_their_tables_as_they_like() {
        let listed = json!({"tables": ["plans", {"name": "sales", "description": "What was sold",
            "columns": [{"name": "amount", "type": "numeric"}, "day"]}]});
        let named = json!({"plans": {}, "sales": {"description": "What was sold", "columns": {"amount": "numeric", "day": ""}}});
        let expected = ["plans table None []", "sales table Some(\"What was sold\") [amount numeric None, day  None]"];
        assert_eq!(shown(&tables(&listed)), expected);
        assert_eq!(shown(&tables(&named)), expected);
        assert_eq!(tables(&json!(null)), TableCatalog::default());
    }
}
