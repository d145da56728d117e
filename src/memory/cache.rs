use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::kernel::JsonReader;
use crate::settings::CacheSettings;
use crate::storage::CacheStore;
use crate::telemetry::metrics;

/// Largest answer that is kept, in bytes.
const MAX_ENTRY_BYTES: usize = 256_000;

/// Answers that may be given again. A cache that fails is a miss, not an error.
#[derive(Clone, Debug)]
pub struct ResponseCache(CacheStore);

impl ResponseCache {
    /// A cache in this store.
    pub fn new(store: CacheStore) -> Self {
        Self(store)
    }

    /// The key for an answer: a digest of everything that shapes it.
    pub fn key(shapes: &Value) -> String {
        let digest = Sha256::digest(shapes.to_string().as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("response:{hex}")
    }

    /// The answer under `key`.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let text = self.0.get(key).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the response cache could not be read");
            None
        });
        let answer = text.and_then(|text| JsonReader::stored().read(text.as_bytes()).ok());
        metrics::cache(answer.is_some());
        answer
    }

    /// Keeps an answer, unless it is very large.
    pub async fn put<T: Serialize + Sync>(&self, key: &str, answer: &T, settings: &CacheSettings) {
        let Ok(text) = serde_json::to_string(answer) else { return };
        if text.len() > MAX_ENTRY_BYTES {
            return;
        }
        if let Err(error) = self.0.put(key, &text, settings.ttl).await {
            tracing::warn!(%error, "the response cache could not be written");
        }
    }
}
