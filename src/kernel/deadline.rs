use std::time::Duration;

use tokio::time::Instant;

/// The moment by which a piece of work must have ended. Passed down unchanged, so that nested timeouts can't add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline that lies `limit` ahead.
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// The earlier of this deadline and one that lies `limit` ahead.
    pub fn at_most(self, limit: Duration) -> Self {
        self.min(Self::after(limit))
    }

    /// Time left; zero once passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it leaves clearly less time than `limit`: one that was set to `limit` a moment ago does not.
    pub fn is_shorter_than(self, limit: Duration) -> bool {
        self.remaining() + Duration::from_millis(200) < limit
    }

    /// The moment itself, for `timeout_at` and `sleep_until`.
    pub fn instant(self) -> Instant {
        self.0
    }
}
