use std::fmt::Display;
use std::ops::RangeInclusive;

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
}

impl<'a> Fields<'a> {
    /// A reader of `object`, which stands at `at` (`["body"]`, `["query"]`, or nothing).
    pub fn new(object: &'a Map<String, Value>, at: Vec<Segment>) -> Self {
        Self { object, at, issues: Vec::new(), asked: Vec::new() }
    }

    /// A field that must be there.
    pub fn required<T: Lenient + Default>(&mut self, name: &'static str) -> T {
        match self.value(name) {
            Some(value) => self.read(name, value).unwrap_or_default(),
            None => {
                // Pydantic quotes the enclosing object for a body, and null for a query string.
                let in_query = self.at.first() == Some(&Segment::from("query"));
                let enclosing = if in_query { Value::Null } else { members_without_excess(self.object) };
                self.issues.push(FieldIssue::new("missing", self.loc(name), "Field required", enclosing));
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

    /// An integer with a default, within `range`.
    pub fn int_or(&mut self, name: &'static str, default: i64, range: RangeInclusive<i64>) -> i64 {
        let number = self.or(name, default);
        if number == default || self.within(name, &number, &range) { number } else { default }
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
        match T::read(value) {
            Ok(read) => Some(read),
            Err((kind, msg)) => {
                self.issues.push(FieldIssue::new(kind, self.loc(name), msg, without_excess(value)));
                None
            }
        }
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
