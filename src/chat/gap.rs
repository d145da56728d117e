/// What the answer lacks, in words.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) text: String,
    kind: GapKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GapKind {
    /// The intent would use it, nobody asked for it by name.
    Optional,
    /// The request names it, or a task that was begun failed.
    Partial,
    /// The server failed at something around the answer, as at saving the conversation.
    Internal,
}

impl Gap {
    /// Something that the answer does without; `is_named` if the request asks for it by name, so that the answer is a partial one.
    pub(super) fn new(text: String, is_named: bool) -> Self {
        Self { text, kind: if is_named { GapKind::Partial } else { GapKind::Optional } }
    }

    /// A failure of the server itself.
    pub(super) fn internal(text: impl Into<String>) -> Self {
        Self { text: text.into(), kind: GapKind::Internal }
    }

    /// Whether the reply is degraded by it, and `error` tells of it.
    pub(super) fn degrades(&self) -> bool {
        self.kind != GapKind::Optional
    }

    /// Whether `metadata.missing` lists it.
    pub(super) fn is_listed(&self) -> bool {
        self.kind != GapKind::Internal
    }
}
