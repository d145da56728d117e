use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::SecretUrl;
use super::properties::{is_special, masked_member};
use super::secret_url::shown_url;

/// Shorter keys are placeholders such as `ollama` or `EMPTY`: masking them would only garble answers.
const SHORTEST_REDACTED: usize = 12;

/// What stands in replies and logs in the place of a secret.
pub const MASK: &str = "********";

/// A credential. Debug, Display and Serialize print [`MASK`]; only [`Secret::expose`] gives the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a credential.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself: for the wire to its own upstream and for the store, nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every appearance of this secret masked: upstreams like to quote what they were sent.
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < SHORTEST_REDACTED { text.to_owned() } else { text.replace(&*self.0, MASK) }
    }

    /// [`Secret::redact`] on every string in `value`, keys included.
    pub fn redact_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.redact(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.redact_json(item)).collect(),
            Value::Object(map) => {
                map.into_iter().map(|(key, value)| (self.redact(&key), self.redact_json(value))).collect()
            }
            other => other,
        }
    }
}

/// Whether a field of this name holds a credential.
pub fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let harmless = ["primary_key", "foreign_key", "sort_key", "partition_key"];
    let ends = [
        "key",
        "token",
        "authorization",
        "cookie",
        "passwd",
        "pwd",
        "dsn",
        "connection_string",
        "_auth",
        "_pass",
        "_pat",
    ];
    // Others in the plural are counts, such as `max_tokens`, or names of columns.
    let plurals =
        ["api_keys", "access_keys", "auth_keys", "api_tokens", "access_tokens", "auth_tokens", "refresh_tokens"];
    let parts = ["password", "passphrase", "secret", "credential", "private_key"];
    ["pass", "auth", "pat"].contains(&name.as_str())
        || plurals.iter().any(|end| name.ends_with(end))
        || ends.iter().any(|end| name.ends_with(end)) && !harmless.contains(&name.as_str())
        || parts.iter().any(|part| name.contains(part))
}

/// The credentials that an upstream knows and may quote, to be masked in everything it says.
#[derive(Clone, Debug, Default)]
pub struct Redaction(Vec<Secret>);

impl Redaction {
    /// Masks these.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self(secrets.into_iter().collect())
    }

    /// `text` with every secret masked.
    pub fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| secret.redact(&text))
    }

    /// Whether bytes that are no text hold one of the secrets.
    pub fn is_quoted_in(&self, bytes: &[u8]) -> bool {
        let long =
            self.0.iter().map(|secret| secret.expose().as_bytes()).filter(|secret| secret.len() >= SHORTEST_REDACTED);
        long.into_iter().any(|secret| bytes.windows(secret.len()).any(|window| window == secret))
    }

    /// `value` with every secret masked.
    pub fn json(&self, value: Value) -> Value {
        self.0.iter().fold(value, |value, secret| secret.redact_json(value))
    }
}

/// The value of the field `name`, fit to be quoted in an error: credentials in it are masked, by the names of their
/// fields, and those of URLs.
pub(super) fn quotable(name: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if names_a_secret(name) => Value::String(MASK.to_owned()),
        Value::Object(_) | Value::Array(_) if is_special(name) => masked_member(name, value),
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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new("sk-canary");
        assert_eq!(format!("{secret} {secret:?} {}", json!(secret)), "******** ******** \"********\"");
    }

    #[test]
    fn quoted_secrets_are_masked_in_text_and_json() {
        let secret = Secret::new("sk-canary-1234");
        assert_eq!(secret.redact("bad key sk-canary-1234!"), "bad key ********!");
        let quoted = json!({"sk-canary-1234": ["x sk-canary-1234", {"deep": "sk-canary-1234"}]});
        assert!(!secret.redact_json(quoted).to_string().contains("sk-canary"));
        assert_eq!(Secret::new("ollama").redact("use ollama"), "use ollama");
    }

    #[test]
    fn credentials_are_known_by_their_names() {
        for name in ["API_KEYS", "DB_PASS", "GITHUB_PAT", "X-Auth", "auth", "api-key", "private-key", "access_tokens"] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["max_tokens", "primary_key", "sort-key", "author", "path", "bypass", "primary_keys", "tokens"] {
            assert!(!names_a_secret(name), "{name}");
        }
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
