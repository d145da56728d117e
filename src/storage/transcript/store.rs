use std::time::Duration;

use super::change::TranscriptChange;
use super::embedded::EmbeddedTranscripts;
use super::postgres;
use super::record::{PromptProfile, Transcript, TranscriptFilter, TranscriptMessage, TranscriptPage, TranscriptUsage};
use crate::kernel::Error;
use crate::storage::failover::{Failover, find, prefer_remote, try_remote, write};
use crate::storage::postgres::{Postgres, PostgresConnection};
use crate::storage::sqlite::int;

/// Transcripts that are kept at most.
const MAX_TRANSCRIPTS: i64 = 10_000;

/// The conversations of the chat page as people see them, and its prompt profiles.
#[derive(Clone, Debug)]
pub struct TranscriptStore {
    pub(in crate::storage) embedded: EmbeddedTranscripts,
    pub(in crate::storage) postgres: Option<Failover<Postgres>>,
}

impl TranscriptStore {
    /// Keeps a transcript that has no messages yet.
    pub async fn create(&self, transcript: Transcript) -> Result<(), Error> {
        self.record(&TranscriptChange::Create(transcript)).await
    }

    /// Adds a message to a transcript, and gives it another title if there is one. One that was deleted meanwhile stays so.
    /// Of a transcript that has many messages, the oldest ones go.
    pub async fn add(&self, id: &str, message: TranscriptMessage, title: Option<String>) -> Result<(), Error> {
        let change = TranscriptChange::Add { transcript: id.to_owned(), message, title };
        self.record(&change).await?;
        self.apply_here(&change).await
    }

    /// Deletes a transcript with its messages.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        let change = TranscriptChange::Delete { transcript: id.to_owned() };
        self.record(&change).await?;
        self.apply_here(&change).await
    }

    /// One transcript. While Postgres is away, one that is not in the embedded store may be there; one from before Postgres was used
    /// is here.
    pub async fn get(&self, id: &str) -> Result<Option<Transcript>, Error> {
        // No id has one, and Postgres takes none.
        if id.contains('\0') {
            return Ok(None);
        }
        let reading = |connection| postgres::get(connection, id);
        let away = || "Postgres is away, and the conversation may be there; please try again later".to_owned();
        find(self.postgres.as_ref(), reading, || self.embedded.get(id), away).await
    }

    /// The newest messages of a transcript, oldest first.
    pub async fn messages(&self, id: &str) -> Result<Vec<TranscriptMessage>, Error> {
        let remote = try_remote(self.postgres.as_ref(), |connection| postgres::messages(connection, id)).await?;
        match remote.filter(|messages| !messages.is_empty()) {
            Some(messages) => Ok(messages),
            None => self.embedded.messages(id).await,
        }
    }

    /// Some transcripts, those first that a message was added to last. While Postgres is away: those that the embedded store has.
    pub async fn list(&self, filter: &TranscriptFilter) -> Result<TranscriptPage, Error> {
        let reading = |connection| postgres::list(connection, filter);
        prefer_remote(self.postgres.as_ref(), reading, || self.embedded.list(filter)).await
    }

    /// Keeps a prompt profile, in the place of another one of its name. If it is active, no other one is from now on.
    pub async fn put_profile(&self, profile: PromptProfile) -> Result<(), Error> {
        let change = TranscriptChange::Profile(profile);
        self.record(&change).await?;
        self.apply_here(&change).await
    }

    /// All prompt profiles, by name. While Postgres is away: those that this server was given.
    pub async fn profiles(&self) -> Result<Vec<PromptProfile>, Error> {
        prefer_remote(self.postgres.as_ref(), postgres::profiles, || self.embedded.profiles()).await
    }

    /// How the chat page was used since this time, in milliseconds since 1970.
    pub async fn usage(&self, since_ms: i64) -> Result<TranscriptUsage, Error> {
        let reading = |connection| postgres::usage(connection, since_ms);
        prefer_remote(self.postgres.as_ref(), reading, || self.embedded.usage(since_ms)).await
    }

    /// Deletes transcripts that nothing was added to for `age`, and the oldest beyond a limit.
    pub(in crate::storage) async fn retain(
        &self,
        age: Duration,
        postgres: Option<&PostgresConnection>,
    ) -> Result<(), Error> {
        self.retain_newest(age, MAX_TRANSCRIPTS, postgres).await
    }

    pub(in crate::storage) async fn retain_newest(
        &self,
        age: Duration,
        max_rows: i64,
        postgres: Option<&PostgresConnection>,
    ) -> Result<(), Error> {
        self.embedded.retain(age, max_rows).await?;
        let Some(connection) = postgres else { return Ok(()) };
        let before_ms = self.embedded.clock.now_ms().saturating_sub(int(age.as_millis()));
        // Deleting may take its time; that says nothing of how Postgres serves others.
        if let Err(failure) = postgres::retain(connection, before_ms, max_rows).await {
            let error = failure.to_string();
            tracing::warn!(error, "old conversations could not be deleted from Postgres; the next round tries");
        }
        Ok(())
    }

    async fn record(&self, change: &TranscriptChange) -> Result<(), Error> {
        let operation = |connection| postgres::apply(connection, change);
        write(self.postgres.as_ref(), operation, |ticket| self.embedded.apply(change, ticket)).await
    }

    /// Makes a change in the embedded store too, where Postgres has made it: what is from before Postgres was used is here, and so are
    /// copies of profiles. Where the embedded store has made it already, it has no more effect.
    async fn apply_here(&self, change: &TranscriptChange) -> Result<(), Error> {
        match &self.postgres {
            Some(_) => self.embedded.apply(change, None).await,
            None => Ok(()),
        }
    }
}
