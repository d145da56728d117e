use std::time::Duration;

/// How much of a limit is left, as the `RateLimit` header tells it (draft-ietf-httpapi-ratelimit-headers-10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitStatus {
    /// The name of the policy: `requests_per_minute_user`.
    pub policy: String,
    /// How much there is in all.
    pub quota: u64,
    /// How much is left.
    pub remaining: u64,
    /// How long until there is more.
    pub reset: Duration,
    /// The time that the quota is for; `None` for what may go on at the same time.
    pub window: Option<Duration>,
}

/// A caller has used up what it may use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}; try again in {} s", whole_seconds(self.status.reset))]
pub struct LimitReached {
    /// What may be used, and by whom.
    pub text: String,
    /// The limit.
    pub status: LimitStatus,
}

/// A part of a second is waited for as a whole one.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
