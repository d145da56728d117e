use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::secret::names_a_secret;
use super::{MASK, Secret, SecretUrl};

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
        fn collect(is_secret: bool, value: &Value, found: &mut Vec<Secret>) {
            match value {
                Value::String(text) if is_secret && !text.is_empty() => found.push(Secret::new(text.as_str())),
                Value::String(text) => found.extend(SecretUrl::new(text.as_str()).password()),
                Value::Number(number) if is_secret => found.push(Secret::new(number.to_string())),
                Value::Object(map) => {
                    map.iter().for_each(|(key, value)| collect(is_secret || names_a_secret(key), value, found));
                }
                Value::Array(items) => items.iter().for_each(|item| collect(is_secret, item, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        self.0.iter().for_each(|(key, value)| collect(names_a_secret(key), value, &mut found));
        found
    }

    /// The object with credentials masked: all below a key that names one, and the passwords of URLs.
    pub fn masked(&self) -> Map<String, Value> {
        fn mask(is_secret: bool, value: &Value) -> Value {
            match value {
                Value::Object(map) => {
                    let member =
                        |(key, value): (&String, &Value)| (key.clone(), mask(is_secret || names_a_secret(key), value));
                    map.iter().map(member).collect()
                }
                Value::Array(items) => items.iter().map(|item| mask(is_secret, item)).collect(),
                // An empty text is no secret, and showing it lets a client see that there is none.
                Value::String(text) if is_secret && !text.is_empty() => MASK.into(),
                Value::String(text) if text.contains("://") => SecretUrl::new(text.as_str()).to_string().into(),
                Value::Number(_) if is_secret => MASK.into(),
                other => other.clone(),
            }
        }
        self.0.iter().map(|(key, value)| (key.clone(), mask(names_a_secret(key), value))).collect()
    }
}

/// Puts the stored value wherever `given` holds the mask. What has no stored counterpart stays as it is.
pub fn unmask(given: &mut Map<String, Value>, stored: &Map<String, Value>) {
    fn restore(given: &mut Value, stored: &Value) {
        match (given, stored) {
            (Value::Object(given), Value::Object(stored)) => unmask(given, stored),
            // In a list of another length, nothing tells which item is which.
            (Value::Array(given), Value::Array(stored)) if given.len() == stored.len() => {
                given.iter_mut().zip(stored).for_each(|(given, stored)| restore(given, stored));
            }
            (Value::String(given), Value::String(stored)) if given.contains("://") => {
                *given = SecretUrl::new(given.as_str()).unmask(&SecretUrl::new(stored.as_str())).expose().to_owned();
            }
            (given, stored) if given.as_str().is_some_and(|text| text.trim() == MASK) => *given = stored.clone(),
            _ => {}
        }
    }
    for (key, value) in given {
        if let Some(stored) = stored.get(key) {
            restore(value, stored);
        }
    }
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
}
