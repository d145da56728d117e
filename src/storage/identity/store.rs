use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Mutex;

use super::embedded::EmbeddedIdentity;
use super::postgres;
use super::record::{ApiKeyRecord, KeysRevision};
use crate::kernel::{Clock, Error, ErrorKind};
use crate::storage::failover::{Failover, Failure, try_remote};
use crate::storage::postgres::{Postgres, PostgresChannel, PostgresConnection};

/// API keys and the audit log.
#[derive(Clone, Debug)]
pub struct IdentityStore {
    pub(in crate::storage) embedded: EmbeddedIdentity,
    pub(in crate::storage) postgres: Option<Failover<Postgres>>,
    pub(in crate::storage) clock: Clock,
    /// Keys are copied by turns, so that no older copy takes the place of a newer one.
    copying: Arc<Mutex<()>>,
    /// Told when keys may have changed.
    pub(in crate::storage) changed: PostgresChannel,
    /// Whether the embedded database has no audit record that is to be moved to Postgres; not known at the start.
    pub(super) is_moved: Arc<AtomicBool>,
}

impl IdentityStore {
    pub(in crate::storage) fn new(
        embedded: EmbeddedIdentity,
        postgres: Option<Failover<Postgres>>,
        clock: Clock,
    ) -> Self {
        let (copying, changed, is_moved) = (Arc::default(), PostgresChannel::new(postgres::CHANNEL), Arc::default());
        Self { embedded, postgres, clock, copying, changed, is_moved }
    }

    /// All keys, those that are revoked or have expired among them, oldest first. While Postgres is away: as this server saw them last.
    pub async fn keys(&self) -> Result<Vec<ApiKeyRecord>, Error> {
        if self.postgres.is_none() {
            return self.embedded.keys().await;
        }
        let _turn = self.copying.lock().await;
        let own = self.embedded.own_keys().await?;
        match try_remote(self.postgres.as_ref(), |connection| postgres::read(connection, &own)).await? {
            None => self.embedded.keys().await,
            Some((number, keys)) => {
                if let Err(error) = self.embedded.copy(number, &keys).await {
                    tracing::warn!(%error, "without Postgres, this server would go by API keys as they were before");
                }
                Ok(keys)
            }
        }
    }

    /// Which state [`IdentityStore::keys`] would give: if it is not the one of before, they have to be read again. A trivial query.
    pub async fn keys_revision(&self) -> Result<KeysRevision, Error> {
        match try_remote(self.postgres.as_ref(), postgres::revision).await? {
            Some(revision) => Ok(revision),
            None => self.embedded.revision().await,
        }
    }

    /// Waits until keys may have changed. That another process has changed those of the embedded database is not noticed: whoever waits
    /// has to ask for their revision from time to time.
    pub async fn keys_changed(&self) {
        self.changed.changed().await;
    }

    /// Keeps a key, and says so; false where there is one of this digest already, be it revoked.
    pub async fn insert_key(&self, key: &ApiKeyRecord) -> Result<bool, Error> {
        let inserted = match &self.postgres {
            None => self.embedded.insert(key).await?,
            Some(failover) => in_postgres(failover, |connection| postgres::insert(connection, key)).await?,
        };
        self.note_change().await;
        Ok(inserted)
    }

    /// Revokes a key, and says so; false where there is no key of this id that is not revoked already.
    pub async fn revoke_key(&self, id: &str, at_ms: i64) -> Result<bool, Error> {
        // No id has one, and Postgres takes none.
        if id.contains('\0') {
            return Ok(false);
        }
        let revoked = match &self.postgres {
            None => self.embedded.revoke(id, at_ms).await?,
            Some(failover) => in_postgres(failover, |connection| postgres::revoke(connection, id, at_ms)).await?,
        };
        self.note_change().await;
        Ok(revoked)
    }

    /// Notes when keys, by their ids, were used last. An earlier time than the one that is known changes nothing, so this can be done
    /// again.
    pub async fn touch_keys(&self, uses: &[(String, i64)]) -> Result<(), Error> {
        match &self.postgres {
            None => self.embedded.touch(uses).await,
            Some(failover) => in_postgres(failover, |connection| postgres::touch(connection, uses)).await,
        }
    }

    /// The change is made, so what this server knows of it is no condition.
    async fn note_change(&self) {
        if self.postgres.is_some()
            && let Err(error) = self.keys().await
        {
            tracing::warn!(%error, "API keys were changed, and could not be read again");
        }
        self.changed.notify();
    }
}

/// What Postgres says, which alone decides.
async fn in_postgres<T>(
    failover: &Failover<Postgres>,
    operation: impl AsyncFnOnce(PostgresConnection) -> Result<T, Failure>,
) -> Result<T, Error> {
    let away =
        || Error::new(ErrorKind::NotConfigured, "Postgres is away, where API keys are kept; please try again later");
    try_remote(Some(failover), operation).await?.ok_or_else(away)
}
