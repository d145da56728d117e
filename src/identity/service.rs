use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::api_key::NewApiKey;
use super::audit::AuditLog;
use super::authenticator::{Authenticator, Unrecognised};
use super::key_draft::KeyDraft;
use super::key_ring::KeyRing;
use super::token::{TokenClaims, TokenKind, TokenVerifier};
use crate::kernel::{AccessRole, BackgroundTask, Caller, Clock, Error, ErrorKind, Grants, Permission};
use crate::limits::Limiter;
use crate::outbound::HttpClient;
use crate::settings::AuthSettings;
use crate::storage::{ApiKeyRecord, IdentityStore, KeysRevision};

/// How long a ticket is good for.
const TICKET_LIFETIME: Duration = Duration::from_secs(60);
/// How often other processes' changes of keys are looked for.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is stored when keys were used last, in polls.
const POLLS_PER_USE_NOTE: u32 = 60;
/// What the key of `AUTH_BOOTSTRAP_KEY` is called.
const BOOTSTRAP: &str = "bootstrap";

/// Keys and tokens: who they stand for, new ones, and their end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IdentityService {
    settings: Arc<AuthSettings>,
    authenticator: Authenticator,
    store: IdentityStore,
    limiter: Limiter,
    /// Held while the keys are read and put in place: what was read earlier must not replace what was read later.
    reloading: Arc<Mutex<()>>,
    pub(super) audit: AuditLog,
}

/// A token that was made.
#[derive(Debug)]
pub(super) struct IssuedToken {
    pub(super) token: String,
    pub(super) lifetime_seconds: i64,
}

impl IdentityService {
    /// A service on this store, which knows the keys in it, and keeps callers to what `limiter` lets them use.
    pub async fn open(
        settings: Arc<AuthSettings>,
        store: IdentityStore,
        limiter: Limiter,
        http: HttpClient,
        clock: Clock,
    ) -> Result<Self, Error> {
        let tokens = TokenVerifier::new(settings.clone(), http, clock.clone());
        let audit = AuditLog::new(store.clone(), clock.clone());
        let authenticator = Authenticator { keys: KeyRing::default(), tokens, clock };
        let this = Self { settings, authenticator, store, limiter, reloading: Arc::default(), audit };
        if this.settings.enabled {
            this.add_bootstrap_key().await?;
            this.reload().await?;
        }
        Ok(this)
    }

    /// Who keeps callers to what they may use.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Whether callers are told apart.
    pub(super) fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    /// Whose key or token this is.
    pub(super) async fn recognise(&self, credential: &str) -> Result<Caller, Unrecognised> {
        self.authenticator.recognise(credential, &self.settings).await
    }

    /// Whose key this is.
    pub(super) fn of_key(&self, key: &str) -> Result<Caller, Unrecognised> {
        self.authenticator.of_key(key)
    }

    /// Whose ticket this is.
    pub(super) async fn of_ticket(&self, ticket: &str) -> Result<Caller, Unrecognised> {
        self.authenticator.of_ticket(ticket, &self.settings).await
    }

    /// Cancelled once the key is revoked that the caller came with, or the token's that he came with.
    pub(super) fn revocation_of(&self, caller: &Caller) -> Option<CancellationToken> {
        let id = caller.identity()?.key_id.as_deref()?;
        Some(self.authenticator.keys.by_id(id).map_or_else(cancelled, |key| key.revoked.clone()))
    }

    /// Writes down what waits to be: the refusals of the last second, and when keys were used last.
    pub async fn close(&self) {
        self.audit.flush().await;
        self.note_uses(0).await;
    }

    /// All keys, newest first.
    pub(super) async fn keys(&self) -> Result<Vec<ApiKeyRecord>, Error> {
        self.check_enabled()?;
        let mut keys = self.store.keys().await?;
        keys.sort_by(|one, other| (other.created_ms, &other.id).cmp(&(one.created_ms, &one.id)));
        Ok(keys)
    }

    /// Makes a key; gives its text, which nobody can tell again, and what is stored of it. Nobody makes one that may more than they.
    pub(super) async fn create_key(&self, draft: KeyDraft, by: &Caller) -> Result<(String, ApiKeyRecord), Error> {
        self.check_enabled()?;
        check_within(&draft, by)?;
        let (key, now) = (NewApiKey::generate()?, self.authenticator.clock.now_ms());
        let record = draft.record(&key, now, by.user().map(ToString::to_string));
        self.store.insert_key(&record).await?;
        self.reload().await?;
        Ok((key.text.expose().to_owned(), record))
    }

    /// Ends a key, and the tokens that were made from it.
    pub(super) async fn revoke_key(&self, id: &str) -> Result<ApiKeyRecord, Error> {
        self.check_enabled()?;
        let missing = || Error::not_found("There is no such key, or it is revoked already");
        let key = self.store.keys().await?.into_iter().find(|key| key.id == id).ok_or_else(missing)?;
        let is_revoked = self.store.revoke_key(id, self.authenticator.clock.now_ms()).await?;
        self.reload().await?;
        if is_revoked { Ok(key) } else { Err(missing()) }
    }

    /// A token that stands for `caller` for some time, and may no more than `scopes`, if there are any. Only a key makes one: else who
    /// has a token for once could have new ones for good.
    pub(super) fn issue_token(
        &self,
        caller: &Caller,
        scopes: Option<Vec<String>>,
        lifetime: Option<Duration>,
    ) -> Result<IssuedToken, Error> {
        if caller.identity().is_some_and(|identity| !identity.by_key) {
            return Err(Error::new(ErrorKind::Forbidden, "A token is made from an API key, not from another token"));
        }
        self.issue(caller, TokenKind::Bearer, scopes, lifetime)
    }

    /// A token for the query of a stream.
    pub(super) fn issue_ticket(&self, caller: &Caller) -> Result<IssuedToken, Error> {
        self.issue(caller, TokenKind::Ticket, None, Some(TICKET_LIFETIME))
    }

    fn issue(
        &self,
        caller: &Caller,
        kind: TokenKind,
        scopes: Option<Vec<String>>,
        lifetime: Option<Duration>,
    ) -> Result<IssuedToken, Error> {
        let identity = caller.identity().ok_or_else(disabled)?;
        let lifetime = lifetime.map_or(self.settings.token_lifetime, |asked| asked.min(self.settings.token_lifetime));
        let lifetime_seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let grants = identity.grants.within(&scopes.as_deref().map_or(Ok(identity.grants.clone()), parse_scopes)?);
        let claims = TokenClaims {
            user: Some(identity.user.to_string()),
            role: Some(identity.role.as_str().to_owned()),
            scopes: Some(grants.scopes()),
            key_id: identity.key_id.clone(),
            expires: self.authenticator.clock.now_ms() / 1000 + lifetime_seconds,
            tenant: identity.tenant.clone(),
            kind,
        };
        let (token, _) = self.authenticator.tokens.issue(&claims);
        Ok(IssuedToken { token, lifetime_seconds })
    }

    /// Whose use is to be told: the caller's own, or that of a key.
    pub(super) fn counted_caller(&self, caller: Caller, key: Option<&str>) -> Result<Caller, Error> {
        let own = caller.identity().and_then(|identity| identity.key_id.as_deref());
        let Some(key) = key.filter(|key| own != Some(key)) else { return Ok(caller) };
        if !caller.may(Permission::Keys) {
            let text = "key_id: Input should be the caller's own key or left out; another one needs the scope keys";
            return Err(Error::new(ErrorKind::Forbidden, text));
        }
        let known = self.authenticator.keys.by_id(key).map(|known| known.caller.clone());
        known.ok_or_else(|| Error::not_found("There is no such key, or it is revoked"))
    }

    /// Starts what goes on beside the requests where callers are told apart.
    pub fn start(&self) -> Vec<BackgroundTask> {
        if !self.settings.enabled {
            return Vec::new();
        }
        let (keys, audit) = (self.clone(), self.audit.clone());
        let mut tasks: Vec<_> = self.store.start().into_iter().collect();
        tasks.push(self.limiter.start());
        tasks.push(BackgroundTask::spawn("keys", move || keys.clone().follow_keys()));
        tasks.push(BackgroundTask::spawn("audit", move || audit.clone().write_refusals()));
        tasks
    }

    /// Keeps the keys as they are in the store, whoever changes them, and notes there when they were used. Never ends.
    async fn follow_keys(self) {
        let (mut revision, mut noted_ms) = (None, 0);
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        for poll in 1_u32.. {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.store.keys_changed() => {}
            }
            if let Err(error) = self.follow_once(&mut revision).await {
                tracing::debug!(%error, "the keys can't be looked at now");
            }
            if poll % POLLS_PER_USE_NOTE == 0 {
                noted_ms = self.note_uses(noted_ms).await;
            }
        }
    }

    async fn follow_once(&self, revision: &mut Option<KeysRevision>) -> Result<(), Error> {
        let now = self.store.keys_revision().await?;
        if *revision != Some(now) {
            self.reload().await?;
            *revision = Some(now);
        }
        Ok(())
    }

    async fn note_uses(&self, since_ms: i64) -> i64 {
        let uses = self.authenticator.keys.used_since(since_ms);
        let Some(latest) = uses.iter().map(|(_, used)| *used).max() else { return since_ms };
        match self.store.touch_keys(&uses).await {
            Ok(()) => latest,
            Err(error) => {
                tracing::debug!(%error, "when keys were used can't be noted now");
                since_ms
            }
        }
    }

    async fn reload(&self) -> Result<(), Error> {
        let _turn = self.reloading.lock().await;
        self.authenticator.keys.replace(&self.store.keys().await?);
        Ok(())
    }

    /// The first administrator's key. Once it was revoked it stays so.
    async fn add_bootstrap_key(&self) -> Result<(), Error> {
        let Some(key) = &self.settings.bootstrap_key else { return Ok(()) };
        let key = NewApiKey { prefix: BOOTSTRAP.to_owned(), ..NewApiKey::of(key.expose()) };
        let (name, role) = (BOOTSTRAP.to_owned(), AccessRole::Admin);
        let draft = KeyDraft { name, role, scopes: None, owner: None, tenant: None, days: None };
        let record = draft.record(&key, self.authenticator.clock.now_ms(), None);
        match self.store.insert_key(&record).await {
            Ok(_) => Ok(()),
            // The keys that were there last are known all the same.
            Err(error) if matches!(error.kind(), ErrorKind::NotConfigured | ErrorKind::Busy) => {
                tracing::warn!(%error, "AUTH_BOOTSTRAP_KEY is not stored; it is tried at the next start");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn check_enabled(&self) -> Result<(), Error> {
        if self.settings.enabled { Ok(()) } else { Err(disabled()) }
    }
}

/// Of a key that is not there any more.
fn cancelled() -> CancellationToken {
    let revoked = CancellationToken::new();
    revoked.cancel();
    revoked
}

fn disabled() -> Error {
    Error::new(ErrorKind::NotConfigured, "Authentication is off (AUTH_ENABLED), so there are neither keys nor tokens")
}

fn parse_scopes(scopes: &[String]) -> Result<Grants, Error> {
    Grants::parse(scopes).map_err(|expected| Error::new(ErrorKind::BadRequest, format!("scopes: {expected}")))
}

fn check_within(draft: &KeyDraft, by: &Caller) -> Result<(), Error> {
    let Some(own) = by.identity().map(|identity| &identity.grants) else { return Ok(()) };
    let role = draft.role.grants();
    let asked =
        draft.scopes.as_deref().map(parse_scopes).transpose()?.map_or_else(|| role.clone(), |it| role.within(&it));
    if asked.within(own) == asked {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Forbidden,
        "A key may not do more than whoever makes it: choose a lower role, or fewer scopes",
    ))
}
