use super::audit_record::AuditRecord;
use super::embedded::EmbeddedIdentity;
use super::record::ApiKeyRecord;
use super::{postgres, postgres_audit};
use crate::kernel::{Error, ErrorKind};
use crate::settings::StorageSettings;
use crate::storage::failover::Failure;
use crate::storage::postgres::{PostgresAddress, PostgresConnection};
use crate::storage::sqlite::Database;

/// API keys for a sub-command, which may run while servers do, and notices none of them.
#[derive(Debug)]
pub struct StandaloneKeys(KeyPlace);

/// Where they are kept.
#[derive(Debug)]
enum KeyPlace {
    Embedded(EmbeddedIdentity),
    Postgres(PostgresConnection),
}

impl StandaloneKeys {
    /// Opens the store that a server with these settings goes by.
    pub async fn open(settings: &StorageSettings) -> Result<Self, Error> {
        if let Some(dsn) = &settings.postgres_dsn {
            let connection = PostgresAddress::new(dsn)?.connect_beside().await.map_err(in_words)?;
            return Ok(Self(KeyPlace::Postgres(connection)));
        }
        let embedded = EmbeddedIdentity { database: Database::open_beside(&settings.data_dir).await? };
        if embedded.revision().await?.in_postgres {
            let text = "the API keys of this DATA_DIR are kept in Postgres: set POSTGRES_DSN as the server has it, or, \
                if Postgres is not used any more, start the server once without it";
            embedded.database.close().await;
            return Err(Error::new(ErrorKind::NotConfigured, text));
        }
        Ok(Self(KeyPlace::Embedded(embedded)))
    }

    /// As [`super::IdentityStore::keys`].
    pub async fn keys(&self) -> Result<Vec<ApiKeyRecord>, Error> {
        match &self.0 {
            KeyPlace::Embedded(embedded) => embedded.keys().await,
            KeyPlace::Postgres(connection) => {
                postgres::read(connection.clone(), &[]).await.map(|(_, keys)| keys).map_err(in_words)
            }
        }
    }

    /// As [`super::IdentityStore::insert_key`].
    pub async fn insert(&self, key: &ApiKeyRecord) -> Result<bool, Error> {
        match &self.0 {
            KeyPlace::Embedded(embedded) => embedded.insert(key).await,
            KeyPlace::Postgres(connection) => postgres::insert(connection.clone(), key).await.map_err(in_words),
        }
    }

    /// As [`super::IdentityStore::revoke_key`].
    pub async fn revoke(&self, id: &str, at_ms: i64) -> Result<bool, Error> {
        match &self.0 {
            KeyPlace::Embedded(embedded) => embedded.revoke(id, at_ms).await,
            KeyPlace::Postgres(connection) => postgres::revoke(connection.clone(), id, at_ms).await.map_err(in_words),
        }
    }

    /// As [`super::IdentityStore::append_audit`].
    pub async fn append_audit(&self, record: &AuditRecord) -> Result<(), Error> {
        match &self.0 {
            KeyPlace::Embedded(embedded) => embedded.append(std::slice::from_ref(record)).await,
            KeyPlace::Postgres(connection) => {
                postgres_audit::append(connection.clone(), &[record]).await.map_err(in_words)
            }
        }
    }

    /// Closes the store.
    pub async fn close(self) {
        match self.0 {
            KeyPlace::Embedded(embedded) => embedded.database.close().await,
            KeyPlace::Postgres(connection) => connection.pool.close().await,
        }
    }
}

fn in_words(failure: Failure) -> Error {
    match failure {
        Failure::Rejected(error) => error,
        failure => Error::internal_public("Postgres can't be used", failure.to_string()),
    }
}
