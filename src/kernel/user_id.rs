use std::fmt;

/// Whose conversation it is: 1 to 256 characters without control characters.
///
/// `config` and `health` are refused everywhere: the memory module's own paths shadow them, so a conversation under
/// such a name could be written but not cleared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserId(String);

impl UserId {
    /// Longest user id, in characters.
    pub const MAX_CHARS: usize = 256;
    /// What no user may be called.
    pub const RESERVED: [&str; 2] = ["config", "health"];

    /// Checks and wraps an id; the error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > Self::MAX_CHARS {
            return Err(format!("User id should have 1 to {} characters", Self::MAX_CHARS));
        }
        if text.chars().any(char::is_control) {
            return Err("User id should have no control characters".to_owned());
        }
        if Self::RESERVED.contains(&text) {
            return Err(format!("User id should not be '{text}', which is a path of the memory module"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Who speaks when a chat request names nobody.
    pub fn anonymous() -> Self {
        Self("default".to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
