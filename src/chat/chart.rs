//! A picture of rows that make one, as a Vega-Lite description; the rows themselves stay where they are, in `metadata.data`.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

/// The version that every renderer of the last years reads.
const SCHEMA: &str = "https://vega.github.io/schema/vega-lite/v5.json";
/// Rows that a bar chart has at most: more can't be read.
const MAX_BARS: usize = 40;
/// Series in one picture.
const MAX_SERIES: usize = 8;
/// Slices of a pie.
const MAX_SLICES: usize = 6;
/// Points that make a cloud.
const MIN_POINTS: usize = 5;

/// A Vega-Lite description of a picture.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Chart {
    #[serde(rename = "$schema")]
    schema: &'static str,
    data: ChartData,
    mark: &'static str,
    encoding: Encoding,
}

/// The rows, by the name of their data source in `metadata.data`.
#[derive(Debug, PartialEq, Serialize)]
struct ChartData {
    name: String,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Encoding {
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    theta: Option<Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<Channel>,
}

/// A column, and how it is drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Channel {
    field: String,
    title: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// `Null` keeps the order of the rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<Value>,
    /// Series stand side by side rather than on each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<bool>,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnKind {
    Time,
    Number,
    Category,
    /// Keys, long texts, mixed values: nothing to draw.
    Other,
}

/// A column of the rows, looked at.
struct ColumnView<'a> {
    name: &'a str,
    kind: ColumnKind,
    values: Vec<&'a Value>,
}

impl Chart {
    /// The picture of what a data source gave (an entry of `metadata.data`), chosen by the types and the number of its columns.
    pub(super) fn of(data: &Value) -> Option<Self> {
        let rows = data.get("rows")?.as_array()?;
        // A part of the rows would make a wrong picture.
        if rows.len() < 2 || data.get("truncated") == Some(&Value::Bool(true)) {
            return None;
        }
        let columns: Vec<_> = columns(data, rows);
        let of_kind = |kind| columns.iter().filter(move |column| column.kind == kind).collect::<Vec<_>>();
        let (times, numbers, categories) =
            (of_kind(ColumnKind::Time), of_kind(ColumnKind::Number), of_kind(ColumnKind::Category));
        let (mark, encoding) = match (times.as_slice(), categories.as_slice()) {
            ([time], [] | [_]) => line(time, measure(&numbers)?, categories.first().copied())?,
            ([], [category]) if is_share(&numbers, rows.len()) => slices(category, numbers.first()?),
            ([], [category]) => bars(category, measure(&numbers)?, None)?,
            ([], [first, second]) => grouped(first, second, measure(&numbers)?)?,
            ([], []) => points(&numbers, columns.len(), rows.len())?,
            _ => return None,
        };
        let name = data.get("datasource")?.as_str()?.to_owned();
        Some(Self { schema: SCHEMA, data: ChartData { name }, mark, encoding })
    }
}

fn line(
    time: &ColumnView<'_>,
    number: &ColumnView<'_>,
    series: Option<&ColumnView<'_>>,
) -> Option<(&'static str, Encoding)> {
    // Without series, each moment has one value.
    let is_whole = series.map_or(time.is_distinct(), |series| series.distinct() <= MAX_SERIES);
    // A bare year would be taken for milliseconds.
    let time_type = if time.values.iter().all(|value| value.is_string()) { "temporal" } else { "ordinal" };
    let (x, y) = (Some(time.channel(time_type)), Some(number.channel("quantitative")));
    let color = series.map(|series| series.channel("nominal"));
    is_whole.then_some(("line", Encoding { x, y, color, theta: None }))
}

fn bars(
    category: &ColumnView<'_>,
    number: &ColumnView<'_>,
    series: Option<&ColumnView<'_>>,
) -> Option<(&'static str, Encoding)> {
    if category.values.len() > MAX_BARS || series.is_none() && !category.is_distinct() {
        return None;
    }
    let x = Channel { sort: Some(Value::Null), ..category.channel("nominal") };
    let y = Channel { stack: series.map(|_| false), ..number.channel("quantitative") };
    let color = series.map(|series| series.channel("nominal"));
    Some(("bar", Encoding { x: Some(x), y: Some(y), color, theta: None }))
}

/// Bars by one category, in the colours of the one that has fewer values.
fn grouped(
    first: &ColumnView<'_>,
    second: &ColumnView<'_>,
    number: &ColumnView<'_>,
) -> Option<(&'static str, Encoding)> {
    let (category, series) = if second.distinct() <= first.distinct() { (first, second) } else { (second, first) };
    if series.distinct() > MAX_SERIES {
        return None;
    }
    // A name and a property of it are one category.
    if category.is_distinct() { bars(category, number, None) } else { bars(category, number, Some(series)) }
}

fn slices(category: &ColumnView<'_>, share: &ColumnView<'_>) -> (&'static str, Encoding) {
    let (theta, color) = (Some(share.channel("quantitative")), Some(category.channel("nominal")));
    ("arc", Encoding { theta, color, ..Encoding::default() })
}

fn points(numbers: &[&ColumnView<'_>], columns: usize, rows: usize) -> Option<(&'static str, Encoding)> {
    let [x, y] = numbers else { return None };
    if columns != 2 || rows < MIN_POINTS {
        return None;
    }
    let (x, y) = (Some(x.channel("quantitative")), Some(y.channel("quantitative")));
    Some(("point", Encoding { x, y, ..Encoding::default() }))
}

/// Whether the only number is a part of one whole: it says so, and all parts are there.
fn is_share(numbers: &[&ColumnView<'_>], rows: usize) -> bool {
    let [share] = numbers else { return false };
    let name = share.name.to_lowercase();
    let says_so = ["percent", "share", "pct", "anteil", "prozent", "porcentaje", "part_", "ratio"]
        .iter()
        .any(|word| name.contains(word));
    let values: Vec<_> = share.values.iter().filter_map(|value| number_of(value)).collect();
    let sum: f64 = values.iter().sum();
    let is_whole = (sum - 100.0).abs() < 1.0 || (sum - 1.0).abs() < 0.01;
    says_so && rows <= MAX_SLICES && is_whole && values.iter().all(|value| *value >= 0.0)
}

/// The number to draw of several: the one that the rows are sorted by, else the first.
fn measure<'a, 'b>(numbers: &[&'a ColumnView<'b>]) -> Option<&'a ColumnView<'b>> {
    numbers.iter().find(|number| number.is_sorted()).or(numbers.first()).copied()
}

fn columns<'a>(data: &'a Value, rows: &'a [Value]) -> Vec<ColumnView<'a>> {
    let described = data.get("columns").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let column = |column: &'a Value| {
        let name = column.as_str().or_else(|| column.get("name")?.as_str())?;
        let kind = column.get("type").and_then(Value::as_str).unwrap_or_default();
        let values: Vec<_> = rows.iter().filter_map(|row| row.get(name)).filter(|value| !value.is_null()).collect();
        Some(ColumnView { name, kind: kind_of(name, kind, &values), values })
    };
    described.iter().filter_map(column).collect()
}

/// What a column holds, by its values and, where they leave it open, by its name and type.
fn kind_of(name: &str, declared: &str, values: &[&Value]) -> ColumnKind {
    let (name, declared) = (name.to_lowercase(), declared.to_lowercase());
    let all = |is: fn(&Value) -> bool| !values.is_empty() && values.iter().all(|value| is(value));
    let is_key = name == "id" || name.ends_with("_id") || name.ends_with(".id") || declared == "uuid";
    let is_year = ["year", "jahr", "año", "anno", "année"].iter().any(|word| name.contains(word));
    if is_key {
        ColumnKind::Other
    } else if all(is_time) || is_year && all(|value| value.as_i64().is_some_and(|year| (1000..3000).contains(&year))) {
        ColumnKind::Time
    } else if all(|value| number_of(value).is_some() && !value.is_string())
        || is_decimal(&declared) && all(|value| number_of(value).is_some())
    {
        ColumnKind::Number
    } else if all(|value| value.as_str().is_some_and(|text| text.chars().count() <= 60) || value.is_boolean()) {
        ColumnKind::Category
    } else {
        ColumnKind::Other
    }
}

/// Types whose values are texts, so that no digit is lost.
fn is_decimal(declared: &str) -> bool {
    ["numeric", "decimal", "money", "number", "bigint", "int8"].iter().any(|kind| declared.starts_with(kind))
}

fn number_of(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.filter(|number| number.is_finite())
}

/// Whether a value is a day, a month or a moment as ISO 8601 writes it.
fn is_time(value: &Value) -> bool {
    let Some(text) = value.as_str().filter(|text| (7..=35).contains(&text.len())) else { return false };
    let (day, time) = text.split_at_checked(10).unwrap_or((text, ""));
    let parts: Vec<_> = day.split('-').collect();
    let is_number = |part: &&str, digits: usize| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_day = match parts.as_slice() {
        [year, month] => is_number(year, 4) && is_number(month, 2),
        [year, month, day] => is_number(year, 4) && is_number(month, 2) && is_number(day, 2),
        _ => false,
    };
    is_day && (time.is_empty() || time.starts_with(['T', ' ']))
}

impl ColumnView<'_> {
    fn channel(&self, kind: &'static str) -> Channel {
        // In a field these would reach into members of a value.
        let special = |c: char| if ".[]'\"\\".contains(c) { format!("\\{c}") } else { c.to_string() };
        let field = self.name.chars().map(special).collect();
        Channel { field, title: self.name.to_owned(), kind, sort: None, stack: None }
    }

    fn distinct(&self) -> usize {
        self.values.iter().map(ToString::to_string).collect::<HashSet<_>>().len()
    }

    fn is_distinct(&self) -> bool {
        self.distinct() == self.values.len()
    }

    fn is_sorted(&self) -> bool {
        let numbers: Vec<_> = self.values.iter().filter_map(|value| number_of(value)).collect();
        let varies = numbers.first() != numbers.last();
        varies && (numbers.is_sorted() || numbers.iter().rev().is_sorted())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Mark and fields (x or theta, y, colour) of the picture of these rows.
    fn drawn(columns: Value, rows: &[Value]) -> Option<(&'static str, Vec<String>)> {
        let names: Vec<_> = columns.as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
        let object = |row: &Value| -> Value {
            names
                .iter()
                .zip(row.as_array().unwrap())
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let rows: Vec<_> = rows.iter().map(object).collect();
        let chart = Chart::of(&json!({"datasource": "shop", "columns": columns, "rows": rows, "truncated": false}))?;
        let Encoding { x, y, theta, color } = chart.encoding;
        Some((chart.mark, [x, theta, y, color].into_iter().flatten().map(|channel| channel.field).collect()))
    }

    fn columns(of: &[(&str, &str)]) -> Value {
        of.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect()
    }

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn rows_get_the_picture_that_fits_their_types() {
        let time = drawn(
            columns(&[("month", "TEXT"), ("revenue", "REAL")]),
            &[json!(["2024-01", 5]), json!(["2024-02", 7.5])],
        );
        assert_eq!(time, Some(("line", texts(&["month", "revenue"]))));
        let decimals = drawn(
            columns(&[("day", "date"), ("sum", "numeric")]),
            &[json!(["2024-01-01", "5.10"]), json!(["2024-01-02", "7"])],
        );
        assert_eq!(decimals, Some(("line", texts(&["day", "sum"]))));
        let bars =
            drawn(columns(&[("city", "text"), ("customers", "int8")]), &[json!(["Oslo", 4]), json!(["Bern", 2])]);
        assert_eq!(bars, Some(("bar", texts(&["city", "customers"]))));
        let series = drawn(
            columns(&[("year", "int4"), ("plan", "text"), ("n", "int8")]),
            &[json!([2024, "a", 1]), json!([2024, "b", 2]), json!([2025, "a", 3])],
        );
        assert_eq!(series, Some(("line", texts(&["year", "n", "plan"]))));
        let cloud: Vec<_> = (0..6).map(|at| json!([at, at * at])).collect();
        assert_eq!(
            drawn(columns(&[("age", "int4"), ("spent", "int4")]), &cloud),
            Some(("point", texts(&["age", "spent"])))
        );
        let shares =
            drawn(columns(&[("plan", "text"), ("percent", "float8")]), &[json!(["a", 60.5]), json!(["b", 39.5])]);
        assert_eq!(shares, Some(("arc", texts(&["percent", "plan"]))));
        let rates =
            drawn(columns(&[("plan", "text"), ("churn_percent", "float8")]), &[json!(["a", 30]), json!(["b", 12])]);
        assert_eq!(rates, Some(("bar", texts(&["plan", "churn_percent"]))), "rates are no shares of a whole");
    }

    #[test]
    fn the_number_that_rows_are_sorted_by_is_drawn_in_their_order() {
        let named = columns(&[("plan", "text"), ("n", "int8"), ("rate", "float8")]);
        let rows = [json!(["a", 3, 9.5]), json!(["b", 7, 4]), json!(["c", 5, 1])];
        assert_eq!(drawn(named, &rows), Some(("bar", texts(&["plan", "rate"]))));
    }

    #[test]
    fn rows_that_make_no_picture_get_none() {
        let one = [json!(["Oslo", 4])];
        assert_eq!(drawn(columns(&[("city", "text"), ("n", "int8")]), &one), None, "a single row");
        let keys = [json!([1, "Ada"]), json!([2, "Bob"])];
        assert_eq!(drawn(columns(&[("id", "int8"), ("name", "text")]), &keys), None, "keys are no measure");
        let repeated = [json!(["Oslo", 1]), json!(["Oslo", 2])];
        assert_eq!(drawn(columns(&[("city", "text"), ("n", "int8")]), &repeated), None, "not one bar for each");
        let many: Vec<_> = (0..100).map(|at| json!([format!("c{at}"), at])).collect();
        assert_eq!(drawn(columns(&[("city", "text"), ("n", "int8")]), &many), None);
        assert_eq!(Chart::of(&json!({"datasource": "a", "columns": [], "rows": [[1], [2]]})), None);
        assert_eq!(Chart::of(&json!(null)), None);
    }

    #[test]
    fn a_picture_holds_no_rows_and_names_fields_so_that_vega_finds_them() {
        let rows = json!([{"orders.city": "Oslo", "orders.count": 4}, {"orders.city": "Bern", "orders.count": 2}]);
        let columns = json!(["orders.city", "orders.count"]);
        let chart = Chart::of(&json!({"datasource": "cube", "columns": columns, "rows": rows})).unwrap();
        let x = json!({"field": "orders\\.city", "title": "orders.city", "type": "nominal", "sort": null});
        let y = json!({"field": "orders\\.count", "title": "orders.count", "type": "quantitative"});
        let expected =
            json!({"$schema": SCHEMA, "data": {"name": "cube"}, "mark": "bar", "encoding": {"x": x, "y": y}});
        assert_eq!(json!(chart), expected);
    }
}
