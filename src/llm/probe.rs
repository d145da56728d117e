use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::api_dialect::{ApiDialect, version_url};
use crate::kernel::{Deadline, JsonReader, Secret};
use crate::outbound::{Call, CallError, HttpClient};

/// How long a server may take to say which format it speaks.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest reply that may hold a version, in bytes.
const MAX_VERSION_BYTES: usize = 64_000;
/// How long a server that gave no clear answer is not asked again.
const UNCLEAR_TTL: Duration = Duration::from_secs(60);
/// Servers whose format is remembered.
const MAX_CACHED_SERVERS: usize = 64;

/// Finds out which wire format a server speaks, and remembers it by base URL. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct DialectProbe {
    known: Arc<Mutex<DialectCache>>,
}

/// What each server speaks, by base URL; until when, for one whose answer was not clear.
type DialectCache = HashMap<String, (ApiDialect, Option<Instant>)>;

impl DialectProbe {
    /// Asks once: Ollama tells its version at `/api/version`, everything else is taken as OpenAI's format.
    pub(super) async fn ask(
        &self,
        http: &HttpClient,
        base: &str,
        key: Option<&Secret>,
        deadline: Deadline,
    ) -> ApiDialect {
        if let Some((dialect, until)) = self.known.lock().get(base)
            && until.is_none_or(|until| Instant::now() < until)
        {
            return *dialect;
        }
        let deadline = deadline.at_most(PROBE_TIMEOUT);
        let (dialect, clear) = match http.send(&Call::get(version_url(base)).bearer(key), deadline).await {
            Ok(reply) => {
                let status = reply.status();
                let body = reply.bytes(MAX_VERSION_BYTES, deadline).await.ok();
                let body: Option<Value> = body.and_then(|body| JsonReader::embedded().read(&body).ok());
                let has_version = body.is_some_and(|body| body.get("version").is_some_and(Value::is_string));
                let dialect = if status == 200 && has_version { ApiDialect::Ollama } else { ApiDialect::OpenAi };
                (dialect, status < 500 && status != 429)
            }
            Err(CallError::Timeout) => (ApiDialect::OpenAi, false),
            // Nobody there: the call itself will tell, and the next one asks again.
            Err(_) => return ApiDialect::OpenAi,
        };
        let mut known = self.known.lock();
        if known.len() >= MAX_CACHED_SERVERS {
            known.clear();
        }
        known.insert(base.to_owned(), (dialect, (!clear).then(|| Instant::now() + UNCLEAR_TTL)));
        dialect
    }

    /// Forgets a server: perhaps another kind stands there now.
    pub(super) fn forget(&self, base: &str) {
        self.known.lock().remove(base);
    }
}
