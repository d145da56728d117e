use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use parking_lot::Mutex;

use super::cache::{CacheStore, KnownKeys};
use super::config;
use super::conversation::{
    ConversationStore, DurableConversations, EmbeddedConversations, WindowCache, WindowTrust, keep_windows,
};
use super::embedded::{EmbeddedWrite, EmbeddedWriter};
use super::evaluation::EvaluationStore;
use super::execution::{EmbeddedExecutions, ExecutionStore, ExecutionWriter, keep_lease};
use super::failover::Failover;
use super::identity::{EmbeddedIdentity, IdentityStore};
use super::limit::LimitStore;
use super::migrate::MigrationReport;
use super::postgres::{Postgres, PostgresAddress, PostgresChannel, PostgresConnection, WorkClaim, listen};
use super::redis::{self, Redis};
use super::sqlite::Database;
use super::transcript::{EmbeddedTranscripts, TranscriptStore};
use super::write_queue::WriteQueue;
use crate::kernel::{BackgroundTask, Clock, Error};
use crate::settings::StorageSettings;

/// Bytes that may wait for a service: on disk, in the embedded database.
const MAX_OUTBOX_BYTES: i64 = 500_000_000;

/// How long deleting in Postgres may take before another server goes on with it.
const RETENTION_TIME: Duration = Duration::from_secs(600);

/// All stores. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Conversations and their summaries.
    pub conversations: ConversationStore,
    /// Cached answers.
    pub cache: CacheStore,
    /// Executions and their steps.
    pub executions: ExecutionStore,
    /// Conversations of the chat page, and its prompt profiles.
    pub transcripts: TranscriptStore,
    /// API keys and the audit log.
    pub identity: IdentityStore,
    /// What callers have used of their limits.
    pub limits: LimitStore,
    /// The last evaluation of routing.
    pub evaluations: EvaluationStore,
    /// Where Postgres tells of what was configured.
    pub(super) config_channel: PostgresChannel,
    pub(super) database: Database,
    writes: WriteQueue<EmbeddedWrite>,
    pub(super) redis: Option<Failover<Redis>>,
    pub(super) postgres: Option<Failover<Postgres>>,
    reconnecting: Arc<Mutex<Vec<BackgroundTask>>>,
}

impl Stores {
    /// Opens the embedded store under `DATA_DIR`, creating and migrating what is missing. Executions that an earlier
    /// process left running are marked as interrupted. Outside services are connected to, but not waited for.
    pub async fn open(settings: &StorageSettings, clock: Clock) -> Result<Self, Error> {
        let database = Database::open(&settings.data_dir).await?;
        let opened = Self::open_on(database.clone(), settings, clock).await;
        if opened.is_err() {
            database.close().await;
        }
        opened
    }

    async fn open_on(database: Database, settings: &StorageSettings, clock: Clock) -> Result<Self, Error> {
        let windows = WindowCache::default();
        let writer = EmbeddedWriter { database: database.clone(), clock: clock.clone(), windows: windows.clone() };
        let writes = WriteQueue::new(writer);
        let known = KnownKeys::read(&database).await?;
        let conversations =
            EmbeddedConversations { database: database.clone(), clock: clock.clone(), writes: writes.clone(), windows };
        let executions =
            EmbeddedExecutions { database: database.clone(), clock: clock.clone(), writes: writes.clone() };
        let transcripts = EmbeddedTranscripts { database: database.clone(), clock: clock.clone() };
        let identity = EmbeddedIdentity { database: database.clone() };
        let windows = WindowTrust::default();
        if settings.redis_url.is_none() {
            // What is said without Redis is given to it, should it be used again.
            database.set_meta(redis::RUN_ID, None).await?;
        }
        conversations.settle_place(settings.postgres_dsn.is_some()).await?;
        let redis = match &settings.redis_url {
            None => None,
            Some(url) => {
                let windows = settings.postgres_dsn.as_ref().map(|_| windows.clone());
                let redis = Redis::new(url, conversations.clone(), windows)?;
                Some(Failover::new(redis, database.clone(), clock.clone()).await?)
            }
        };
        let postgres = match &settings.postgres_dsn {
            None => {
                identity.own().await?;
                None
            }
            Some(dsn) => {
                let installation = database.installation().await?;
                let of_conversations = (conversations.clone(), windows.clone());
                let postgres =
                    Postgres::new(dsn, installation, executions.clone(), transcripts.clone(), of_conversations)?;
                Some(Failover::new(postgres, database.clone(), clock.clone()).await?)
            }
        };
        let to_postgres = postgres
            .clone()
            .map(|postgres| WriteQueue::new(ExecutionWriter { embedded: executions.clone(), postgres }));
        let executions = ExecutionStore { embedded: executions, postgres: postgres.clone(), writes: to_postgres };
        executions.interrupt().await?;
        let (of_redis, of_postgres) = tokio::try_join!(
            OptionFuture::from(redis.as_ref().map(Failover::start)).map(Option::transpose),
            OptionFuture::from(postgres.as_ref().map(Failover::start)).map(Option::transpose),
        )?;
        let identity = IdentityStore::new(identity, postgres.clone(), clock.clone());
        let limits = LimitStore::open(database.clone(), redis.clone(), clock.clone()).await?;
        let reconnecting = Arc::new(Mutex::new(of_redis.into_iter().chain(of_postgres).collect()));
        let durable = postgres.clone().map(|postgres| {
            let (embedded, redis) = (conversations.clone(), redis.clone());
            DurableConversations { embedded, redis, postgres, trust: windows }
        });
        if let Some(durable) = &durable {
            durable.refresh_at_start().await;
        }
        Ok(Self {
            conversations: ConversationStore { embedded: conversations, redis: redis.clone(), durable },
            cache: CacheStore {
                database: database.clone(),
                clock,
                redis: redis.clone(),
                writes: writes.clone(),
                known,
            },
            executions,
            transcripts: TranscriptStore { embedded: transcripts, postgres: postgres.clone() },
            identity,
            limits,
            evaluations: EvaluationStore { database: database.clone() },
            config_channel: PostgresChannel::new(config::CHANNEL),
            database,
            writes,
            redis,
            postgres,
            reconnecting,
        })
    }

    /// What would keep [`Stores::open`] from opening them, each with the variable that it is about. Leaves nothing behind, and does not
    /// look whether another server has the folder.
    pub async fn check(settings: &StorageSettings) -> Vec<(&'static str, Error)> {
        let folder = Database::check(&settings.data_dir).await;
        let redis = settings.redis_url.as_ref().map_or(Ok(()), Redis::check);
        let outcomes = [("DATA_DIR", folder), ("REDIS_URL", redis)];
        outcomes.into_iter().filter_map(|(variable, outcome)| Some((variable, outcome.err()?))).collect()
    }

    /// Starts what goes on beside the requests, if there is Postgres: listening to what it tells of its own accord, telling it that this
    /// server is alive, and keeping Redis up to date with it.
    pub fn start(&self) -> Vec<BackgroundTask> {
        let listening = self.postgres.clone().map(|postgres| {
            let channels = vec![self.identity.changed.clone(), self.config_channel.clone()];
            BackgroundTask::spawn("postgres_listener", move || listen(postgres.clone(), channels.clone()))
        });
        let keeping = self
            .conversations
            .durable
            .clone()
            .filter(|durable| durable.redis.is_some())
            .map(|durable| BackgroundTask::spawn("conversation_windows", move || keep_windows(durable.clone())));
        let alive = self.postgres.as_ref().map(|postgres| {
            let (lease, clock) = (postgres.backend().lease.clone(), self.executions.embedded.clock.clone());
            BackgroundTask::spawn("server_lease", move || keep_lease(lease.clone(), clock.clone()))
        });
        listening.into_iter().chain(keeping).chain(alive).collect()
    }

    /// Brings the schemas of the embedded database and of Postgres up to date without serving; says what was done.
    pub async fn migrate(settings: &StorageSettings) -> Result<Vec<String>, Error> {
        let database = Database::open(&settings.data_dir).await?;
        let mut done = vec![describe("the embedded database", database.migrated)];
        if let Some(dsn) = &settings.postgres_dsn {
            let migrated = PostgresAddress::new(dsn)?.migrate().await;
            let migrated = migrated
                .map_err(|failure| Error::internal_public("Postgres could not be migrated", failure.to_string()))?;
            done.push(describe("Postgres", migrated));
        }
        database.close().await;
        Ok(done)
    }

    /// Deletes what has expired or is beyond what `settings` retain; in Postgres, one server does so for all. To be called now and then.
    pub async fn purge(&self, settings: &StorageSettings) -> Result<(), Error> {
        let connection = self.postgres.as_ref().and_then(Failover::connection);
        let claiming = connection.as_ref().map(|connection| WorkClaim::take(connection, "retention", RETENTION_TIME));
        let claim = match OptionFuture::from(claiming).await {
            Some(Ok(claim)) => claim,
            // Whether Postgres can be written to is found out by others.
            Some(Err(_)) | None => None,
        };
        let purged = self.purge_with(settings, connection.as_ref().filter(|_| claim.is_some())).await;
        OptionFuture::from(claim.map(WorkClaim::release)).await;
        purged
    }

    async fn purge_with(&self, settings: &StorageSettings, postgres: Option<&PostgresConnection>) -> Result<(), Error> {
        self.conversations.purge(postgres).await?;
        self.cache.purge().await?;
        self.trim_outboxes(MAX_OUTBOX_BYTES).await?;
        self.transcripts.retain(settings.execution_retention, postgres).await?;
        if let Some(age) = settings.audit_retention {
            self.identity.retain_audit(age, postgres).await?;
        }
        self.executions.retain(settings.execution_retention, settings.execution_max_rows, postgres).await
    }

    /// Gives up what has waited longest for services that are away for too long.
    pub(super) async fn trim_outboxes(&self, max_bytes: i64) -> Result<(), Error> {
        if let Some(redis) = &self.redis
            && redis.trim_outbox(max_bytes).await? > 0
        {
            // The copies still have it.
            self.database.set_meta(redis::RUN_ID, None).await?;
        }
        if let Some(postgres) = &self.postgres {
            postgres.trim_outbox(max_bytes).await?;
        }
        Ok(())
    }

    /// Writes everything out and closes the store.
    pub async fn close(&self) {
        self.limits.flush().await;
        self.executions.close().await;
        self.writes.close().await;
        if let Some(postgres) = &self.postgres {
            postgres.backend().lease.release().await;
        }
        self.reconnecting.lock().clear();
        self.database.close().await;
    }
}

fn describe(what: &str, MigrationReport { from, to }: MigrationReport) -> String {
    if from == to { format!("{what} is up to date at version {to}") } else { format!("{what}: version {from} -> {to}") }
}
