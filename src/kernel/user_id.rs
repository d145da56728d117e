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
    /// What the keys of conversations of the chat page begin with in the memory, and no name that a client gives.
    pub const CHAT_PAGE_PREFIX: &str = "chat-ui:";

    /// What the ids of those begin with for whom a key acts that nobody owns.
    const KEY_PREFIX: &str = "key:";

    /// Checks and wraps an id; the error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > Self::MAX_CHARS {
            return Err(format!("Input should have 1 to {} characters", Self::MAX_CHARS));
        }
        if text.chars().any(char::is_control) {
            return Err("Input should have no control characters".to_owned());
        }
        if Self::RESERVED.contains(&text) {
            return Err(format!("Input should not be '{text}', which is a path of the memory module"));
        }
        Ok(Self(text.to_owned()))
    }

    /// As [`UserId::parse`], for whom something is said: nobody but the chat page adds to its conversations.
    pub fn parse_speaker(text: &str) -> Result<Self, String> {
        if text.starts_with(Self::CHAT_PAGE_PREFIX) {
            let prefix = Self::CHAT_PAGE_PREFIX;
            return Err(format!("Input should not begin with '{prefix}', as the conversations of the chat page do"));
        }
        Self::parse(text)
    }

    /// Who speaks when a chat request names nobody.
    pub fn anonymous() -> Self {
        Self("default".to_owned())
    }

    /// As [`UserId::parse_speaker`], for somebody who owns keys.
    pub fn parse_owner(text: &str) -> Result<Self, String> {
        let user = Self::parse_speaker(text)?;
        if user.is_of_key() {
            let prefix = Self::KEY_PREFIX;
            return Err(format!(
                "Input should not begin with '{prefix}', as those do for whom keys without an owner act"
            ));
        }
        Ok(user)
    }

    /// For whom a key acts that nobody owns.
    pub fn of_key(id: &str) -> Result<Self, String> {
        Self::parse(&format!("{}{id}", Self::KEY_PREFIX))
    }

    /// Whether it is the id of one for whom such a key acts.
    pub fn is_of_key(&self) -> bool {
        self.0.starts_with(Self::KEY_PREFIX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_speaks_in_a_conversation_of_the_chat_page_though_its_key_can_be_read() {
        let key = format!("{}5f0c", UserId::CHAT_PAGE_PREFIX);
        assert_eq!(UserId::parse(&key).unwrap().as_str(), key);
        assert!(UserId::parse_speaker(&key).unwrap_err().contains("'chat-ui:'"));
        assert_eq!(UserId::parse_speaker("chat-ui").unwrap().as_str(), "chat-ui");
        for refused in ["", "config", "a\n"] {
            assert_eq!(UserId::parse_speaker(refused), UserId::parse(refused));
            assert!(UserId::parse_speaker(refused).is_err());
        }
    }
}
