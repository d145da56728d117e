use super::service::MemoryService;
use crate::kernel::Error;
use crate::storage::StoreCount;
use crate::telemetry::metrics;

/// Numbers about all that is remembered.
#[derive(Clone, Debug)]
pub struct MemoryTotals {
    /// Conversations of all users.
    pub conversations: StoreCount,
    /// How many of the look-ups in the cache since the start found an answer, from 0 to 1.
    pub cache_hit_rate: f64,
    /// How much memory Redis uses.
    pub redis_memory: RedisMemory,
    /// Executions that are recorded.
    pub executions: usize,
}

/// How much memory Redis uses, as far as it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisMemory {
    /// There is no Redis.
    NotConfigured,
    /// It is not in use now: the embedded store stands in for it.
    Away,
    /// It does not say.
    Untold,
    /// In its own words.
    Used(String),
}

/// What was forgotten.
#[derive(Clone, Copy, Debug)]
pub struct ClearedMemory {
    /// Conversations of all users.
    pub conversations: StoreCount,
    /// Answers in the cache.
    pub answers: StoreCount,
}

impl MemoryService {
    /// Counts all that is remembered.
    pub async fn totals(&self) -> Result<MemoryTotals, Error> {
        let stores = &self.stores;
        let (conversations, executions, redis_memory) =
            tokio::join!(stores.conversations.count(), stores.executions.count(), stores.redis_memory());
        Ok(MemoryTotals {
            conversations: conversations?,
            cache_hit_rate: hit_rate(metrics::cache_lookups()),
            redis_memory: match (redis_memory, stores.redis()) {
                (Some(used), _) => RedisMemory::Used(used),
                (None, None) => RedisMemory::NotConfigured,
                (None, Some(redis)) if redis.connected => RedisMemory::Untold,
                (None, Some(_)) => RedisMemory::Away,
            },
            executions: executions?,
        })
    }

    /// Forgets the conversations of all users, and the answers in the cache. Executions stay.
    pub async fn clear_all(&self) -> Result<ClearedMemory, Error> {
        let conversations = self.stores.conversations.clear_all().await?;
        let answers = self.stores.cache.clear().await?;
        tracing::warn!(conversations = conversations.count, answers = answers.count, "all memory was cleared");
        Ok(ClearedMemory { conversations, answers })
    }
}

fn hit_rate((hits, misses): (u64, u64)) -> f64 {
    let asked = hits + misses;
    if asked == 0 { 0.0 } else { hits as f64 / asked as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_nobody_has_asked_hits_nothing() {
        assert_eq!([hit_rate((0, 0)), hit_rate((1, 3)), hit_rate((2, 0))], [0.0, 0.25, 1.0]);
    }
}
