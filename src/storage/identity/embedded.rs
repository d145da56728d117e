use serde_json::Value;
use sqlx::{Sqlite, Transaction};

use super::record::{ApiKeyRecord, KeysRevision};
use super::rows::{REVOKE, SELECT_KEYS, json, keys};
use crate::kernel::Error;
use crate::storage::sqlite::{Database, failed};

const INSERT: &str = "INSERT INTO api_key (id, name, prefix, hash, role, scopes, owner, tenant, created_at, created_by,
        expires_at, last_used_at, revoked_at)
    SELECT value ->> 'id', value ->> 'name', value ->> 'prefix', unhex(value ->> 'hash'), value ->> 'role', value ->> 'scopes',
        value ->> 'owner', value ->> 'tenant', value ->> 'created_at', value ->> 'created_by', value ->> 'expires_at',
        value ->> 'last_used_at', value ->> 'revoked_at' FROM jsonb_each(?1) WHERE true
    ON CONFLICT (hash) DO NOTHING";

/// Only forward in time.
const TOUCH: &str = "UPDATE api_key SET last_used_at = given.value ->> 1 FROM jsonb_each(?1) AS given
    WHERE api_key.id = given.value ->> 0 AND COALESCE(+last_used_at < given.value ->> 1, TRUE)";

/// API keys and audit records in the embedded database.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedIdentity {
    pub(crate) database: Database,
}

impl EmbeddedIdentity {
    pub(super) async fn keys(&self) -> Result<Vec<ApiKeyRecord>, Error> {
        let rows = sqlx::query_as(SELECT_KEYS).fetch_all(self.database.read()).await;
        rows.map(keys).map_err(failed("could not read the API keys"))
    }

    pub(super) async fn revision(&self) -> Result<KeysRevision, Error> {
        let reading = sqlx::query_as("SELECT revision, is_copy FROM key_revision").fetch_one(self.database.read());
        let (number, in_postgres) = reading.await.map_err(failed("could not read the revision of the API keys"))?;
        Ok(KeysRevision { number, in_postgres })
    }

    /// Keeps a key, unless it is there already; says whether it was not.
    pub(super) async fn insert(&self, key: &ApiKeyRecord) -> Result<bool, Error> {
        let work = async {
            let rows = json(std::slice::from_ref(key))?;
            sqlx::query(INSERT).bind(rows).execute(self.database.writer()).await
        };
        work.await.map(|done| done.rows_affected() > 0).map_err(failed("could not store an API key"))
    }

    /// Revokes a key; says whether there is one that was not revoked already.
    pub(super) async fn revoke(&self, id: &str, at_ms: i64) -> Result<bool, Error> {
        let revoking = sqlx::query(REVOKE).bind(id).bind(at_ms).execute(self.database.writer()).await;
        revoking.map(|done| done.rows_affected() > 0).map_err(failed("could not revoke an API key"))
    }

    /// Notes when keys were used last.
    pub(super) async fn touch(&self, uses: &[(String, i64)]) -> Result<(), Error> {
        let uses: Vec<Value> =
            uses.iter().map(|(id, at_ms)| Value::from(vec![id.as_str().into(), Value::from(*at_ms)])).collect();
        let touching = sqlx::query(TOUCH).bind(Value::from(uses).to_string()).execute(self.database.writer()).await;
        touching.map(|_| ()).map_err(failed("could not note the use of API keys"))
    }

    /// The keys that are this database's own, and not a copy of those in Postgres.
    pub(super) async fn own_keys(&self) -> Result<Vec<ApiKeyRecord>, Error> {
        if self.revision().await?.in_postgres { Ok(Vec::new()) } else { self.keys().await }
    }

    /// Makes them the keys of this installation, which is not to use Postgres any more.
    pub(crate) async fn own(&self) -> Result<(), Error> {
        let owning =
            sqlx::query("UPDATE key_revision SET is_copy = FALSE WHERE is_copy").execute(self.database.writer());
        owning.await.map(|_| ()).map_err(failed("could not take over the API keys"))
    }

    /// Puts the keys of Postgres in the place of all that is here.
    pub(super) async fn copy(&self, number: i64, keys: &[ApiKeyRecord]) -> Result<(), Error> {
        let work = async {
            let mut tx = self.database.write().await?;
            replace(&mut tx, number, json(keys)?).await?;
            tx.commit().await
        };
        work.await.map_err(failed("could not copy the API keys"))
    }
}

async fn replace(tx: &mut Transaction<'_, Sqlite>, number: i64, rows: String) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM api_key").execute(&mut **tx).await?;
    sqlx::query(INSERT).bind(rows).execute(&mut **tx).await?;
    // What the triggers have counted meanwhile is no change of the keys.
    let setting = sqlx::query("UPDATE key_revision SET revision = ?1, is_copy = TRUE").bind(number);
    setting.execute(&mut **tx).await.map(|_| ())
}
