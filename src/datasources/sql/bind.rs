//! Parameters for the engines that number no placeholders and take the type of a value from the value.

use serde_json::{Map, Value};
use sqlx::error::BoxDynError;
use sqlx::{Arguments, Database, Encode, Type};

use super::guard::CheckedQuery;
use super::parameters::Piece;
use crate::datasources::DataError;
use crate::datasources::rows::json_bytes;

/// Values of one query: SQLite takes no more placeholders.
const MAX_BOUND_VALUES: usize = 32_000;
/// Bytes of all values of one query.
const MAX_BOUND_BYTES: usize = 10_000_000;

/// Arguments for a driver. `unsigned` adds an integer beyond the signed range, which only some engines have.
pub(super) fn arguments<DB: Database>(
    values: Vec<Value>,
    unsigned: impl Fn(&mut DB::Arguments, u64) -> Result<(), BoxDynError>,
) -> Result<DB::Arguments, sqlx::Error>
where
    for<'q> Option<String>: Encode<'q, DB> + Type<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
    for<'q> bool: Encode<'q, DB> + Type<DB>,
    for<'q> i64: Encode<'q, DB> + Type<DB>,
    for<'q> f64: Encode<'q, DB> + Type<DB>,
{
    let mut arguments = DB::Arguments::default();
    for value in values {
        let added = match value {
            Value::Null => arguments.add(Option::<String>::None),
            Value::Bool(value) => arguments.add(value),
            Value::String(text) => arguments.add(text),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), ..) => arguments.add(value),
                (_, Some(value), _) => unsigned(&mut arguments, value),
                (.., Some(value)) => arguments.add(value),
                _ => arguments.add(number.to_string()),
            },
            Value::Array(_) | Value::Object(_) => arguments.add(value.to_string()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// A parameter's value, which must be given.
pub(super) fn required_parameter<'a>(parameters: &'a Map<String, Value>, name: &str) -> Result<&'a Value, DataError> {
    parameters.get(name).ok_or_else(|| DataError::invalid_parameter(format!("The query needs a value for :{name}")))
}

/// The query with `?` for its parameters, and their values in order. A list gets a `?` for each item, so that `IN (:ids)` works;
/// an empty one is replaced by `nothing`, a subquery without rows.
pub(super) fn expand_parameters(
    checked: &CheckedQuery,
    parameters: &Map<String, Value>,
    nothing: &str,
) -> Result<(String, Vec<Value>), DataError> {
    let (mut sql, mut values, mut bytes) = (String::new(), Vec::new(), 0);
    for piece in checked.pieces() {
        match piece {
            Piece::Text(text) => sql.push_str(text),
            Piece::Parameter(name) => match required_parameter(parameters, name)? {
                Value::Array(items) if items.is_empty() => sql.push_str(nothing),
                value => {
                    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    bytes += items.iter().map(json_bytes).sum::<usize>();
                    if values.len() + items.len() > MAX_BOUND_VALUES || bytes > MAX_BOUND_BYTES {
                        return Err(DataError::invalid_parameter(format!(
                            "The parameters of one query should come to at most {MAX_BOUND_VALUES} values and \
                             {MAX_BOUND_BYTES} bytes; a list counts wherever it stands"
                        )));
                    }
                    sql.push_str(&vec!["?"; items.len()].join(", "));
                    values.extend_from_slice(items);
                }
            },
        }
    }
    Ok((sql, values))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::datasources::sql::dialect::Dialect;
    use crate::datasources::sql::guard::check;

    fn expanded(sql: &str, parameters: &Value) -> Result<(String, usize), DataError> {
        let checked = check(sql, Dialect::Sqlite, &[]).unwrap();
        let (sql, values) = expand_parameters(&checked, parameters.as_object().unwrap(), "SELECT NULL WHERE 1 = 0")?;
        Ok((sql, values.len()))
    }

    #[test]
    fn a_list_stands_for_as_many_places_and_an_empty_one_for_none() {
        let given = json!({"ids": [1, 2], "none": [], "n": 3});
        let expected = ("SELECT 1 WHERE a IN (?, ?) AND b NOT IN (SELECT NULL WHERE 1 = 0) AND c = ?".to_owned(), 3);
        assert_eq!(expanded("SELECT 1 WHERE a IN (:ids) AND b NOT IN (:none) AND c = :n", &given).unwrap(), expected);
    }

    #[test]
    fn lists_that_multiply_are_refused_before_they_do() {
        let sql = format!("SELECT 1 WHERE 1 IN ({})", vec![":i"; 1000].join(", "));
        let many = json!({"i": vec!["x"; 10_000]});
        let long = json!({"i": "x".repeat(100_000)});
        for given in [many, long] {
            assert!(expanded(&sql, &given).unwrap_err().to_string().contains("at most 32000 values"));
        }
    }
}
