use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;

use super::{KeySet, TokenError};
use crate::kernel::{Clock, Deadline, SecretUrl, count_panics};
use crate::outbound::{Call, HttpClient, display_url};
use crate::settings::TokenAlgorithm;

/// How long keys count as current.
const CURRENT_FOR: Duration = Duration::from_secs(600);
/// How long they are good enough while the provider is away.
const USABLE_FOR: Duration = Duration::from_secs(86_400);
/// Time between two questions to the provider: any caller can name keys that nobody has.
const PAUSE: Duration = Duration::from_secs(30);
/// The same while there is no key that could verify anything.
const PAUSE_WITHOUT_KEYS: Duration = Duration::from_secs(5);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BYTES: usize = 256_000;

/// The keys of the identity provider, fetched when they are needed and kept. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ProviderKeys(Arc<KeyProvider>);

#[derive(Debug)]
struct KeyProvider {
    url: SecretUrl,
    algorithm: TokenAlgorithm,
    http: HttpClient,
    clock: Clock,
    fetched: RwLock<Fetched>,
    /// Held while the provider is asked.
    turn: Arc<Mutex<()>>,
}

/// Keys, and when the provider was asked, in milliseconds since 1970.
#[derive(Clone, Debug, Default)]
struct Fetched {
    keys: Option<(Arc<KeySet>, i64)>,
    asked_at: Option<i64>,
}

impl Fetched {
    /// Keys that are at most so old. A clock that was set back makes them older too.
    fn younger_than(&self, age: Duration, now: i64) -> Option<Arc<KeySet>> {
        let (keys, at) = self.keys.as_ref()?;
        (elapsed(*at, now) < age).then(|| keys.clone())
    }

    fn may_ask(&self, now: i64) -> bool {
        let pause = if self.younger_than(USABLE_FOR, now).is_some() { PAUSE } else { PAUSE_WITHOUT_KEYS };
        self.asked_at.is_none_or(|at| elapsed(at, now) >= pause)
    }
}

fn elapsed(at: i64, now: i64) -> Duration {
    Duration::from_millis(now.abs_diff(at))
}

impl ProviderKeys {
    pub(super) fn new(url: SecretUrl, algorithm: TokenAlgorithm, http: HttpClient, clock: Clock) -> Self {
        Self(Arc::new(KeyProvider { url, algorithm, http, clock, fetched: RwLock::default(), turn: Arc::default() }))
    }

    /// The keys. Nobody waits for newer ones while there are some.
    pub(super) async fn current(&self) -> Result<Arc<KeySet>, TokenError> {
        let provider = &self.0;
        if let Some(keys) = provider.fetched.read().younger_than(CURRENT_FOR, provider.clock.now_ms()) {
            return Ok(keys);
        }
        match self.usable() {
            Some(keys) => {
                if let Ok(turn) = provider.turn.clone().try_lock_owned() {
                    drop(self.ask(turn));
                }
                Ok(keys)
            }
            None => {
                self.refresh().await;
                self.usable().ok_or(TokenError::NoKeys)
            }
        }
    }

    /// Other keys than these, if the provider has any now.
    pub(super) async fn other_than(&self, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        self.refresh().await;
        self.usable().filter(|keys| !Arc::ptr_eq(keys, seen))
    }

    fn usable(&self) -> Option<Arc<KeySet>> {
        self.0.fetched.read().younger_than(USABLE_FOR, self.0.clock.now_ms())
    }

    /// Asks the provider, or waits for the answer to somebody who is asking.
    async fn refresh(&self) {
        let turn = self.0.turn.clone().lock_owned().await;
        if let Some(asking) = self.ask(turn) {
            // An error is the end of the runtime, or a panic, which is counted.
            drop(asking.await);
        }
    }

    /// Asks the provider, unless that was done just now. Goes on if the caller leaves.
    fn ask(&self, turn: OwnedMutexGuard<()>) -> Option<JoinHandle<Option<()>>> {
        if !self.0.fetched.read().may_ask(self.0.clock.now_ms()) {
            return None;
        }
        let provider = self.0.clone();
        Some(tokio::spawn(count_panics("provider_keys", async move {
            let answer = provider.fetch().await;
            provider.keep(answer);
            drop(turn);
        })))
    }
}

impl KeyProvider {
    async fn fetch(&self) -> Result<KeySet, String> {
        let deadline = Deadline::after(FETCH_TIMEOUT);
        let call = Call::get(self.url.expose()).accept("application/jwk-set+json, application/json");
        let reply = self.http.send_following(&call, deadline).await.map_err(|error| error.to_string())?;
        if reply.status() != 200 {
            return Err(format!("answered with {}", reply.status_text()));
        }
        let body = reply.bytes(MAX_BYTES, deadline).await.map_err(|error| error.to_string())?;
        let keys = KeySet::read(&body, self.algorithm).map_err(|wrong| format!("sent no key set: {wrong}"))?;
        if keys.is_empty() { Err(format!("has no key for {}", self.algorithm.name())) } else { Ok(keys) }
    }

    fn keep(&self, answer: Result<KeySet, String>) {
        let now = self.clock.now_ms();
        let mut fetched = self.fetched.write();
        fetched.asked_at = Some(now);
        match answer {
            Ok(keys) => {
                let same = fetched.keys.take().map(|(known, _)| known).filter(|known| **known == keys);
                if same.is_none() {
                    tracing::info!(keys = keys.len(), "the keys of the identity provider were fetched");
                }
                fetched.keys = Some((same.unwrap_or_else(|| Arc::new(keys)), now));
            }
            Err(error) => {
                let url = display_url(self.url.expose());
                tracing::warn!(url, "the keys of the identity provider can't be fetched: it {error}");
            }
        }
    }
}
