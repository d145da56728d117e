use std::time::Duration;

use crate::kernel::Fields;

/// Conversation memory.
#[derive(Clone, Debug)]
pub struct MemorySettings {
    /// `MEMORY_ENABLED`
    pub enabled: bool,
    /// `MEMORY_MAX_MESSAGES`: how many messages a conversation shows.
    pub max_messages: usize,
    /// `MEMORY_SUMMARY_ENABLED`: whether older turns are summarized instead of being dropped.
    pub summary_enabled: bool,
    /// `REDIS_TTL_SECONDS`: a conversation is forgotten this long after its last message, whichever store holds it.
    pub ttl: Duration,
}

impl MemorySettings {
    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        Self {
            enabled: env.or("MEMORY_ENABLED", true),
            max_messages: usize::try_from(env.int_or("MEMORY_MAX_MESSAGES", 50, 1..=10_000)).unwrap_or(50),
            summary_enabled: env.or("MEMORY_SUMMARY_ENABLED", true),
            ttl: Duration::from_secs(env.int_or("REDIS_TTL_SECONDS", 3600, 1..=315_360_000).unsigned_abs()),
        }
    }
}

/// The response cache.
#[derive(Clone, Debug)]
pub struct CacheSettings {
    /// `CACHE_ENABLED`
    pub enabled: bool,
    /// `CACHE_TTL_SECONDS`
    pub ttl: Duration,
}

impl CacheSettings {
    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        Self {
            enabled: env.or("CACHE_ENABLED", true),
            ttl: Duration::from_secs(env.int_or("CACHE_TTL_SECONDS", 3600, 1..=315_360_000).unsigned_abs()),
        }
    }
}
