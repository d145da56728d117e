use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

use crate::kernel::{AccessRole, Fields, Lenient, LenientResult, read_word};

/// Largest quota: numbers of Redis and of JSON readers are exact up to it.
const MAX_QUOTA: u64 = 1 << 53;

/// What comes of reaching a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitMode {
    /// The request is refused.
    Enforce,
    /// It is counted, and served.
    Shadow,
}

impl Lenient for LimitMode {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(value.as_str(), "Input should be 'enforce' or 'shadow'")
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// Requests, of whatever sort, in any 60 seconds.
    RequestsPerMinute,
    /// Chats that are answered at the same time.
    ConcurrentChats,
    /// Tokens that models read and write, by days of UTC.
    TokensPerDay,
    /// The same, by months.
    TokensPerMonth,
}

impl LimitKind {
    /// Every kind, with its name.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::RequestsPerMinute, "requests_per_minute"),
        (Self::ConcurrentChats, "concurrent_chats"),
        (Self::TokensPerDay, "tokens_per_day"),
        (Self::TokensPerMonth, "tokens_per_month"),
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }
}

/// Whose use is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedBy {
    /// That of each API key, and of the tokens that were made from it.
    Key,
    /// That of each user.
    User,
    /// That of all callers of a role together.
    Role(AccessRole),
}

/// How much may be used: `user=60`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// By whom.
    pub by: LimitedBy,
    /// How much.
    pub quota: u64,
}

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "Input should be key=NUMBER, user=NUMBER or role.ROLE=NUMBER (a role is viewer, user, operator or admin), separated by commas, \
                 with numbers from 1 to {MAX_QUOTA}; '{text}' is none of them"
            )
        };
        let (by, quota) = text.split_once('=').ok_or_else(expected)?;
        let by = match by.trim() {
            "key" => LimitedBy::Key,
            "user" => LimitedBy::User,
            other => {
                let role = other.strip_prefix("role.").ok_or_else(expected)?;
                LimitedBy::Role(AccessRole::parse(role).map_err(|_| expected())?)
            }
        };
        let quota = quota.trim().parse().ok().filter(|quota| (1..=MAX_QUOTA).contains(quota)).ok_or_else(expected)?;
        Ok(Self { by, quota })
    }
}

/// How much callers may use. Who calls is known only with authentication; what all may do together is limited without it, too.
#[derive(Clone, Debug)]
pub struct LimitSettings {
    /// `LIMIT_MODE`
    pub mode: LimitMode,
    /// `LIMIT_REQUESTS_PER_MINUTE`
    requests_per_minute: Vec<Allowance>,
    /// `LIMIT_CONCURRENT_CHATS`
    concurrent_chats: Vec<Allowance>,
    /// `LIMIT_TOKENS_PER_DAY`
    tokens_per_day: Vec<Allowance>,
    /// `LIMIT_TOKENS_PER_MONTH`
    tokens_per_month: Vec<Allowance>,
    /// `MAX_CHATS`: chats that this server answers at the same time, of all callers.
    pub max_chats: usize,
}

impl LimitSettings {
    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        Self {
            mode: env.or("LIMIT_MODE", LimitMode::Enforce),
            requests_per_minute: read_allowances(env, "LIMIT_REQUESTS_PER_MINUTE"),
            concurrent_chats: read_allowances(env, "LIMIT_CONCURRENT_CHATS"),
            tokens_per_day: read_allowances(env, "LIMIT_TOKENS_PER_DAY"),
            tokens_per_month: read_allowances(env, "LIMIT_TOKENS_PER_MONTH"),
            max_chats: env.count_or("MAX_CHATS", 4_000, 1..=1_000_000),
        }
    }

    /// How much of this may be used, and by whom.
    pub fn allowances(&self, kind: LimitKind) -> &[Allowance] {
        match kind {
            LimitKind::RequestsPerMinute => &self.requests_per_minute,
            LimitKind::ConcurrentChats => &self.concurrent_chats,
            LimitKind::TokensPerDay => &self.tokens_per_day,
            LimitKind::TokensPerMonth => &self.tokens_per_month,
        }
    }
}

fn read_allowances(env: &mut Fields<'_>, name: &'static str) -> Vec<Allowance> {
    let read: Vec<Allowance> = env.list(name);
    let is_repeated = |at: usize, one: &Allowance| read.iter().take(at).any(|before| before.by == one.by);
    if read.iter().enumerate().any(|(at, one)| is_repeated(at, one)) {
        env.reject(name, "Input should have one number each for key, user and a role");
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, load};

    #[test]
    fn limits_are_read_by_whose_use_they_are_about() {
        let pairs = [
            ("LIMIT_MODE", "Shadow"),
            ("LIMIT_REQUESTS_PER_MINUTE", "key=600, user = 60,role.viewer=5"),
            ("LIMIT_TOKENS_PER_DAY", r#"["user=9007199254740992"]"#),
        ];
        let limits = load(Environment::from_pairs(pairs)).unwrap().settings.limits;
        assert_eq!((limits.mode, limits.max_chats), (LimitMode::Shadow, 4_000));
        let requests = limits.allowances(LimitKind::RequestsPerMinute).to_vec();
        let by = |by, quota| Allowance { by, quota };
        let viewer = LimitedBy::Role(AccessRole::Viewer);
        assert_eq!(requests, [by(LimitedBy::Key, 600), by(LimitedBy::User, 60), by(viewer, 5)]);
        assert_eq!(limits.allowances(LimitKind::TokensPerDay), [by(LimitedBy::User, 1 << 53)]);
        assert!(limits.allowances(LimitKind::ConcurrentChats).is_empty());
    }

    #[test]
    fn a_limit_that_says_nothing_is_refused_with_its_name() {
        for wrong in ["60", "user", "user=", "user=0", "user=-1", "user=1.5", "users=1", "role.root=1", "user=1,user=2"]
        {
            let issues = load(Environment::from_pairs([("LIMIT_CONCURRENT_CHATS", wrong)])).unwrap_err();
            let paths: Vec<_> = issues.iter().map(|issue| issue.path()).collect();
            assert_eq!(paths, ["LIMIT_CONCURRENT_CHATS"], "{wrong}");
        }
    }
}
