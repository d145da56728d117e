use std::ops::RangeInclusive;

use serde_json::Value;

use crate::kernel::{FieldIssue, Properties, truncate_chars};
use crate::settings::bounds::{MAX_INSTRUCTIONS_CHARS, MAX_RESULT_ROWS, MAX_ZONE_CHARS};

/// What the operator of a data source tells a model that writes its queries, in `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryHints {
    /// Business terms, units, what not to count.
    pub instructions: Option<String>,
    /// The zone of times without one, such as `Europe/Lisbon`.
    pub time_zone: Option<String>,
    /// The currency of amounts: the three letters of ISO 4217.
    pub currency: Option<String>,
    /// Rows of a query that doesn't say how many it wants.
    pub max_rows: Option<usize>,
}

impl QueryHints {
    /// The hints of a `config`. What is none is passed over: requests that bring it are refused, but files may hold it.
    pub(super) fn of(config: &Properties) -> Self {
        let text = |key: &str, is_valid: fn(&str) -> bool| config.text(key).filter(|text| is_valid(text));
        Self {
            instructions: config.text("instructions").map(|text| truncate_chars(text, MAX_INSTRUCTIONS_CHARS)),
            time_zone: text("time_zone", is_zone).map(str::to_owned),
            currency: text("currency", is_currency).map(str::to_ascii_uppercase),
            max_rows: config.expose().get("max_rows").and_then(rows_in),
        }
    }
}

/// What is wrong with the hints of a `config`; null is none.
pub(super) fn check(config: &Properties) -> Vec<FieldIssue> {
    let issue = |key: &str, is_valid: &dyn Fn(&Value) -> bool, expected: String| {
        let given = config.expose().get(key).filter(|given| !given.is_null() && !is_valid(given))?;
        Some(FieldIssue::new("value_error", vec!["config".into(), key.into()], expected, given.clone()))
    };
    let text = |is_valid: fn(&str) -> bool| move |given: &Value| given.as_str().is_some_and(is_valid);
    let (first, last) = RangeInclusive::into_inner(MAX_RESULT_ROWS);
    [
        issue(
            "instructions",
            &text(is_instruction),
            format!("Input should be a text of at most {MAX_INSTRUCTIONS_CHARS} characters"),
        ),
        issue("time_zone", &text(is_zone), "Input should be the name of a time zone, such as Europe/Lisbon".to_owned()),
        issue(
            "currency",
            &text(is_currency),
            "Input should be a currency code of three letters, such as EUR".to_owned(),
        ),
        issue(
            "max_rows",
            &|given| rows_in(given).is_some(),
            format!("Input should be a whole number from {first} to {last}"),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A number of rows; `100.0` is one.
fn rows_in(given: &Value) -> Option<usize> {
    let whole = given.as_f64().filter(|number| given.is_i64() || number.fract() == 0.0)? as i64;
    usize::try_from(whole).ok().filter(|_| MAX_RESULT_ROWS.contains(&whole))
}

fn is_instruction(text: &str) -> bool {
    text.chars().count() <= MAX_INSTRUCTIONS_CHARS
}

fn is_zone(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '+');
    text.is_empty() || text.len() <= MAX_ZONE_CHARS && text.chars().all(is_letter)
}

fn is_currency(text: &str) -> bool {
    text.is_empty() || text.len() == 3 && text.chars().all(|c| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_hint_has_its_form_and_what_has_another_is_named() {
        let properties = |config: Value| Properties::new(config.as_object().unwrap().clone());
        let good = properties(json!({"instructions": "Net, without VAT", "time_zone": "America/Port-au-Prince",
            "currency": "eur", "max_rows": 500.0, "anything": 1}));
        assert_eq!(check(&good), []);
        let hints = QueryHints::of(&good);
        assert_eq!((hints.currency.as_deref(), hints.max_rows), (Some("EUR"), Some(500)));
        let wrong =
            properties(json!({"instructions": "x".repeat(4001), "time_zone": "over there", "currency": "Euros",
            "max_rows": "500"}));
        let named: Vec<_> = check(&wrong).iter().map(FieldIssue::path).collect();
        assert_eq!(named, ["config.instructions", "config.time_zone", "config.currency", "config.max_rows"]);
        let hints = QueryHints::of(&wrong);
        assert_eq!((hints.time_zone, hints.currency, hints.max_rows), (None, None, None));
        assert_eq!(hints.instructions.unwrap().chars().count(), MAX_INSTRUCTIONS_CHARS + 1, "with an ellipsis");
        assert_eq!(check(&properties(json!({"instructions": null, "time_zone": null}))), []);
    }
}
