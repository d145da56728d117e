use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The logical name of an agent, a data source or a tool: 1 to 128 characters, none of them a control character. Percent-encoded, it
/// is one segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceName(Arc<str>);

impl ResourceName {
    /// Longest name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Checks and wraps a name that may be in use already; the error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > Self::MAX_CHARS {
            return Err(format!("Input should have 1 to {} characters", Self::MAX_CHARS));
        }
        if text.chars().any(char::is_control) {
            return Err("Input should have no control characters".to_owned());
        }
        // Clients resolve these segments before they send the path.
        if matches!(text, "." | "..") {
            return Err("Input should not be '.' or '..'".to_owned());
        }
        Ok(Self(text.into()))
    }

    /// Checks whether something new may have this name: also a client that puts it into a path as it is should reach that, and nothing
    /// else. The error says what was expected.
    pub fn check_new(&self) -> Result<(), &'static str> {
        if self.0.contains(['/', '\\', '?', '#']) {
            return Err(
                "Input should have none of the characters / \\ ? and #, which mean something else in an address",
            );
        }
        if has_percent_code(&self.0) {
            return Err(
                "Input should have no % before two digits or letters from A to F, which stand for another character in an address",
            );
        }
        if self.0.trim() != &*self.0 {
            return Err("Input should have no blanks at its beginning and end");
        }
        Ok(())
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

/// Whether a `%` is followed by two hexadecimal digits, as for a character that is percent-encoded.
fn has_percent_code(text: &str) -> bool {
    let is_code =
        |code: &[u8]| matches!(code, [b'%', first, second] if first.is_ascii_hexdigit() && second.is_ascii_hexdigit());
    text.as_bytes().windows(3).any(is_code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn a_name_fits_into_one_segment_of_a_path() {
        for good in ["a", "Küche 7", "a.b", "...", "%2F", "health", "a/b", "a?b#c", " a ", &"ü".repeat(128)] {
            assert_eq!(ResourceName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a\nb", "\u{0}", "\u{85}", &"ü".repeat(129)] {
            assert!(ResourceName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_new_name_needs_no_encoding() {
        for good in ["a", "Küche 7", "a.b", "...", "100%", "5 %a", "a&b=c+d;e", "\"q\"", "<b>", "{name}", "日本💶"]
        {
            assert_eq!(ResourceName::parse(good).unwrap().check_new(), Ok(()), "{good}");
        }
        for bad in ["a/b", "a\\b", "a?b", "a#b", "%2F", "a%aFb", " a", "a ", "a\u{a0}"] {
            assert!(ResourceName::parse(bad).unwrap().check_new().is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// A browser builds the address of a request as [`Url`] does.
        #[test]
        fn a_path_with_a_new_name_in_it_as_it_is_leads_to_that_name(text in r"[a-c%/\\?# .2f;:&ü]{1,6}|\PC{1,9}") {
            let Some(name) = ResourceName::parse(&text).ok().filter(|name| name.check_new().is_ok()) else { return Ok(()) };
            for rest in ["", "/test"] {
                let url = Url::parse(&format!("http://localhost:8000/api/tools/{name}{rest}")).unwrap();
                let path = url.path().strip_prefix("/api/tools/").and_then(|path| path.strip_suffix(rest)).unwrap();
                let decoded = percent_encoding::percent_decode_str(path).decode_utf8().unwrap();
                prop_assert_eq!(&*decoded, name.as_str());
                prop_assert_eq!((url.query(), url.fragment()), (None, None));
            }
        }
    }
}
