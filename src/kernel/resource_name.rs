use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The logical name of an agent, a data source or a tool: 1 to 128 characters that fit into one segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceName(Arc<str>);

impl ResourceName {
    /// Longest name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Checks and wraps a name; the error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > Self::MAX_CHARS {
            return Err(format!("Name should have 1 to {} characters", Self::MAX_CHARS));
        }
        if text.chars().any(|c| c == '/' || c.is_control()) {
            return Err("Name should have no '/' and no control characters".to_owned());
        }
        // Clients resolve these segments before they send the path.
        if matches!(text, "." | "..") {
            return Err("Name should not be '.' or '..'".to_owned());
        }
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ResourceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for ResourceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_one_segment_of_a_path() {
        for good in ["a", "Küche 7", "a.b", "...", "%2F", "health", &"ü".repeat(128)] {
            assert_eq!(ResourceName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a\nb", "\u{0}", "\u{85}", &"ü".repeat(129)] {
            assert!(ResourceName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
