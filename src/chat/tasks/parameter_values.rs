//! Values for the parameters of a verified query, found in a prompt by rule: numbers, dates, quoted texts, and values that columns
//! are known to have. What is not certain is left to a model.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::kernel::constant_regex;
use crate::settings::{VerifiedParameter, VerifiedQuestion};

/// A value that a prompt holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PromptValue {
    kind: ValueKind,
    /// As the prompt spells it.
    text: String,
    /// Itself; null if its spelling can be read in two ways.
    value: Value,
    /// For one that a column is known to have: the column.
    column: Option<String>,
}

/// What a value is, or what a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ValueKind {
    Number,
    Date,
    Text,
    Any,
}

static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    constant_regex(r#""([^"\n]{1,200})"|[„“]([^“”\n]{1,200})[“”]|«([^»\n]{1,200})»|(?:^|\s)'([^'\n]{1,200})'(?:$|\W)"#)
});
static ISO_DATE: LazyLock<Regex> = LazyLock::new(|| constant_regex(r"\b(\d{4})-(\d{2})-(\d{2})\b"));
static DOTTED_DATE: LazyLock<Regex> = LazyLock::new(|| constant_regex(r"\b(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})\b"));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| constant_regex(r"\b\d+(?:[.,]\d+)*\b"));

/// The values in a prompt; `known` are columns with values that they are known to have.
pub(super) fn values_in(prompt: &str, known: &[(String, Vec<String>)]) -> Vec<PromptValue> {
    let mut rest = prompt.to_owned();
    let mut found = Vec::new();
    let mut take = |pattern: &Regex, read: &dyn Fn(&regex::Captures<'_>) -> PromptValue| {
        found.extend(pattern.captures_iter(&rest).map(|captures| read(&captures)));
        rest = pattern.replace_all(&rest, " ").into_owned();
    };
    take(&QUOTED, &|captures| {
        let text = captures.iter().skip(1).flatten().next().map(|found| found.as_str()).unwrap_or_default();
        text_value(text, None)
    });
    take(&ISO_DATE, &|captures| date(captures.get(0), captures, [1, 2, 3]));
    take(&DOTTED_DATE, &|captures| date(captures.get(0), captures, [3, 2, 1]));
    take(&NUMBER, &|captures| number(captures.get(0).map(|found| found.as_str()).unwrap_or_default()));
    let words = spaced(&rest);
    for (column, values) in known {
        let here =
            values.iter().filter(|value| value.chars().any(char::is_alphabetic) && words.contains(&spaced(value)));
        found.extend(here.map(|value| text_value(value, Some(column.clone()))));
    }
    found
}

fn text_value(text: &str, column: Option<String>) -> PromptValue {
    PromptValue { kind: ValueKind::Text, text: text.to_owned(), value: text.into(), column }
}

fn date(whole: Option<regex::Match<'_>>, captures: &regex::Captures<'_>, order: [usize; 3]) -> PromptValue {
    let [year, month, day] = order.map(|at| captures.get(at).map(|found| found.as_str()).unwrap_or_default());
    let text = whole.map(|found| found.as_str()).unwrap_or_default().to_owned();
    PromptValue { kind: ValueKind::Date, text, value: format!("{year}-{month:0>2}-{day:0>2}").into(), column: None }
}

/// `1.500` is a thousand in one country and one and a half in another.
fn number(text: &str) -> PromptValue {
    let decimals = text.split_once('.').map(|(_, decimals)| decimals.len());
    let value = match decimals {
        None => text.parse::<i64>().map_or(Value::Null, Value::from),
        Some(3) => Value::Null,
        Some(_) => text.parse::<f64>().map_or(Value::Null, Value::from),
    };
    PromptValue { kind: ValueKind::Number, text: text.to_owned(), value, column: None }
}

/// A text in lower case with one blank around each word.
fn spaced(text: &str) -> String {
    let lower = text.to_lowercase();
    let words: Vec<_> = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!(" {} ", words.join(" "))
}

/// The values that are certain: the only one of its kind in the prompt, for the only parameter that takes such.
pub(super) fn certain(question: &VerifiedQuestion, found: &[PromptValue]) -> Map<String, Value> {
    let kinds: Vec<_> = question.parameters.keys().map(|name| (name, kind_of(question, name))).collect();
    let mut filled = Map::new();
    for (name, kind) in &kinds {
        let of_column: Vec<_> = found.iter().filter(|value| value.column.as_deref() == Some(name.as_str())).collect();
        let rivals = kinds.iter().filter(|(_, other)| other == kind || *other == ValueKind::Any).count();
        let fitting: Vec<_> = found.iter().filter(|value| *kind == ValueKind::Any || value.kind == *kind).collect();
        let value = match (of_column.as_slice(), fitting.as_slice()) {
            ([only], _) => Some(only),
            ([], [only]) if rivals == 1 && (*kind != ValueKind::Any || kinds.len() == 1) => Some(only),
            _ => None,
        };
        if let Some(value) = value.filter(|value| !value.value.is_null()) {
            filled.insert((*name).clone(), value.value.clone());
        }
    }
    filled
}

/// What a parameter takes: by its default, by the column of its name, or else by its name.
fn kind_of(question: &VerifiedQuestion, name: &str) -> ValueKind {
    let default = question.parameters.get(name).and_then(|parameter| parameter.default.as_ref());
    match default {
        Some(Value::Number(_)) => return ValueKind::Number,
        Some(Value::String(text)) if ISO_DATE.is_match(text) => return ValueKind::Date,
        Some(Value::String(_)) => return ValueKind::Text,
        _ => {}
    }
    let column = question.tables.values().find_map(|columns| columns.get(name));
    column.map_or_else(|| kind_of_name(name), |kind| kind_of_type(kind))
}

fn kind_of_type(kind: &str) -> ValueKind {
    let kind = kind.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| kind.contains(word));
    match () {
        () if has(&["date", "time"]) => ValueKind::Date,
        () if has(&["int", "num", "dec", "real", "double", "float", "serial"]) => ValueKind::Number,
        () if has(&["char", "text", "enum", "string"]) => ValueKind::Text,
        () => ValueKind::Any,
    }
}

fn kind_of_name(name: &str) -> ValueKind {
    const NUMBERS: [&str; 12] =
        ["year", "limit", "count", "number", "amount", "min", "max", "top", "days", "months", "n", "id"];
    const DATES: [&str; 7] = ["date", "day", "since", "from", "until", "start", "end"];
    let lower = name.to_lowercase();
    let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
    match () {
        () if has(&NUMBERS) => ValueKind::Number,
        () if has(&DATES) => ValueKind::Date,
        () => ValueKind::Any,
    }
}

/// A value that a model gives for a parameter, if it is of the kind that the parameter takes.
pub(super) fn from_model(question: &VerifiedQuestion, name: &str, value: Value) -> Option<Value> {
    let value = match (kind_of(question, name), value) {
        (_, Value::Null | Value::Object(_)) => return None,
        (ValueKind::Number, Value::String(text)) => number(text.trim()).value,
        (ValueKind::Date, Value::String(text)) if !ISO_DATE.is_match(&text) => return None,
        (_, value) => value,
    };
    (!value.is_null()).then_some(value)
}

/// Whether every value of a prompt has its place: in a parameter, or in the words of the question itself.
pub(super) fn all_used(question: &VerifiedQuestion, found: &[PromptValue], filled: &Map<String, Value>) -> bool {
    let asked = spaced(&question.question);
    let is_filled = |value: &PromptValue| {
        filled.values().any(|given| *given == value.value || spaced(&plain(given)).contains(&spaced(&value.text)))
    };
    found.iter().all(|value| asked.contains(&spaced(&value.text)) || is_filled(value))
}

/// The default of a parameter, for a prompt that gives it no value. Where the question itself spells the default out, a prompt
/// without it asks something else.
pub(super) fn applicable_default(
    question: &VerifiedQuestion,
    parameter: &VerifiedParameter,
    prompt: &str,
) -> Option<Value> {
    let default = parameter.default.clone()?;
    let is_spelled_out = |text: &str| spaced(text).contains(&spaced(&plain(&default)));
    (!is_spelled_out(&question.question) || is_spelled_out(prompt)).then_some(default)
}

/// A value as a reader sees it.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::settings::VerifiedStatus;

    fn question(text: &str, parameters: &[(&str, Value)], columns: &[(&str, &str)]) -> VerifiedQuestion {
        let parameter = |(name, default): &(&str, Value)| {
            let default = Some(default.clone()).filter(|default| !default.is_null());
            ((*name).to_owned(), VerifiedParameter { description: None, default })
        };
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
        VerifiedQuestion {
            id: String::new(),
            question: text.to_owned(),
            query: String::new(),
            parameters: parameters.iter().map(parameter).collect(),
            verified_by: None,
            verified_at: String::new(),
            status: VerifiedStatus::Verified,
            reason: None,
            tables: BTreeMap::from([("t".to_owned(), columns)]),
        }
    }

    fn cities() -> Vec<(String, Vec<String>)> {
        vec![("city".to_owned(), vec!["Lisbon".to_owned(), "New York".to_owned(), "Porto".to_owned()])]
    }

    #[test]
    fn values_are_found_as_they_are_written() {
        let values = |prompt: &str| -> Vec<Value> {
            values_in(prompt, &cities()).into_iter().map(|found| found.value).collect()
        };
        assert_eq!(values("since 2024-03-01, at most 12 of 2.5"), [json!("2024-03-01"), json!(12), json!(2.5)]);
        assert_eq!(values("vom 1.3.2024 bis 31.12.2024"), [json!("2024-03-01"), json!("2024-12-31")]);
        assert_eq!(values("of \"Ada & Co 7\" in new york"), [json!("Ada & Co 7"), json!("New York")]);
        assert_eq!(values("more than 1.500"), [json!(null)]);
        assert_eq!(values("the customer's city isn't Lisbonne, SKU A12"), Vec::<Value>::new());
    }

    #[test]
    fn a_parameter_takes_the_only_value_of_its_kind() {
        let filled =
            |question: &VerifiedQuestion, prompt: &str| Value::Object(certain(question, &values_in(prompt, &cities())));
        let in_city = question("Customers in Lisbon?", &[("city", json!("Lisbon"))], &[("city", "text")]);
        assert_eq!(filled(&in_city, "Who lives in Porto?"), json!({"city": "Porto"}));
        assert_eq!(filled(&in_city, "Who lives in Porto or in Lisbon?"), json!({}));
        let both = question("?", &[("since", Value::Null), ("min_amount", Value::Null)], &[]);
        assert_eq!(filled(&both, "since 2024-01-01 above 30"), json!({"min_amount": 30, "since": "2024-01-01"}));
        let two = question("?", &[("from", Value::Null), ("until", Value::Null)], &[]);
        assert_eq!(filled(&two, "from 2024-01-01 to 2024-02-01"), json!({}), "a model has to tell which is which");
    }

    #[test]
    fn a_default_that_the_question_spells_out_is_no_answer_to_another_question() {
        let default = |text: &str, prompt: &str| {
            let question = question(text, &[("city", json!("Lisbon"))], &[]);
            applicable_default(&question, &question.parameters["city"], prompt)
        };
        let spelled = "How many customers are there in Lisbon?";
        assert_eq!(default(spelled, "How many customers are there?"), None);
        assert_eq!(default(spelled, "How many customers are there in Munich?"), None);
        assert_eq!(default(spelled, "Number of lisbon customers"), Some(json!("Lisbon")));
        assert_eq!(default("How many customers are there in a city?", "How many customers?"), Some(json!("Lisbon")));
    }

    #[test]
    fn a_prompt_that_says_more_than_the_question_takes_is_another_question() {
        let used = |question: &VerifiedQuestion, prompt: &str| {
            let found = values_in(prompt, &cities());
            all_used(question, &found, &certain(question, &found))
        };
        let plain = question("Top 10 customers?", &[], &[]);
        assert!(used(&plain, "the 10 best customers") && !used(&plain, "the 10 best customers in Porto"));
        assert!(!used(&plain, "the 20 best customers") && !used(&plain, "the best customers since 2024-01-01"));
    }

    #[test]
    fn what_a_model_gives_must_be_of_the_kind() {
        let of = question("?", &[("since", Value::Null), ("n", Value::Null), ("x", Value::Null)], &[]);
        assert_eq!(from_model(&of, "n", json!("12")), Some(json!(12)));
        assert_eq!(from_model(&of, "n", json!("twelve")), None);
        assert_eq!(from_model(&of, "since", json!("last week")), None);
        assert_eq!(from_model(&of, "x", json!(["a", "b"])), Some(json!(["a", "b"])));
        assert_eq!(from_model(&of, "x", json!({"a": 1})), None);
    }
}
