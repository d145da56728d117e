//! API keys of a sub-command, which works beside a server or without one.

use futures_util::future::join_all;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;

use super::identity::{key, told};
use super::{new_database, settings};
use crate::kernel::Clock;
use crate::settings::StorageSettings;
use crate::storage::{StandaloneKeys, Stores};

async fn refusal(settings: &StorageSettings) -> String {
    StandaloneKeys::open(settings).await.unwrap_err().to_string()
}

/// Says something to the embedded database behind everybody's back.
async fn execute(folder: &TempDir, sql: &'static str) {
    let url = format!("sqlite:{}", folder.path().join("studio.db").display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_server_sees_what_another_process_does_with_keys_of_its_folder() {
    let (folder, one, other) = (TempDir::new().unwrap(), key(1), key(2));
    let settings = settings(&folder, None, None);
    let stores = Stores::open(&settings, Clock::system()).await.unwrap();
    stores.identity.insert_key(&one).await.unwrap();
    let before = stores.identity.keys_revision().await.unwrap();

    let beside = StandaloneKeys::open(&settings).await.unwrap();
    assert_eq!(told(&beside.keys().await.unwrap()), [(1, None)]);
    assert!(beside.insert(&other).await.unwrap() && !beside.insert(&key(2)).await.unwrap());
    assert!(beside.revoke(&one.id, 9).await.unwrap() && !beside.revoke(&one.id, 12).await.unwrap());
    assert_ne!(stores.identity.keys_revision().await.unwrap(), before);
    assert_eq!(told(&stores.identity.keys().await.unwrap()), [(1, Some(9)), (2, None)]);
    stores.identity.revoke_key(&other.id, 15).await.unwrap();
    assert_eq!(told(&beside.keys().await.unwrap()), [(1, Some(9)), (2, Some(15))]);
    beside.close().await;
    stores.close().await;
}

#[tokio::test]
async fn without_a_server_the_folder_is_made_by_whoever_is_first() {
    let parent = TempDir::new().unwrap();
    let settings = StorageSettings { data_dir: parent.path().join("data"), ..settings(&parent, None, None) };
    let insert = async |number| {
        let keys = StandaloneKeys::open(&settings).await.unwrap();
        assert!(keys.insert(&key(number)).await.unwrap());
        keys.close().await;
    };
    join_all((0..8).map(insert)).await;
    let stores = Stores::open(&settings, Clock::system()).await.unwrap();
    assert_eq!(stores.identity.keys().await.unwrap().len(), 8);
    stores.close().await;
}

#[tokio::test]
async fn a_schema_that_is_not_of_this_version_is_told_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder, None, None);
    let stores = Stores::open(&settings, Clock::system()).await.unwrap();
    // As if the server that runs were an earlier version.
    execute(&folder, "DELETE FROM _sqlx_migrations WHERE version = 10").await;
    let text = refusal(&settings).await;
    assert!(text.contains("older schema (its last migration is 9)") && text.contains("a server is running"), "{text}");
    stores.close().await;
    let future = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                  VALUES (99, 'future', TRUE, x'00', 0)";
    execute(&folder, future).await;
    let text = refusal(&settings).await;
    assert!(text.contains("newer schema (it has migration 99)"), "{text}");
}

#[tokio::test]
async fn keys_that_are_a_copy_of_those_in_postgres_are_not_changed_here() {
    let Some(dsn) = new_database().await else { return };
    let (folder, one) = (TempDir::new().unwrap(), key(1));
    let (with, without) = (settings(&folder, None, Some(dsn)), settings(&folder, None, None));
    let stores = Stores::open(&with, Clock::system()).await.unwrap();
    stores.identity.insert_key(&one).await.unwrap();
    let text = refusal(&without).await;
    assert!(text.contains("set POSTGRES_DSN as the server has it"), "{text}");
    stores.close().await;
    refusal(&without).await;

    let beside = StandaloneKeys::open(&with).await.unwrap();
    assert!(beside.insert(&key(2)).await.unwrap() && beside.revoke(&one.id, 9).await.unwrap());
    beside.close().await;
    let stores = Stores::open(&with, Clock::system()).await.unwrap();
    assert_eq!(told(&stores.identity.keys().await.unwrap()), [(1, Some(9)), (2, None)]);
    stores.close().await;

    Stores::open(&without, Clock::system()).await.unwrap().close().await;
    let own = StandaloneKeys::open(&without).await.unwrap();
    assert_eq!(told(&own.keys().await.unwrap()), [(1, Some(9)), (2, None)], "they are its own from now on");
    own.close().await;
}

#[tokio::test]
async fn an_empty_postgres_gets_its_schema_and_one_of_another_version_is_left_alone() {
    let Some(dsn) = new_database().await else { return };
    let folder = TempDir::new().unwrap();
    let settings = settings(&folder, None, Some(dsn.clone()));
    let keys = StandaloneKeys::open(&settings).await.unwrap();
    assert!(keys.insert(&key(1)).await.unwrap());
    assert_eq!(told(&keys.keys().await.unwrap()), [(1, None)]);
    keys.close().await;
    let mut connection = PgConnection::connect(dsn.expose()).await.unwrap();
    let past = "DELETE FROM _sqlx_migrations WHERE version = 7";
    let future = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                  VALUES (99, 'future', TRUE, '', 0)";
    for (sql, expected) in
        [(past, "older schema (its last migration is 6)"), (future, "newer schema (it has migration 99)")]
    {
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        let text = refusal(&settings).await;
        assert!(text.contains(expected), "{text}");
    }
    let nowhere = super::settings(&folder, None, Some(crate::kernel::Secret::new("postgres://127.0.0.1:1/x")));
    let text = refusal(&nowhere).await;
    assert!(text.contains("Postgres can't be used"), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "with Postgres the folder is left alone");
}
