/// What the answer lacks, in words.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) text: String,
    /// Whether the answer is only a partial one for it: the request names it, or a task that was begun failed.
    pub(super) degrades: bool,
    /// Whether `metadata.missing` lists it, as everything but the server's own failures.
    pub(super) is_listed: bool,
    /// Whether the model that answers is told, so that it does not make up for it.
    pub(super) is_told: bool,
}

impl Gap {
    /// Something that was to be used for the answer.
    pub(super) fn new(text: String, degrades: bool) -> Self {
        Self { text, degrades, is_listed: true, is_told: true }
    }

    /// Something that could have been used, though nothing asks for it: for whoever looks after this server.
    pub(super) fn notice(text: String) -> Self {
        Self { text, degrades: false, is_listed: true, is_told: false }
    }

    /// A failure of the server at something around the answer, as at saving the conversation.
    pub(super) fn internal(text: impl Into<String>) -> Self {
        Self { text: text.into(), degrades: true, is_listed: false, is_told: true }
    }
}
