use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::properties::{is_sensitive_container, masked_member};
use super::secret_url::shown_url;
use super::{Redaction, SecretUrl};

/// What stands in replies and logs in the place of a secret.
pub const MASK: &str = "********";

/// A credential. Debug, Display and Serialize print [`MASK`]; only [`Secret::expose`] gives the value.
#[derive(Clone)]
pub struct Secret(Arc<SecretInner>);

struct SecretInner {
    value: Box<str>,
    redaction: OnceLock<Redaction>,
}

impl Secret {
    /// Wraps a credential.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(Arc::new(SecretInner { value: value.into(), redaction: OnceLock::new() }))
    }

    /// The value itself: for the wire to its own upstream and for the store, nothing else.
    pub fn expose(&self) -> &str {
        &self.0.value
    }

    /// What masks it in what its upstream says.
    pub fn redaction(&self) -> &Redaction {
        self.0.redaction.get_or_init(|| Redaction::new([self.clone()]))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

/// Whether a field of this name holds a credential.
pub fn is_credential_name(name: &str) -> bool {
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

/// The value of the field `name`, fit to be quoted in an error: credentials in it are masked, by the names of their
/// fields, and those of URLs.
pub(super) fn quotable(name: &str, value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        _ if is_credential_name(name) => Value::String(MASK.to_owned()),
        Value::Object(_) | Value::Array(_) if is_sensitive_container(name) => masked_member(name, value),
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
    fn credentials_are_known_by_their_names() {
        for name in ["API_KEYS", "DB_PASS", "GITHUB_PAT", "X-Auth", "auth", "api-key", "private-key", "access_tokens"] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in ["max_tokens", "primary_key", "sort-key", "author", "path", "bypass", "primary_keys", "tokens"] {
            assert!(!is_credential_name(name), "{name}");
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
