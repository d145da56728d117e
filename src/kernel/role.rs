use serde::Serialize;

/// Who speaks in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions to the model.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call; never stored in a conversation.
    Tool,
}

impl Role {
    /// Who may have spoken what is stored.
    pub const OF_MESSAGES: [Self; 3] = [Self::User, Self::Assistant, Self::System];

    /// The name on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// A role that a stored message may have.
    pub fn of_message(text: &str) -> Option<Self> {
        Self::OF_MESSAGES.into_iter().find(|role| role.as_str() == text)
    }
}
