use std::time::Duration;

use serde_json::Value;
use sqlx::{Sqlite, Transaction};
use tokio::time::sleep;

use super::change::{DELETE_BATCH, DELETE_PAUSE, TranscriptChange, owner};
use super::record::{PromptProfile, Transcript, TranscriptFilter, TranscriptMessage, TranscriptPage, TranscriptUsage};
use super::rows;
use crate::kernel::{Clock, Error};
use crate::storage::failover::OutboxTicket;
use crate::storage::sqlite::{Database, failed, int};

/// Transcripts in the embedded database.
#[derive(Clone, Debug)]
pub(crate) struct EmbeddedTranscripts {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
}

impl EmbeddedTranscripts {
    /// Makes a change, and puts it into the outbox if there is one.
    pub(super) async fn apply(&self, change: &TranscriptChange, ticket: Option<OutboxTicket>) -> Result<(), Error> {
        let work = async {
            let mut tx = self.database.write().await?;
            run(change, &mut tx).await?;
            if let Some(ticket) = &ticket {
                ticket.add(&mut tx, &change.owner(), change).await?;
            }
            tx.commit().await
        };
        work.await.map_err(failed(change.what()))?;
        if let Some(ticket) = ticket {
            ticket.added(1);
        }
        Ok(())
    }

    pub(super) async fn get(&self, id: &str) -> Result<Option<Transcript>, Error> {
        let row = sqlx::query_as(rows::SELECT_ONE).bind(id).fetch_optional(self.database.read()).await;
        Ok(row.map_err(failed("could not read a conversation"))?.map(rows::transcript))
    }

    pub(super) async fn messages(&self, id: &str) -> Result<Vec<TranscriptMessage>, Error> {
        let rows = sqlx::query_as(rows::SELECT_MESSAGES)
            .bind(id)
            .bind(rows::MAX_MESSAGES)
            .bind(rows::MAX_MESSAGE_CHARS)
            .fetch_all(self.database.read())
            .await
            .map_err(failed("could not read messages"))?;
        Ok(rows.into_iter().map(rows::message).collect())
    }

    pub(super) async fn list(&self, filter: &TranscriptFilter) -> Result<TranscriptPage, Error> {
        let work = async {
            let (page, count) = match &filter.user_id {
                Some(_) => (rows::SELECT_PAGE_OF_USER, rows::COUNT_OF_USER),
                None => (rows::SELECT_PAGE, rows::COUNT),
            };
            let (mut page, mut count) = (sqlx::query_as(page), sqlx::query_scalar(count));
            page = page.bind(int(filter.limit)).bind(int(filter.offset));
            if let Some(user) = &filter.user_id {
                (page, count) = (page.bind(user), count.bind(user));
            }
            let transcripts = page.fetch_all(self.database.read()).await?;
            let total = count.fetch_one(self.database.read()).await?;
            Ok(TranscriptPage { transcripts: transcripts.into_iter().map(rows::transcript).collect(), total })
        };
        work.await.map_err(failed("could not list conversations"))
    }

    pub(super) async fn profiles(&self) -> Result<Vec<PromptProfile>, Error> {
        let rows = sqlx::query_as(rows::SELECT_PROFILES).bind(rows::MAX_PROFILES);
        let rows = rows.fetch_all(self.database.read()).await.map_err(failed("could not read prompt profiles"))?;
        Ok(rows.into_iter().map(rows::profile).collect())
    }

    pub(super) async fn usage(&self, since_ms: i64) -> Result<TranscriptUsage, Error> {
        let work = async {
            let counts: (i64, i64, i64) = sqlx::query_as(rows::SELECT_USAGE)
                .bind(since_ms)
                .bind(rows::MAX_COUNTED)
                .fetch_one(self.database.read())
                .await?;
            let most = async |query: &'static str| {
                let query = sqlx::query_as(query).bind(since_ms).bind(rows::MAX_COUNTED).bind(rows::MAX_NAMED);
                let rows: Vec<(String, i64)> = query.fetch_all(self.database.read()).await?;
                Ok::<_, sqlx::Error>(rows.into_iter().map(rows::usage_count).collect())
            };
            let (answers, succeeded, latency_ms) = counts;
            let (models, profiles) = (most(rows::SELECT_MODELS).await?, most(rows::SELECT_USED_PROFILES).await?);
            Ok(TranscriptUsage { answers, succeeded, latency_ms, models, profiles })
        };
        work.await.map_err(failed("could not count what the chat page was used for"))
    }

    /// Deletes what nothing was added to for `age`, and the oldest beyond the newest `max_rows`; a few at a time with pauses, so that
    /// other writers are not kept waiting.
    pub(super) async fn retain(&self, age: Duration, max_rows: i64) -> Result<(), Error> {
        let before = self.clock.now_ms().saturating_sub(int(age.as_millis()));
        let work = async {
            let surplus = sqlx::query_scalar(rows::SELECT_SURPLUS);
            let surplus: Option<i64> = surplus.bind(max_rows).fetch_optional(self.database.read()).await?;
            let deleting = "DELETE FROM transcript WHERE id IN (
                 SELECT id FROM transcript WHERE updated_at < ?1 ORDER BY updated_at LIMIT ?2)";
            let until = surplus.map_or(before, |newest| before.max(newest.saturating_add(1)));
            loop {
                let deleting = sqlx::query(deleting).bind(until).bind(DELETE_BATCH);
                if deleting.execute(self.database.writer()).await?.rows_affected() == 0 {
                    return Ok(());
                }
                sleep(DELETE_PAUSE).await;
            }
        };
        work.await.map_err(failed("could not delete old conversations"))
    }

    /// Forgets transcripts that were written back, unless something of them still waits.
    pub(super) async fn forget(&self, ids: &[String], written_until: i64) -> Result<(), Error> {
        sqlx::query(
            "DELETE FROM transcript WHERE id IN (SELECT value FROM json_each(?1)) AND NOT EXISTS
                 (SELECT 1 FROM outbox WHERE service = 'postgres' AND owner = ?3 || transcript.id AND position > ?2)",
        )
        .bind(Value::from(ids).to_string())
        .bind(written_until)
        .bind(owner(""))
        .execute(self.database.writer())
        .await
        .map(|_| ())
        .map_err(failed("could not remove conversations that were written back"))
    }
}

async fn run(change: &TranscriptChange, tx: &mut Transaction<'_, Sqlite>) -> Result<(), sqlx::Error> {
    match change {
        TranscriptChange::Create(it) => create(it, tx).await,
        TranscriptChange::Add { transcript, message, title } => add(transcript, message, title.as_deref(), tx).await,
        TranscriptChange::Delete { transcript } => {
            let deleting = sqlx::query("DELETE FROM transcript WHERE id = ?1").bind(transcript);
            deleting.execute(&mut **tx).await.map(|_| ())
        }
        TranscriptChange::Profile(profile) => put_profile(profile, tx).await,
    }
}

async fn create(it: &Transcript, tx: &mut Transaction<'_, Sqlite>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO transcript (id, title, user_id, model_id, routing_profile, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&it.id)
    .bind(&it.title)
    .bind(&it.user_id)
    .bind(&it.model_id)
    .bind(&it.routing_profile)
    .bind(it.created_ms)
    .bind(it.updated_ms)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

/// To a transcript that is not here nothing is added: it is in Postgres, or was deleted.
async fn add(
    transcript: &str,
    message: &TranscriptMessage,
    title: Option<&str>,
    tx: &mut Transaction<'_, Sqlite>,
) -> Result<(), sqlx::Error> {
    let answer = message.answer.as_ref();
    sqlx::query(
        "INSERT INTO transcript_message
             (id, transcript_id, role, content, metadata, created_at, model, routing_profile, succeeded, latency_ms)
         SELECT ?2, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM transcript WHERE id = ?1 ON CONFLICT (id) DO NOTHING",
    )
    .bind(transcript)
    .bind(&message.id)
    .bind(&message.role)
    .bind(&message.content)
    .bind(&message.metadata)
    .bind(message.created_ms)
    .bind(answer.and_then(|answer| answer.model.as_deref()))
    .bind(answer.map(|answer| &answer.routing_profile))
    .bind(answer.map(|answer| answer.succeeded))
    .bind(answer.map(|answer| answer.latency_ms))
    .execute(&mut **tx)
    .await?;
    trim(transcript, tx).await?;
    sqlx::query("UPDATE transcript SET title = COALESCE(?2, title), updated_at = max(updated_at, ?3) WHERE id = ?1")
        .bind(transcript)
        .bind(title)
        .bind(message.created_ms)
        .execute(&mut **tx)
        .await
        .map(|_| ())
}

/// Deletes the messages of a transcript beyond the newest.
async fn trim(transcript: &str, tx: &mut Transaction<'_, Sqlite>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM transcript_message WHERE transcript_id = ?1 AND position <= (SELECT position
             FROM transcript_message WHERE transcript_id = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(transcript)
    .bind(rows::MAX_MESSAGES)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}

async fn put_profile(profile: &PromptProfile, tx: &mut Transaction<'_, Sqlite>) -> Result<(), sqlx::Error> {
    if profile.is_active {
        sqlx::query("UPDATE prompt_profile SET is_active = FALSE WHERE is_active").execute(&mut **tx).await?;
    }
    sqlx::query(
        "INSERT INTO prompt_profile (name, id, description, system_prompt, is_active, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (name) DO UPDATE SET description = excluded.description,
             system_prompt = excluded.system_prompt, is_active = excluded.is_active, updated_at = excluded.updated_at",
    )
    .bind(&profile.name)
    .bind(&profile.id)
    .bind(&profile.description)
    .bind(&profile.system_prompt)
    .bind(profile.is_active)
    .bind(profile.created_ms)
    .bind(profile.updated_ms)
    .execute(&mut **tx)
    .await
    .map(|_| ())
}
