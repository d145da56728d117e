use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Map, Value};

use super::excerpt::{members_without_excess, without_excess};
use super::{Error, FieldIssue, Lenient, Segment};

/// Reads the fields of one object and collects everything that is wrong with them, so that a caller hears of all
/// problems at once. Used alike for request bodies, query strings, configuration files and the environment.
#[derive(Debug)]
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    at: Vec<Segment>,
    issues: Vec<FieldIssue>,
    asked: Vec<&'static str>,
    /// Whether blanks around numbers and words are left out.
    trims: bool,
}

impl<'a> Fields<'a> {
    /// A reader of `object`, which stands at `at` (`["body"]`, `["query"]`, or nothing).
    pub fn new(object: &'a Map<String, Value>, at: Vec<Segment>) -> Self {
        Self { object, at, issues: Vec::new(), asked: Vec::new(), trims: false }
    }

    /// A reader of environment variables, which have nothing but texts.
    pub fn of_variables(object: &'a Map<String, Value>) -> Self {
        Self { trims: true, ..Self::new(object, Vec::new()) }
    }

    /// A field that must be there.
    pub fn required<T: Lenient + Default>(&mut self, name: &'static str) -> T {
        match self.value(name) {
            Some(value) => self.read(name, value).unwrap_or_default(),
            None => {
                self.miss(name);
                T::default()
            }
        }
    }

    /// A field that may be missing or null.
    pub fn optional<T: Lenient>(&mut self, name: &'static str) -> Option<T> {
        match self.value(name) {
            None | Some(Value::Null) => None,
            Some(value) => self.read(name, value),
        }
    }

    /// A field with a default; null is an error.
    pub fn or<T: Lenient>(&mut self, name: &'static str, default: T) -> T {
        match self.value(name) {
            None => default,
            Some(value) => self.read(name, value).unwrap_or(default),
        }
    }

    /// A list of texts that are each read as a `T`; those that can't be are issues.
    pub fn list<T: FromStr<Err: Display>>(&mut self, name: &'static str) -> Vec<T> {
        let texts: Vec<String> = self.or(name, Vec::new());
        let mut read = |text: &String| text.parse().map_err(|expected: T::Err| self.reject(name, expected.to_string()));
        texts.iter().filter_map(|text| read(text).ok()).collect()
    }

    /// A list that must be there.
    pub fn items(&mut self, name: &'static str) -> &'a [Value] {
        match self.value(name) {
            Some(Value::Array(items)) => return items,
            Some(_) => {
                let issue =
                    FieldIssue::new("list_type", self.loc(name), "Input should be a valid list", self.given(name));
                self.issues.push(issue);
            }
            None => self.miss(name),
        }
        &[]
    }

    /// An integer with a default, within `range`.
    pub fn int_or(&mut self, name: &'static str, default: i64, range: RangeInclusive<i64>) -> i64 {
        let number = self.or(name, default);
        if number == default || self.within(name, &number, &range) { number } else { default }
    }

    /// A count with a default, within `range`, which has no negative numbers.
    pub fn count_or(&mut self, name: &'static str, default: i64, range: RangeInclusive<i64>) -> usize {
        usize::try_from(self.int_or(name, default, range)).unwrap_or(usize::MAX)
    }

    /// A number of seconds with a default, within `range`, which has no negative numbers.
    pub fn seconds_or(&mut self, name: &'static str, default: i64, range: RangeInclusive<i64>) -> Duration {
        Duration::from_secs(self.int_or(name, default, range).unsigned_abs())
    }

    /// A number with a default, within `range`.
    pub fn float_or(&mut self, name: &'static str, default: f64, range: RangeInclusive<f64>) -> f64 {
        let number = self.or(name, default);
        if self.within(name, &number, &range) { number } else { default }
    }

    /// An integer within `range` that may be missing or null.
    pub fn int_optional(&mut self, name: &'static str, range: RangeInclusive<i64>) -> Option<i64> {
        self.optional(name).filter(|number| self.within(name, number, &range))
    }

    /// The raw value of a field, null included.
    pub fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.asked.push(name);
        self.object.get(name)
    }

    /// Notes that the field `name` has a wrong value.
    pub fn reject(&mut self, name: &str, expected: impl Into<String>) {
        self.issues.push(FieldIssue::new("value_error", self.loc(name), expected, self.given(name)));
    }

    /// Reads what the original leaves unread, or takes whatever its type: what is wrong with it, it accepted.
    pub fn beyond_original<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let first = self.issues.len();
        let value = read(self);
        self.issues.iter_mut().skip(first).for_each(|issue| issue.raised_by_original = false);
        value
    }

    /// Takes over issues found elsewhere.
    pub fn extend(&mut self, issues: impl IntoIterator<Item = FieldIssue>) {
        self.issues.extend(issues);
    }

    /// The names that were asked for so far.
    pub fn asked(&self) -> &[&'static str] {
        &self.asked
    }

    /// Where the field `name` stands.
    pub fn loc(&self, name: &str) -> Vec<Segment> {
        let mut loc = self.at.clone();
        loc.push(name.into());
        loc
    }

    /// The issues found.
    pub fn into_issues(self) -> Vec<FieldIssue> {
        self.issues
    }

    /// `value` if nothing was wrong, else an [`super::ErrorKind::Invalid`] error with every issue.
    pub fn finish<T>(self, value: T) -> Result<T, Error> {
        if self.issues.is_empty() { Ok(value) } else { Err(Error::invalid(self.issues)) }
    }

    fn read<T: Lenient>(&mut self, name: &str, value: &Value) -> Option<T> {
        let trimmed = value.as_str().filter(|_| self.trims && !T::KEEPS_BLANKS).map(|text| Value::from(text.trim()));
        match T::read(trimmed.as_ref().unwrap_or(value)) {
            Ok(read) => Some(read),
            Err((kind, msg)) => {
                self.issues.push(FieldIssue::new(kind, self.loc(name), msg, without_excess(value)));
                None
            }
        }
    }

    fn miss(&mut self, name: &str) {
        // Pydantic quotes the enclosing object for a body, and null for a query string.
        let in_query = self.at.first() == Some(&Segment::from("query"));
        let enclosing = if in_query { Value::Null } else { members_without_excess(self.object) };
        self.issues.push(FieldIssue::new("missing", self.loc(name), "Field required", enclosing));
    }

    fn within<T: PartialOrd + Display>(&mut self, name: &str, value: &T, range: &RangeInclusive<T>) -> bool {
        let (kind, msg) = if value < range.start() {
            ("greater_than_equal", format!("Input should be greater than or equal to {}", range.start()))
        } else if value > range.end() {
            ("less_than_equal", format!("Input should be less than or equal to {}", range.end()))
        } else {
            return true;
        };
        self.issues.push(FieldIssue::new(kind, self.loc(name), msg, self.given(name)));
        false
    }

    fn given(&self, name: &str) -> Value {
        self.object.get(name).map_or(Value::Null, without_excess)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_original_accepted_is_told_apart() {
        let body = json!({"timeout_seconds": 0, "temperature": "NaN", "stream": "maybe", "enabled": "maybe", "max_tokens": 1e30});
        let mut fields = Fields::new(body.as_object().unwrap(), vec!["body".into()]);
        fields.int_or("timeout_seconds", 30, 1..=60);
        fields.float_or("temperature", 0.7, 0.0..=2.0);
        fields.beyond_original(|fields| fields.or("stream", false));
        fields.or("enabled", true);
        fields.int_optional("max_tokens", 1..=10);
        fields.items("cases");
        let raised: Vec<_> = fields.issues.iter().map(|issue| (issue.kind, issue.raised_by_original)).collect();
        let expected = [
            ("greater_than_equal", false),
            ("finite_number", false),
            ("bool_parsing", false),
            ("bool_parsing", true),
            ("int_parsing_size", false),
            ("missing", true),
        ];
        assert_eq!(raised, expected);
    }

    #[test]
    fn all_problems_are_reported_in_the_order_of_the_fields() {
        let body = json!({"role": 5, "limit": -1, "ratio": "x"});
        let mut fields = Fields::new(body.as_object().unwrap(), vec!["body".into()]);
        let name: String = fields.required("name");
        fields.optional::<String>("role");
        fields.int_or("limit", 10, 1..=50);
        fields.float_or("ratio", 0.5, 0.0..=1.0);
        assert_eq!(name, "");
        let error = fields.finish(()).unwrap_err();
        let kinds: Vec<_> = error.issues().iter().map(|issue| (issue.kind, issue.path())).collect();
        assert_eq!(
            kinds,
            [
                ("missing", "body.name".to_owned()),
                ("string_type", "body.role".to_owned()),
                ("greater_than_equal", "body.limit".to_owned()),
                ("float_parsing", "body.ratio".to_owned()),
            ]
        );
    }
}
