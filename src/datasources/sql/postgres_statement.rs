//! A query as PostgreSQL is sent it: with the types of its parameters, whose values go as text, and with what can't be read in binary
//! form cast to text.

use serde_json::{Map, Value};
use sqlx::postgres::{PgArguments, PgColumn, PgConnection, PgTypeInfo, Postgres};
use sqlx::{AssertSqlSafe, Either, Executor, SqlSafeStr, Statement, TypeInfo};

use super::bind::required_parameter;
use super::engine::{EngineError, column_of};
use super::guard::CheckedQuery;
use super::parameters::Piece;
use super::postgres_types::{self, Described, DescribedColumn};
use super::postgres_value::is_decodable;
use crate::datasources::DataError;

/// The query as it is sent, with the values of its parameters, and names and types of its columns. Asks the server for the types of
/// the query, whose values it then takes as text and casts itself: exact for every type. (A statement without a name would be lost
/// when the driver looks up a type.)
pub(super) async fn prepare(
    connection: &mut PgConnection,
    checked: &CheckedQuery,
    parameters: &Map<String, Value>,
) -> Result<(sqlx::query::Query<'static, Postgres, PgArguments>, Vec<(String, String)>), EngineError> {
    let names: Vec<&str> = checked.names().collect();
    let numbered = with_parameters(checked, &names, |number| format!("${number}"));
    let described = match connection.prepare(AssertSqlSafe(numbered.clone()).into_sql_str()).await {
        Ok(statement) => described(&statement),
        // The server has taken the statement, and the driver does not know one of its types.
        Err(error) if postgres_types::is_lookup_failure(&error) => {
            let with_types = |types: &[String]| with_parameters(checked, &names, |number| null_of(types, number));
            postgres_types::describe(connection, &numbered, with_types).await?
        }
        Err(error) => return Err(error.into()),
    };
    let Described { parameters: types, columns } = described;
    let cast = |number: usize| {
        let kind = types.get(number - 1).map_or("text", String::as_str);
        format!("CAST(${number}::text AS {kind})")
    };
    let sql = cast_undecodable(with_parameters(checked, &names, cast), &columns);
    let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
    for (name, kind) in names.iter().zip(&types) {
        query = query.bind(parameter_text(name, required_parameter(parameters, name)?, kind)?);
    }
    Ok((query, columns.into_iter().map(|column| (column.name, column.kind)).collect()))
}

/// What a prepared statement says of itself.
fn described(statement: &impl Statement<Database = Postgres>) -> Described {
    let types = statement.parameters().and_then(Either::left).unwrap_or_default();
    let column = |column: &PgColumn| {
        let (name, kind) = column_of(column);
        DescribedColumn { name, kind, is_decodable: is_decodable(sqlx::Column::type_info(column)) }
    };
    Described {
        parameters: types.iter().map(type_name).collect(),
        columns: statement.columns().iter().map(column).collect(),
    }
}

/// A null in the place of a parameter.
fn null_of(types: &[String], number: usize) -> String {
    format!("CAST(NULL AS {})", types.get(number - 1).map_or("text", String::as_str))
}

/// The query with something in the place of each parameter, which is told by its number, from 1.
fn with_parameters(checked: &CheckedQuery, names: &[&str], place: impl Fn(usize) -> String) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Parameter(name) => place(names.iter().position(|known| known == name).unwrap_or_default() + 1),
    };
    checked.pieces().iter().map(text).collect()
}

/// The query with the columns as text that can't be read in binary form.
fn cast_undecodable(sql: String, columns: &[DescribedColumn]) -> String {
    if columns.iter().all(|column| column.is_decodable) {
        return sql;
    }
    let names: Vec<String> = (1..=columns.len()).map(|number| format!("c{number}")).collect();
    let shown: Vec<String> = names
        .iter()
        .zip(columns)
        .map(|(name, column)| if column.is_decodable { name.clone() } else { format!("{name}::text") })
        .collect();
    format!("SELECT {} FROM ({sql}\n) AS q({})", shown.join(", "), names.join(", "))
}

/// The name of a type as SQL takes it. Without a length, `char` and `bit` would cut their values to one place.
fn type_name(kind: &PgTypeInfo) -> String {
    let name = kind.name();
    let (element, list) = name.strip_suffix("[]").map_or((name, ""), |element| (element, "[]"));
    let element = match element {
        "UNKNOWN" | "VOID" => "text".to_owned(),
        "CHAR" => "bpchar".to_owned(),
        "BIT" => "varbit".to_owned(),
        "\"CHAR\"" => "\"char\"".to_owned(),
        // What a user has defined is quoted already where it needs to be.
        defined if defined.contains(['"', '.']) => defined.to_owned(),
        builtin => builtin.to_lowercase(),
    };
    element + list
}

/// A value in the form in which PostgreSQL reads its type from text.
fn parameter_text(name: &str, value: &Value, kind: &str) -> Result<Option<String>, DataError> {
    match value {
        Value::Null => Ok(None),
        _ if matches!(kind, "json" | "jsonb") => Ok(Some(value.to_string())),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Array(items) if kind.ends_with("[]") => Ok(Some(array_text(items))),
        Value::Array(_) => Err(DataError::invalid_parameter(format!(
            "Parameter '{name}' is a list where the query needs one {kind}; compare with = ANY(:{name})"
        ))),
        Value::Object(_) => {
            Err(DataError::invalid_parameter(format!("Parameter '{name}' is an object where the query needs {kind}")))
        }
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
    }
}

/// `{1,"a \"b\"",NULL}`; lists in lists are further dimensions.
fn array_text(items: &[Value]) -> String {
    let item = |item: &Value| match item {
        Value::Null => "NULL".to_owned(),
        Value::Array(items) => array_text(items),
        other => {
            let text = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_takes_the_form_of_its_type() {
        let cases = [
            (json!(null), "int8", None),
            (json!(9_007_199_254_740_993_i64), "int8", Some("9007199254740993")),
            (json!("9007199254740993"), "int8", Some("9007199254740993")),
            (json!(true), "bool", Some("true")),
            (json!([1, null, "a\"b\\", [2]]), "text[]", Some(r#"{"1",NULL,"a\"b\\",{"2"}}"#)),
            (json!({"a": [1]}), "jsonb", Some(r#"{"a":[1]}"#)),
            (json!("x"), "json", Some("\"x\"")),
        ];
        for (value, kind, expected) in cases {
            assert_eq!(parameter_text("p", &value, kind).unwrap().as_deref(), expected, "{value} as {kind}");
        }
        assert!(parameter_text("p", &json!([1]), "int4").unwrap_err().to_string().contains("= ANY(:p)"));
    }
}
