use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::entries::{ConfigHead, ConfigNews, NewRevision};
use super::postgres;
use super::replica::ConfigReplica;
use crate::kernel::{Clock, Error, ErrorKind, RequestOrigin};
use crate::settings::{Environment, Settings, SettingsTurn, StoredEntry};
use crate::storage::failover::{Failover, Failure, try_remote};
use crate::storage::postgres::{BACKGROUND_TIMEOUT, Postgres, PostgresChannel, PostgresConnection, call};

/// How long a change waits for its turn among all servers, and then for its commit.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(3);

/// The configuration in Postgres, and what this server knows of it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct ConfigInPostgres {
    pub(super) failover: Failover<Postgres>,
    pub(super) channel: PostgresChannel,
    /// Changed in the turn of whoever changes the settings only.
    pub(super) replica: Arc<Mutex<ConfigReplica>>,
    pub(super) copy: PathBuf,
    pub(super) clock: Clock,
}

impl ConfigInPostgres {
    /// Begins with the copy on disk, or with what the files had before Postgres was used, and asks Postgres.
    pub(super) async fn open(&self, turn: &mut SettingsTurn) -> Result<(), Error> {
        tracing::warn!(
            "credentials of what is configured through the API stand in Postgres, and in {}, in clear",
            self.copy.display()
        );
        let replica = ConfigReplica::read(&self.copy).unwrap_or_else(|error| {
            tracing::error!(%error, "{} can't be read; only Postgres has the configuration", self.copy.display());
            None
        });
        match replica {
            Some(replica) => {
                let news = ConfigNews {
                    head: replica.head.clone(),
                    entries: replica.entries().into_iter().map(|entry| (0, entry)).collect(),
                    is_full: true,
                };
                self.learn(turn, news);
                *self.replica.lock() = replica;
            }
            None => *self.replica.lock() = ConfigReplica::of_files(turn.settings().stored_entries()),
        }
        if !self.synchronize(turn, true).await? {
            let revision = self.replica.lock().head.revision;
            tracing::warn!(revision, "Postgres is away: what was configured is as this server knew it last");
        }
        Ok(())
    }

    /// Brings the settings up to date; false if Postgres is away.
    pub(super) async fn synchronize(&self, turn: &mut SettingsTurn, is_full: bool) -> Result<bool, Error> {
        let (known, own) = {
            let replica = self.replica.lock();
            let own = if replica.is_own() { replica.entries() } else { Vec::new() };
            (Some(replica.head.clone()).filter(|_| !is_full), own)
        };
        let reading = async |connection: PostgresConnection| {
            if !own.is_empty() {
                self.adopt(&connection, &own).await?;
            }
            call(BACKGROUND_TIMEOUT, async {
                postgres::news(&mut *connection.pool.acquire().await?, known.as_ref()).await
            })
            .await
        };
        let Some(news) = try_remote(Some(&self.failover), reading).await? else { return Ok(false) };
        self.learn(turn, news);
        self.keep().await;
        Ok(true)
    }

    /// Makes what this server had in files the first revision, unless there is one.
    async fn adopt(&self, connection: &PostgresConnection, own: &[StoredEntry]) -> Result<(), Failure> {
        let (tx, head) = call(CHANGE_TIMEOUT, postgres::begin(connection)).await?;
        if head.revision > 0 {
            tracing::warn!(
                entries = own.len(),
                revision = head.revision,
                "what DATA_DIR/config has is not used: Postgres has a configuration already; \
                 `orchestrator-studio config import` brings in another one"
            );
            return Ok(());
        }
        let revision = self.revision(1, RequestOrigin { author: Some("files".to_owned()), ..RequestOrigin::default() });
        let entries: Vec<_> = own.iter().map(|entry| entry.clone().stamped(1)).collect();
        call(CHANGE_TIMEOUT, postgres::write(tx, &revision, &entries)).await?;
        tracing::info!(entries = own.len(), "what DATA_DIR/config has is in Postgres now, as revision 1");
        Ok(())
    }

    /// Changes the settings for all servers, or for none.
    pub(super) async fn change<R>(
        &self,
        turn: &mut SettingsTurn,
        origin: RequestOrigin,
        edit: impl FnOnce(&Settings, &Environment) -> Result<(Settings, R), Error> + Send,
    ) -> Result<R, Error> {
        let is_own = self.replica.lock().is_own();
        // Before anything else, what the files had has to be there, or to be known as not used.
        if is_own && !self.synchronize(turn, true).await? {
            return Err(away());
        }
        let mut is_committing = false;
        let changing = async |connection: PostgresConnection| {
            let (mut tx, head) = call(CHANGE_TIMEOUT, postgres::begin(&connection)).await?;
            let known = self.replica.lock().head.clone();
            if known != head {
                let news = call(CHANGE_TIMEOUT, postgres::news(&mut tx, Some(&known))).await?;
                self.learn(turn, news);
            }
            let (next, result) = edit(turn.settings(), turn.environment())?;
            let changes = next.stored_since(turn.settings());
            if !changes.is_empty() {
                let revision = self.revision(head.revision.saturating_add(1), origin);
                is_committing = true;
                call(CHANGE_TIMEOUT, postgres::write(tx, &revision, &changes)).await?;
                let head = ConfigHead { revision: revision.number, ..head };
                turn.publish(next.counting_from(head.revision.unsigned_abs()));
                self.replica.lock().write(head, &changes);
            }
            Ok(result)
        };
        let done = try_remote(Some(&self.failover), changing).await;
        self.keep().await;
        done?.ok_or_else(|| if is_committing { unconfirmed() } else { away() })
    }

    fn revision(&self, number: i64, origin: RequestOrigin) -> NewRevision {
        NewRevision { number, at_ms: self.clock.now_ms(), origin }
    }

    /// Makes live what Postgres has.
    fn learn(&self, turn: &mut SettingsTurn, news: ConfigNews) {
        let head = news.head.clone();
        let changes = self.replica.lock().take(news);
        if changes.is_empty() {
            return;
        }
        let (next, issues) = turn.settings().with_entries(&changes, turn.environment());
        for issue in issues {
            tracing::error!(%issue, "an entry of the configuration can't be used and is left out");
        }
        turn.publish(next.counting_from(head.revision.unsigned_abs()));
    }

    /// Keeps a copy on disk. What it can't keep is in Postgres nevertheless.
    async fn keep(&self) {
        let keeping = {
            let mut replica = self.replica.lock();
            if replica.is_own() || !replica.has_news() {
                return;
            }
            replica.keep(self.copy.clone())
        };
        let kept = tokio::task::spawn_blocking(keeping).await;
        if let Err(error) = kept.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped))) {
            tracing::warn!(%error, "without Postgres, this server would start from an earlier configuration");
        }
    }
}

fn away() -> Error {
    let text = "Postgres is away, where the configuration is kept, so nothing was changed; please try again later";
    Error::new(ErrorKind::NotConfigured, text)
}

fn unconfirmed() -> Error {
    let text = "Postgres has not confirmed the change, which may have been made or not; please read it again";
    Error::new(ErrorKind::NotConfigured, text)
}
