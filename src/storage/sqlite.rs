use std::error::Error as StdError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqlitePool, Transaction};
use tokio::time::{Instant, sleep};

use super::migrate::{self, MigrationReport, SchemaState};
use super::pool::PoolStatus;
use crate::kernel::{Error, new_id};

/// The file in `DATA_DIR`.
const FILE: &str = "studio.db";
/// What it is called in messages.
const NAME: &str = "the embedded database";
/// Locks the database at once, so that a transaction can't fail half-way as busy.
const BEGIN: &str = "BEGIN IMMEDIATE";
/// How many reads run at once.
const READERS: u32 = 4;
/// What each of them keeps of the file, in KiB as SQLite wants it: below zero. The system keeps it too, and they are read by turns.
const READER_CACHE: &str = "-512";
/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a sub-command waits for a server that is just starting.
const OTHERS_MIGRATION_TIMEOUT: Duration = Duration::from_secs(2);

/// The embedded database. Writes go through one connection, so they queue here instead of failing as busy; reads have
/// their own and see the last commit (WAL).
#[derive(Clone, Debug)]
pub(crate) struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Held while this server uses the folder: a second one would take its running executions for interrupted ones. A sub-command that
    /// works beside a server has none.
    lock: Option<Arc<File>>,
    /// What was done to its schema when it was opened.
    pub(crate) migrated: MigrationReport,
}

impl Database {
    /// The database of a folder that is this server's alone, made and brought up to date.
    pub(super) async fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        create_private(folder, &path).map_err(|error| unusable(&path, error.into()))?;
        let lock = lock(folder)?;
        let writer = connect(1, options(&path), &path).await?;
        let migrated = migrate_on(&writer, &path).await?;
        Ok(Self { readers: readers(&path).await?, writer, lock: Some(Arc::new(lock)), migrated })
    }

    /// The database of a folder that a server may be using. It is brought up to date only if none does.
    pub(super) async fn open_beside(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        create_private(folder, &path).map_err(|error| unusable(&path, error.into()))?;
        let writer = connect_beside(&path).await?;
        let migrated = migrate_beside(&writer, folder, &path).await?;
        Ok(Self { readers: readers(&path).await?, writer, lock: None, migrated })
    }

    /// Whether [`Database::open`] could use the folder, but for another server that does. Leaves nothing behind.
    pub(super) async fn check(folder: &Path) -> Result<(), Error> {
        let path = folder.join(FILE);
        check_private(folder, &path).map_err(|error| unusable(&path, error.into()))?;
        if !path.exists() {
            return Ok(());
        }
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(ACQUIRE_TIMEOUT);
        let mut connection = options.connect().await.map_err(|error| unusable(&path, error.into()))?;
        let state = migrate::sqlite_state(&mut connection).await.map_err(|error| unusable(&path, error.into()))?;
        drop(connection.close().await);
        match state {
            SchemaState::Newer(version) => Err(unusable(&path, migrate::newer_schema(NAME, version).into())),
            _ => Ok(()),
        }
    }

    /// A connection for reading.
    pub(super) fn read(&self) -> &SqlitePool {
        &self.readers
    }

    /// The connection for a single statement that writes.
    pub(super) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// A transaction for writing; the database is locked from its start, so it can't fail half-way as busy.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        match self.writer.begin_with(BEGIN).await {
            // SQLite itself has ended an earlier one, for want of room, which the driver does not notice: it needs a new connection.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                self.writer.begin_with(BEGIN).await
            }
            begun => begun,
        }
    }

    /// How its connections are used.
    pub(super) fn pools(&self) -> [PoolStatus; 2] {
        [PoolStatus::of("embedded_writer", &self.writer), PoolStatus::of("embedded_readers", &self.readers)]
    }

    /// The fact of this name.
    pub(super) async fn meta(&self, name: &str) -> Result<Option<String>, Error> {
        sqlx::query_scalar("SELECT value FROM meta WHERE name = ?1")
            .bind(name)
            .fetch_optional(&self.readers)
            .await
            .map_err(failed("could not read a fact"))
    }

    /// Sets a fact, in the place of what it was before, or removes it.
    pub(super) async fn set_meta(&self, name: &str, value: Option<&str>) -> Result<(), Error> {
        let setting = match value {
            Some(value) => {
                sqlx::query("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)").bind(name).bind(value)
            }
            None => sqlx::query("DELETE FROM meta WHERE name = ?1").bind(name),
        };
        setting.execute(&self.writer).await.map(|_| ()).map_err(failed("could not write a fact"))
    }

    /// The id of this installation, which outlives the process.
    pub(super) async fn installation(&self) -> Result<String, Error> {
        sqlx::query("INSERT OR IGNORE INTO meta (name, value) VALUES ('installation', ?1)")
            .bind(new_id())
            .execute(&self.writer)
            .await
            .map_err(failed("could not name this installation"))?;
        Ok(self.meta("installation").await?.unwrap_or_default())
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1 FROM conversation LIMIT 1")
            .fetch_optional(&self.readers)
            .await
            .map(|_| ())
            .map_err(failed("the embedded store does not answer"))
    }

    /// Writes the file anew without what was deleted or replaced, of which parts may be in it still.
    pub(super) async fn wipe_deleted(&self) -> Result<(), sqlx::Error> {
        let mut connection = self.writer.acquire().await?;
        // It makes the file anew in a temporary one, which is not to be kept in memory.
        sqlx::query("PRAGMA temp_store = FILE").execute(&mut *connection).await?;
        let vacuumed = sqlx::query("VACUUM").execute(&mut *connection).await;
        sqlx::query("PRAGMA temp_store = MEMORY").execute(&mut *connection).await?;
        vacuumed?;
        let checkpoint = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection);
        let (is_busy, _, _): (bool, i64, i64) = checkpoint.await?;
        if is_busy { Err(sqlx::Error::Protocol("the journal is in use".to_owned())) } else { Ok(()) }
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        if let Some(Err(error)) = self.lock.as_ref().map(|lock| lock.unlock()) {
            tracing::warn!(%error, "the data folder could not be released");
        }
    }
}

/// Turns a database's error into ours; `what` says what was being done.
pub(super) fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| Error::internal(what, error)
}

/// A count or a length as SQL has numbers; what is too large is the largest.
pub(super) fn int(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // Survives kill -9; a power cut may take the last moments, but never corrupts.
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        // What statements sort and keep aside needs no file.
        .pragma("temp_store", "memory")
        // Writing back to the file goes on less often, and less in all: the same pages change again and again.
        .pragma("wal_autocheckpoint", "4000")
        .busy_timeout(ACQUIRE_TIMEOUT)
}

async fn readers(path: &Path) -> Result<SqlitePool, Error> {
    connect(READERS, options(path).read_only(true).pragma("cache_size", READER_CACHE), path).await
}

async fn connect(size: u32, options: SqliteConnectOptions, path: &Path) -> Result<SqlitePool, Error> {
    pool_of(size).connect_with(options).await.map_err(|error| unusable(path, error.into()))
}

fn pool_of(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// A connection for writing, while others may be making the file: it is locked for a moment when it gets its journal, for which SQLite
/// itself does not wait.
async fn connect_beside(path: &Path) -> Result<SqlitePool, Error> {
    let until = Instant::now() + OTHERS_MIGRATION_TIMEOUT;
    loop {
        match pool_of(1).connect_with(options(path)).await {
            Err(error) if is_locked(&error) && Instant::now() < until => sleep(OTHERS_MIGRATION_TIMEOUT / 20).await,
            connected => return connected.map_err(|error| unusable(path, error.into())),
        }
    }
}

/// Whether another connection has the file locked (`SQLITE_BUSY`, whatever more its code says).
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

async fn migrate_on(writer: &SqlitePool, path: &Path) -> Result<MigrationReport, Error> {
    let mut connection = writer.acquire().await.map_err(|error| unusable(path, error.into()))?;
    migrate::sqlite(&mut connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => unusable(path, migrate::newer_schema(NAME, version).into()),
        error => unusable(path, error.into()),
    })
}

/// Brings the schema up to date under the lock of a server, or waits a moment for whoever has it to do so.
async fn migrate_beside(writer: &SqlitePool, folder: &Path, path: &Path) -> Result<MigrationReport, Error> {
    let failed = |error: sqlx::Error| unusable(path, error.into());
    let until = Instant::now() + OTHERS_MIGRATION_TIMEOUT;
    loop {
        let state = migrate::sqlite_state(&mut *writer.acquire().await.map_err(failed)?).await.map_err(failed)?;
        let found = match state {
            SchemaState::Current | SchemaState::Newer(_) => return migrate_on(writer, path).await,
            SchemaState::Older(version) => version,
            SchemaState::Empty => 0,
        };
        match lock(folder) {
            Ok(_lock) => return migrate_on(writer, path).await,
            Err(_) if Instant::now() < until => sleep(OTHERS_MIGRATION_TIMEOUT / 20).await,
            Err(_) => {
                let remedy =
                    "a server is running on it, so use the program of its version, or start it anew with this one";
                return Err(unusable(path, migrate::older_schema(NAME, found, remedy).into()));
            }
        }
    }
}

fn unusable(path: &Path, error: Box<dyn StdError + Send + Sync>) -> Error {
    Error::internal_public(format!("can't use {}", path.display()), error)
}

/// Folder and file are for the server's own user only: conversations are private.
fn create_private(folder: &Path, file: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(file).map(|_| ())
}

/// Whether [`create_private`] would succeed.
fn check_private(folder: &Path, file: &Path) -> std::io::Result<()> {
    // A file without a name, which is gone at once, in the folder or in the one that it would be made in.
    let there = folder.ancestors().find(|ancestor| ancestor.exists() && *ancestor != Path::new(""));
    tempfile::tempfile_in(there.unwrap_or(Path::new(".")))?;
    for file in [file, &folder.join("lock")] {
        if file.exists() {
            OpenOptions::new().append(true).open(file)?;
        }
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let shown = path.display();
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    let file = file.map_err(|error| Error::internal_public(format!("can't create {shown}"), error))?;
    let used = |error| Error::internal_public(format!("another server uses this DATA_DIR ({shown})"), error);
    file.try_lock().map_err(used)?;
    Ok(file)
}
