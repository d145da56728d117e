use crate::settings::{LimitKind, LimitMode};

/// What a caller has used of all that it may use.
#[derive(Clone, Debug)]
pub struct UsageReport {
    /// What comes of reaching a limit.
    pub mode: LimitMode,
    /// By limits.
    pub uses: Vec<LimitUse>,
}

/// How far a limit is used.
#[derive(Clone, Debug)]
pub struct LimitUse {
    /// What is limited.
    pub kind: LimitKind,
    /// Whose use is added up: `key`, `user` or `role`.
    pub subject: &'static str,
    /// Which one that is.
    pub name: String,
    /// The most that may be used.
    pub quota: u64,
    /// What was used.
    pub used: u64,
    /// What is in use: chats that are being answered, or tokens that calls may need which go on.
    pub reserved: u64,
    /// When the time that it is about ends, in milliseconds since 1970.
    pub resets_ms: Option<i64>,
}

impl LimitUse {
    /// What is left.
    pub fn remaining(&self) -> u64 {
        self.quota.saturating_sub(self.used).saturating_sub(self.reserved)
    }
}
