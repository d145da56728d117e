use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::bounds;
use crate::kernel::{Fields, Lenient, LenientResult, read_word};

/// Which conversation callers have who do not say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnonymousMemory {
    /// One that all of them have in common, as in the original.
    Shared,
    /// None.
    Off,
}

impl Lenient for AnonymousMemory {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(value.as_str(), "Input should be 'shared' or 'off'")
    }
}

/// Conversation memory.
#[derive(Clone, Debug)]
pub struct MemorySettings {
    /// `MEMORY_ENABLED`
    pub enabled: bool,
    /// `MEMORY_ANONYMOUS`; by default off where others than the people at this machine may call.
    pub anonymous: AnonymousMemory,
    /// `MEMORY_MAX_MESSAGES`: how many messages a conversation shows.
    pub max_messages: usize,
    /// `MEMORY_SUMMARY_ENABLED`: whether older turns are summarized instead of being dropped.
    pub summary_enabled: bool,
    /// `CONTEXT_TOKENS`: tokens of a conversation that a model is shown; `None` goes by what the model takes.
    pub context_tokens: Option<usize>,
    /// `REDIS_TTL_SECONDS`: a conversation is forgotten this long after its last message, whichever store holds it.
    pub ttl: Duration,
}

impl MemorySettings {
    /// `is_local`: whether only this machine reaches the server.
    pub(super) fn read(env: &mut Fields<'_>, is_local: bool) -> Self {
        let anonymous = if is_local { AnonymousMemory::Shared } else { AnonymousMemory::Off };
        Self {
            enabled: env.or("MEMORY_ENABLED", true),
            anonymous: env.or("MEMORY_ANONYMOUS", anonymous),
            max_messages: env.count_or("MEMORY_MAX_MESSAGES", 50, 1..=10_000),
            summary_enabled: env.or("MEMORY_SUMMARY_ENABLED", true),
            context_tokens: env
                .int_optional("CONTEXT_TOKENS", bounds::CONTEXT_TOKENS)
                .and_then(|tokens| usize::try_from(tokens).ok()),
            ttl: env.seconds_or("REDIS_TTL_SECONDS", 3600, 1..=315_360_000),
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
        Self { enabled: env.or("CACHE_ENABLED", true), ttl: env.seconds_or("CACHE_TTL_SECONDS", 3600, 1..=315_360_000) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, load};

    #[test]
    fn callers_without_a_name_share_a_conversation_on_this_machine_only() {
        use AnonymousMemory::{Off, Shared};
        let read = |host: &str, anonymous: &str| {
            let environment = Environment::from_pairs([("API_HOST", host), ("MEMORY_ANONYMOUS", anonymous)]);
            load(environment).map(|loaded| loaded.settings.memory.anonymous).ok()
        };
        for host in ["", "127.0.0.1", "localhost", "127.0.0.5", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert_eq!((read(host, ""), read(host, "off")), (Some(Shared), Some(Off)), "{host}");
        }
        for host in ["0.0.0.0", "::", "10.0.0.7", "192.168.1.2", "fd00::1"] {
            assert_eq!((read(host, ""), read(host, "Shared")), (Some(Off), Some(Shared)), "{host}");
        }
        assert_eq!(read("", "maybe"), None);
    }
}
