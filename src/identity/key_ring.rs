use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::kernel::{AccessRole, Caller, Grants, Identity, UserId};
use crate::storage::ApiKeyRecord;

/// The keys that are in use, so that no request has to ask the store for its own. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyRing(Arc<RwLock<Arc<ActiveKeys>>>);

#[derive(Debug, Default)]
struct ActiveKeys {
    by_hash: HashMap<[u8; 32], Arc<ActiveKey>>,
    by_id: HashMap<String, Arc<ActiveKey>>,
}

/// A key that has not been revoked.
#[derive(Debug)]
pub(super) struct ActiveKey {
    pub(super) caller: Caller,
    /// Milliseconds since 1970.
    pub(super) expires_ms: Option<i64>,
    /// Milliseconds since 1970; 0 if it was not used since it was loaded.
    used_ms: AtomicI64,
    /// Cancelled once it is revoked.
    pub(super) revoked: CancellationToken,
}

impl ActiveKey {
    /// What a key may do that is stored, and what is known of it `before`; the error says what of it this version does not know.
    fn new(record: &ApiKeyRecord, before: Option<&Self>) -> Result<Self, String> {
        let role = AccessRole::parse(&record.role)?;
        let scopes = record.scopes.as_deref().map(Grants::parse).transpose()?;
        let grants = scopes.map_or_else(|| role.grants(), |scopes| role.grants().within(&scopes));
        let owner = record.owner.as_deref().map(UserId::parse).transpose()?;
        let (user, key_id) = (owner.map_or_else(|| UserId::of_key(&record.id), Ok)?, Some(record.id.clone()));
        let caller =
            Caller::known(Identity { user, role, grants, key_id, by_key: true, tenant: record.tenant.clone() });
        let used_ms = before.map(|key| key.used_ms.load(Ordering::Relaxed)).unwrap_or_default().into();
        let revoked = before.map(|key| key.revoked.clone()).unwrap_or_default();
        Ok(Self { caller, expires_ms: record.expires_ms, used_ms, revoked })
    }

    /// Whether it is over.
    pub(super) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_ms.is_some_and(|expires| expires <= now_ms)
    }

    /// It is used.
    pub(super) fn touch(&self, now_ms: i64) {
        self.used_ms.fetch_max(now_ms, Ordering::Relaxed);
    }
}

impl KeyRing {
    /// Puts these in the place of those that were known. One that can't be read is left out and named.
    pub(super) fn replace(&self, records: &[ApiKeyRecord]) {
        let (before, mut next) = (Arc::clone(&self.0.read()), ActiveKeys::default());
        for record in records.iter().filter(|record| record.revoked_ms.is_none()) {
            match ActiveKey::new(record, before.by_id.get(&record.id).map(AsRef::as_ref)) {
                Ok(key) => {
                    let key = Arc::new(key);
                    next.by_hash.insert(record.hash, Arc::clone(&key));
                    next.by_id.insert(record.id.clone(), key);
                }
                Err(expected) => tracing::warn!(key = record.id, "a key is left out: {expected}"),
            }
        }
        let next = Arc::new(next);
        *self.0.write() = Arc::clone(&next);
        let ended = before.by_id.iter().filter(|(id, _)| !next.by_id.contains_key(*id));
        ended.for_each(|(_, key)| key.revoked.cancel());
    }

    /// The key with this digest.
    pub(super) fn by_hash(&self, hash: &[u8; 32]) -> Option<Arc<ActiveKey>> {
        self.0.read().by_hash.get(hash).cloned()
    }

    /// The key with this id.
    pub(super) fn by_id(&self, id: &str) -> Option<Arc<ActiveKey>> {
        self.0.read().by_id.get(id).cloned()
    }

    /// Which keys were used after `since_ms`, and when last.
    pub(super) fn used_since(&self, since_ms: i64) -> Vec<(String, i64)> {
        let known = Arc::clone(&self.0.read());
        let used = known.by_id.iter().map(|(id, key)| (id.clone(), key.used_ms.load(Ordering::Relaxed)));
        used.filter(|(_, used)| *used > since_ms).collect()
    }
}
