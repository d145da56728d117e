use super::record::{ApiKeyRecord, KeysRevision};
use super::rows::{REVOKE, SELECT_KEYS, json, keys};
use crate::storage::failover::Failure;
use crate::storage::postgres::{BACKGROUND_TIMEOUT, PostgresConnection, REQUEST_TIMEOUT, call};

/// The channel on which Postgres tells of changes.
pub(super) const CHANNEL: &str = "orchestrator_keys";

/// In the order of their ids, so that two who take over the same keys can't wait for each other.
macro_rules! insert {
    ($conflict:literal) => {
        concat!(
            "INSERT INTO api_key (id, name, prefix, hash, role, scopes, owner, tenant, created_at, created_by, expires_at,
                    last_used_at, revoked_at)
                SELECT id, name, prefix, decode(hash, 'hex'), role, scopes, owner, tenant, created_at, created_by, expires_at,
                    last_used_at, revoked_at
                FROM json_to_recordset($1::json) AS given (id text, name text, prefix text, hash text, role text, scopes text,
                    owner text, tenant text, created_at bigint, created_by text, expires_at bigint, last_used_at bigint,
                    revoked_at bigint)
                ORDER BY id ON CONFLICT (hash) DO ",
            $conflict
        )
    };
}

const INSERT: &str = insert!("NOTHING");
/// A key that was revoked somewhere is revoked.
const ADOPT: &str = insert!(
    "UPDATE SET revoked_at = excluded.revoked_at WHERE api_key.revoked_at IS NULL AND excluded.revoked_at IS NOT NULL"
);

/// Only forward in time. The rows are locked in one order, so that two servers can't wait for each other.
const TOUCH: &str = "UPDATE api_key SET last_used_at = used.at
    FROM (SELECT api_key.id, given.at FROM unnest($1::text[], $2::bigint[]) AS given (id, at) JOIN api_key ON api_key.id = given.id
        ORDER BY api_key.id FOR UPDATE OF api_key) AS used
    WHERE api_key.id = used.id AND COALESCE(last_used_at < used.at, TRUE)";

/// All keys and their revision, once `own`, which a server had before it used Postgres, are among them.
pub(super) async fn read(
    connection: PostgresConnection,
    own: &[ApiKeyRecord],
) -> Result<(i64, Vec<ApiKeyRecord>), Failure> {
    let reading = async {
        if !own.is_empty() {
            sqlx::query(ADOPT).bind(json(own)?).execute(&connection.pool).await?;
        }
        // First: what changes in between is read once more, rather than overlooked.
        let number = select_revision(&connection).await?;
        let rows = sqlx::query_as(SELECT_KEYS).fetch_all(&connection.pool).await?;
        Ok((number, keys(rows)))
    };
    call(BACKGROUND_TIMEOUT, reading).await
}

pub(super) async fn revision(connection: PostgresConnection) -> Result<KeysRevision, Failure> {
    let number = call(REQUEST_TIMEOUT, select_revision(&connection)).await?;
    Ok(KeysRevision { number, in_postgres: true })
}

async fn select_revision(connection: &PostgresConnection) -> Result<i64, sqlx::Error> {
    let selecting = sqlx::query_scalar("SELECT revision FROM key_revision WHERE singleton = 1");
    selecting.fetch_one(&connection.pool).await
}

/// Keeps a key, unless it is there already; says whether it was not.
pub(super) async fn insert(connection: PostgresConnection, key: &ApiKeyRecord) -> Result<bool, Failure> {
    let inserting = async {
        let rows = json(std::slice::from_ref(key))?;
        sqlx::query(INSERT).bind(rows).execute(&connection.pool).await
    };
    Ok(call(REQUEST_TIMEOUT, inserting).await?.rows_affected() > 0)
}

/// Revokes a key; says whether there is one that was not revoked already.
pub(super) async fn revoke(connection: PostgresConnection, id: &str, at_ms: i64) -> Result<bool, Failure> {
    let revoking = sqlx::query(REVOKE).bind(id).bind(at_ms).execute(&connection.pool);
    Ok(call(REQUEST_TIMEOUT, revoking).await?.rows_affected() > 0)
}

/// Notes when keys were used last.
pub(super) async fn touch(connection: PostgresConnection, uses: &[(String, i64)]) -> Result<(), Failure> {
    let (ids, times): (Vec<&str>, Vec<i64>) = uses.iter().map(|(id, at_ms)| (id.as_str(), *at_ms)).unzip();
    let touching = sqlx::query(TOUCH).bind(ids).bind(times).execute(&connection.pool);
    call(BACKGROUND_TIMEOUT, touching).await.map(|_| ())
}
