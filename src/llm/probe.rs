use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::server::ERROR_CAP;
use super::wire::{Wire, version_url};
use crate::kernel::{Deadline, JsonReader, Secret};
use crate::outbound::{Call, CallError, HttpClient};

/// How long a server may take to say which format it speaks.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a server that gave no clear answer is not asked again.
const UNCLEAR_FOR: Duration = Duration::from_secs(60);
/// Servers whose format is remembered.
const MOST_KNOWN: usize = 64;

/// Finds out which wire format a server speaks, and remembers it by base URL. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe {
    known: Arc<Mutex<Known>>,
}

/// What each server speaks, by base URL; until when, for one whose answer was not clear.
type Known = HashMap<String, (Wire, Option<Instant>)>;

impl Probe {
    /// Asks once: Ollama tells its version at `/api/version`, everything else is taken as OpenAI's format.
    pub(super) async fn ask(&self, http: &HttpClient, base: &str, key: Option<&Secret>, deadline: Deadline) -> Wire {
        if let Some((wire, until)) = self.known().get(base)
            && until.is_none_or(|until| Instant::now() < until)
        {
            return *wire;
        }
        let deadline = deadline.at_most(PATIENCE);
        let (wire, clear) = match http.send(&Call::get(version_url(base)).bearer(key), deadline).await {
            Ok(reply) => {
                let status = reply.status();
                let body: Option<Value> = JsonReader::embedded().read(&reply.beginning(ERROR_CAP, deadline).await).ok();
                let has_version = body.is_some_and(|body| body.get("version").is_some_and(Value::is_string));
                let wire = if status == 200 && has_version { Wire::Ollama } else { Wire::OpenAi };
                (wire, status < 500 && status != 429)
            }
            Err(CallError::Timeout) => (Wire::OpenAi, false),
            // Nobody there: the call itself will tell, and the next one asks again.
            Err(_) => return Wire::OpenAi,
        };
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(base.to_owned(), (wire, (!clear).then(|| Instant::now() + UNCLEAR_FOR)));
        wire
    }

    /// Forgets a server: perhaps another kind stands there now.
    pub(super) fn forget(&self, base: &str) {
        self.known().remove(base);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
