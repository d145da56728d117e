use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::mask::{MASK, is_credential_name};
use super::secret_url::{looks_like_url, shown_url};
use super::{Secret, SecretUrl};

/// A free-form JSON object of a resource, such as `config`. Values whose key names a credential (`api_key`, `password`,
/// `Authorization`, ...) are masked when it is shown; [`Properties::expose`] gives them as they are.
#[derive(Clone, Default, PartialEq)]
pub struct Properties(Map<String, Value>);

impl Properties {
    /// Wraps an object.
    pub fn new(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// The object with its credentials: for use and for the store, nothing else.
    pub fn expose(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A text value; blank counts as not set.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// The credentials in it.
    pub fn secrets(&self) -> Vec<Secret> {
        fn collect(place: ValueContext, value: &Value, found: &mut Vec<Secret>) {
            match value {
                Value::String(text) if place == ValueContext::Secret && !text.is_empty() => {
                    found.push(Secret::new(text.as_str()));
                }
                Value::String(text) => {
                    let assigned = assigned_secret(text).filter(|_| place == ValueContext::Args);
                    found.extend(assigned.map(|(_, secret)| Secret::new(secret.trim())));
                    if looks_like_url(text) {
                        found.extend(SecretUrl::new(text.as_str()).secrets());
                    }
                }
                Value::Number(number) if place == ValueContext::Secret => found.push(Secret::new(number.to_string())),
                Value::Object(map) => map.iter().for_each(|(key, value)| collect(place.below(key), value, found)),
                Value::Array(items) => place.items(items).for_each(|(place, item)| collect(place, item, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        self.0.iter().for_each(|(key, value)| collect(ValueContext::Plain.below(key), value, &mut found));
        found
    }

    /// The object with credentials masked: all below a key that names one or below `env`, unusual `headers`, what `args` give
    /// to an option that names one, and the passwords of URLs.
    pub fn masked(&self) -> Map<String, Value> {
        self.0.iter().map(|(key, value)| (key.clone(), shown(ValueContext::Plain.below(key), value))).collect()
    }
}

/// Headers whose values are no credentials; programs give any other the meaning they like.
const HARMLESS_HEADERS: [&str; 8] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-language",
    "content-type",
    "user-agent",
];

/// What a value's place says of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueContext {
    Plain,
    Secret,
    Env,
    Headers,
    Args,
}

impl ValueContext {
    /// The place of the member `key` of an object that stands here.
    fn below(self, key: &str) -> Self {
        let key = key.to_ascii_lowercase();
        match self {
            Self::Secret | Self::Env => Self::Secret,
            Self::Headers if !HARMLESS_HEADERS.contains(&key.as_str()) => Self::Secret,
            _ if is_credential_name(&key) => Self::Secret,
            _ => match key.as_str() {
                "env" => Self::Env,
                "headers" => Self::Headers,
                "args" => Self::Args,
                _ => Self::Plain,
            },
        }
    }

    /// The items of a list that stands here, each with its place: an option may name the next one as secret.
    fn items(self, items: &[Value]) -> impl Iterator<Item = (Self, &Value)> {
        let mut before = None;
        items.iter().map(move |item| {
            let follows = before.is_some_and(|option: &str| option.starts_with('-') && is_credential_name(option));
            before = item.as_str();
            let is_secret = self == Self::Env || (self == Self::Args && follows);
            (if is_secret { Self::Secret } else { self }, item)
        })
    }
}

/// What is shown of a value that stands in this place.
fn shown(place: ValueContext, value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), shown(place.below(key), value))).collect(),
        Value::Array(items) => place.items(items).map(|(place, item)| shown(place, item)).collect(),
        // An empty text is no secret, and showing it lets a client see that there is none.
        Value::String(text) if place == ValueContext::Secret && !text.is_empty() => MASK.into(),
        Value::String(text) => {
            let assigned = assigned_secret(text).filter(|_| place == ValueContext::Args);
            let text = assigned.map_or_else(|| text.clone(), |(name, _)| format!("{name}{MASK}"));
            shown_url(&text).unwrap_or(text).into()
        }
        Value::Number(_) if place == ValueContext::Secret => MASK.into(),
        other => other.clone(),
    }
}

/// An argument such as `--api-key=...`, `API_KEY=...` or `Authorization: ...`, cut in two where the secret begins.
fn assigned_secret(text: &str) -> Option<(&str, &str)> {
    let mut start = 0;
    for (at, _) in text.match_indices(['=', ':']) {
        let name = text.get(start..at)?;
        start = at + 1;
        if name.contains(char::is_whitespace) {
            return None;
        }
        if is_credential_name(name) {
            return text.split_at_checked(start).filter(|(_, secret)| !secret.is_empty());
        }
    }
    None
}

/// What a text has before the mask that stands for its end, as in `--api-key=********`.
pub(crate) fn assignment_before_mask(text: &str) -> Option<&str> {
    text.strip_suffix(MASK).filter(|name| name.ends_with(['=', ':']))
}

/// Puts the stored value wherever `given` holds the mask. What has no stored counterpart stays as it is, and so does a mask
/// where the stored value would not be masked any more.
pub fn unmask(given: &mut Map<String, Value>, stored: &Map<String, Value>) {
    unmask_members(ValueContext::Plain, given, stored);
}

fn unmask_members(place: ValueContext, given: &mut Map<String, Value>, stored: &Map<String, Value>) {
    for (key, value) in given {
        if let Some(stored) = stored.get(key) {
            unmask_value(place.below(key), value, stored);
        }
    }
}

fn unmask_value(place: ValueContext, given: &mut Value, stored: &Value) {
    match (given, stored) {
        (Value::Object(given), Value::Object(stored)) => unmask_members(place, given, stored),
        // In a list of another length, nothing tells which item is which.
        (Value::Array(given), Value::Array(stored)) if given.len() == stored.len() => {
            let places: Vec<_> = place.items(given).map(|(place, _)| place).collect();
            let items = given.iter_mut().zip(stored).zip(places);
            items.for_each(|((given, stored), place)| unmask_value(place, given, stored));
        }
        (Value::String(given), Value::String(stored))
            if assignment_before_mask(given)
                .is_some_and(|name| assigned_secret(stored).is_some_and(|(kept, _)| kept == name)) =>
        {
            given.clone_from(stored);
        }
        (Value::String(given), Value::String(stored)) if looks_like_url(given) => {
            *given = SecretUrl::new(given.as_str()).unmask(&SecretUrl::new(stored.as_str())).expose().to_owned();
        }
        (given, stored) if given.as_str().is_some_and(|text| text.trim() == MASK) => {
            let is_hidden = stored.is_null() || *stored == "" || shown(place, stored) == MASK;
            if is_hidden {
                given.clone_from(stored);
            }
        }
        _ => {}
    }
}

/// The value of the field `name`, fit to be quoted in an error: credentials in it are masked, by the names of their
/// fields, and those of URLs.
pub(super) fn quotable(name: &str, value: &Value) -> Value {
    let place = ValueContext::Plain.below(name);
    // Some of what stands in these is secret whatever it is called there.
    let is_sensitive = !matches!(place, ValueContext::Plain | ValueContext::Secret);
    match value {
        Value::Null => Value::Null,
        _ if is_credential_name(name) => Value::String(MASK.to_owned()),
        Value::Object(_) | Value::Array(_) if is_sensitive => shown(place, value),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), quotable(key, value))).collect(),
        Value::Array(items) => items.iter().map(|item| quotable(name, item)).collect(),
        Value::String(text) if names_a_url(name) => SecretUrl::new(text.as_str()).to_string().into(),
        Value::String(text) => shown_url(text).unwrap_or_else(|| text.clone()).into(),
        other => other.clone(),
    }
}

fn names_a_url(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["url", "endpoint", "proxy"].iter().any(|end| name.ends_with(end))
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.masked().fmt(f)
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.masked().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn credentials_are_masked_wherever_they_stand_and_come_back() {
        let stored = object(json!({"api_key": "k1", "primary_key": "id", "max_tokens": 5, "password": "",
            "headers": {"Authorization": "Bearer k2"}, "list": [{"client_secret": "k3"}],
            "credentials": {"user": "k4", "pins": [11555]}, "db": "postgres://u:k6@h/x"}));
        let shown = Properties::new(stored.clone());
        let mut given = shown.masked();
        assert_eq!(
            Value::Object(given.clone()),
            json!({"api_key": MASK, "primary_key": "id", "max_tokens": 5, "password": "",
            "headers": {"Authorization": MASK}, "list": [{"client_secret": MASK}],
            "credentials": {"user": MASK, "pins": [MASK]}, "db": "postgres://u:********@h/x"})
        );
        let printed = format!("{shown:?} {}", json!(shown));
        assert!(!["k1", "k2", "k3", "k4", "11555", "k6"].iter().any(|key| printed.contains(key)), "{printed}");
        assert_eq!(shown.secrets().len(), 6);
        unmask(&mut given, &stored);
        assert_eq!(given, stored);
        let stored = object(json!({"list": [{"api_key": "a"}, {"api_key": "b"}]}));
        let mut given = object(json!({"list": [{"api_key": MASK}]}));
        unmask(&mut given, &stored);
        assert_eq!(given, object(json!({"list": [{"api_key": MASK}]})), "which of the two is left is unknown");
    }

    #[test]
    fn a_mask_stands_for_nothing_where_the_secret_would_be_shown() {
        let stored = object(json!({"args": ["--api-key", "k1", "--token=k2"], "note": "n"}));
        for args in
            [json!(["--level", MASK, "x"]), json!(["--api-key", "k", MASK]), json!([MASK, "x", "--level=********"])]
        {
            let mut given = object(json!({"args": args, "note": MASK}));
            let before = given.clone();
            unmask(&mut given, &stored);
            assert_eq!(given, before);
        }
    }

    #[test]
    fn what_a_program_is_given_is_masked_and_comes_back() {
        let stored = object(
            json!({"args": ["run", "--api-key", "k1", "--token=k2", "-e", "DB_PASS=k3", "Authorization: Bearer k4",
            "--header=X-Auth: k5", "--level=3", "a = 'key=b'", "C:\\x"], "env": {"REGION": "k6", "PORT": 7777, "NONE": ""},
            "headers": {"X-Auth": "k7", "Accept": "text/csv"}}),
        );
        let shown = Properties::new(stored.clone());
        let mut given = shown.masked();
        assert_eq!(
            Value::Object(given.clone()),
            json!({"args": ["run", "--api-key", MASK, "--token=********", "-e", "DB_PASS=********", "Authorization:********",
            "--header=X-Auth:********", "--level=3", "a = 'key=b'", "C:\\x"], "env": {"REGION": MASK, "PORT": MASK, "NONE": ""},
            "headers": {"X-Auth": MASK, "Accept": "text/csv"}})
        );
        let secrets: Vec<_> = shown.secrets().iter().map(|secret| secret.expose().to_owned()).collect();
        assert_eq!(secrets, ["k1", "k2", "k3", "Bearer k4", "k5", "k6", "7777", "k7"]);
        unmask(&mut given, &stored);
        assert_eq!(given, stored);
        let plain = Properties::new(object(json!({"env": "production", "args": "--level=3"})));
        assert_eq!((plain.masked(), plain.secrets().len()), (plain.expose().clone(), 0));
    }

    #[test]
    fn a_quoted_value_hides_what_its_fields_name_as_secret() {
        let body = json!({"name": "a", "max_tokens": 5, "api_key": ["k"], "deep": [{"auth_token": "t", "Password": 1}], "token": null});
        let shown = json!({"name": "a", "max_tokens": 5, "api_key": MASK, "deep": [{"auth_token": MASK, "Password": MASK}], "token": null});
        assert_eq!(quotable("body", &body), shown);
        assert_eq!(quotable("env", &json!({"A": "b"})), json!({"A": MASK}));
        assert_eq!(quotable("args", &json!(["--token", "b", 1])), json!(["--token", MASK, 1]));
    }
}
