use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};

use super::{MASK, Redaction};

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
        self.0.redaction.get_or_init(|| Redaction::of_texts([self.expose()], false))
    }
}

impl Redaction {
    /// Masks these secrets, however they are spelt.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self::of_texts(Vec::from_iter(secrets).iter().map(Secret::expose), false)
    }

    /// Masks shorter ones too: in a log it matters less if too much is missing.
    pub fn for_log(secrets: impl IntoIterator<Item = Secret>) -> Self {
        Self::of_texts(Vec::from_iter(secrets).iter().map(Secret::expose), true)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

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
}
