use std::borrow::Cow;

use serde_json::Value;

use super::dialect::Dialect;
use super::guard::{CheckedQuery, check};
use super::parameters::Piece;
use super::postgres_time::{Zone, day, moment, time, time_with_zone};
use super::postgres_value::{array, scalar};
use super::refusal::Refusal;
use crate::datasources::exact_numbers::with_exact_numbers;
use crate::kernel::json_depth;

/// What must not pass behind a query that does. A query may end in a comment, so each begins a line.
const ADDITIONS: [&str; 5] =
    ["\n; DELETE FROM t", "\n; SELECT 1", "\nINTO OUTFILE '/tmp/x'", "\n\u{0}", "\n) ; COMMIT ; DROP TABLE t --"];

/// A query that passes is one that only reads, is handed on as it was given, and passes again; with more behind it, it does not.
pub(crate) fn sql(data: &[u8]) {
    let query = String::from_utf8_lossy(data);
    for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
        let judge = |query: &str| -> Result<CheckedQuery, Refusal> {
            let judged = check(query, dialect, &[]);
            // This is what a panic is told as.
            let panicked = judged.as_ref().is_err_and(|refusal| refusal.to_string() == "The query can't be checked.");
            assert!(!panicked, "{dialect:?} {query:?}");
            judged
        };
        let Ok(checked) = judge(&query) else { continue };
        let spelled = |value: fn(&str) -> String| -> String {
            let text = checked.pieces().iter().map(|piece| match piece {
                Piece::Text(text) => Cow::Borrowed(text.as_str()),
                Piece::Parameter(name) => Cow::Owned(value(name)),
            });
            text.collect()
        };
        let as_given = spelled(|name| format!(":{name}"));
        assert!(query.starts_with(&as_given), "{dialect:?} {query:?} is handed on as {as_given:?}");
        assert_eq!(judge(&as_given).as_ref(), Ok(&checked), "{dialect:?} {query:?}");
        let with_values = spelled(|_| "NULL".to_owned());
        assert!(judge(&with_values).is_ok(), "{dialect:?} {query:?} as {with_values:?}");
        for addition in ADDITIONS {
            assert!(judge(&format!("{as_given}{addition}")).is_err(), "{dialect:?} {as_given:?} and {addition:?}");
        }
    }
}

/// Types of PostgreSQL whose binary form is read.
const KINDS: [&str; 24] = [
    "BOOL",
    "INT2",
    "INT4",
    "INT8",
    "OID",
    "FLOAT4",
    "FLOAT8",
    "NUMERIC",
    "MONEY",
    "BYTEA",
    "JSON",
    "JSONB",
    "UUID",
    "DATE",
    "TIME",
    "TIMETZ",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "INTERVAL",
    "INET",
    "CIDR",
    "MACADDR",
    "BIT",
    "TEXT",
];
/// Levels of a list: PostgreSQL has no more (MAXDIM).
const MAX_DIMENSIONS: usize = 6;

/// The first byte names a type: whatever bytes a server sends for it, they are a value, and a whole number is that number.
pub(crate) fn postgres_value(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let kind = KINDS.get(usize::from(*kind) % KINDS.len()).copied().unwrap_or_default();
    let value = scalar(kind, bytes);
    let number = match kind {
        "INT2" => bytes.try_into().ok().map(|bytes| i64::from(i16::from_be_bytes(bytes))),
        "INT4" => bytes.try_into().ok().map(|bytes| i64::from(i32::from_be_bytes(bytes))),
        "INT8" => bytes.try_into().ok().map(i64::from_be_bytes),
        _ => None,
    };
    if let Some(number) = number {
        assert_eq!(value.as_str().map_or_else(|| value.to_string(), str::to_owned), number.to_string());
    }
    if !kind.starts_with("JSON")
        && let Some(list) = array(bytes, kind)
    {
        assert!(list.is_array() && json_depth(&list) <= MAX_DIMENSIONS, "{list}");
    }
    if let Some(micros) = bytes.first_chunk().copied().map(i64::from_be_bytes) {
        let days = bytes.last_chunk().copied().map(i32::from_be_bytes).unwrap_or_default();
        let texts = [Some(day(days)), time(micros), time_with_zone(micros, days), Some(moment(micros, Zone::Utc))];
        assert!(texts.into_iter().flatten().all(|text| !text.is_empty() && text.is_ascii()));
    }
}

/// Numbers that a client would round become texts of the same digits, and nothing else of JSON changes.
pub(crate) fn numbers(data: &[u8]) {
    let shown = with_exact_numbers(data);
    let Ok(given) = serde_json::from_slice::<Value>(data) else { return };
    let read = serde_json::from_slice(&shown).ok();
    let (text, shown) = (String::from_utf8_lossy(data), String::from_utf8_lossy(&shown));
    assert!(read.is_some_and(|read| is_same(&given, &read, &text)), "{given} as {shown}");
}

fn is_same(given: &Value, shown: &Value, text: &str) -> bool {
    match (given, shown) {
        (Value::Number(given), Value::String(shown)) => {
            text.contains(shown.as_str()) && shown.parse::<f64>().ok() == given.as_f64()
        }
        (Value::Array(given), Value::Array(shown)) => {
            given.len() == shown.len() && given.iter().zip(shown).all(|(given, shown)| is_same(given, shown, text))
        }
        (Value::Object(given), Value::Object(shown)) => {
            given.len() == shown.len()
                && given.iter().zip(shown).all(|(given, shown)| given.0 == shown.0 && is_same(given.1, shown.1, text))
        }
        (given, shown) => given == shown,
    }
}
