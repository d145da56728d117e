use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::context::{ContextMessage, chars_of, window};
use super::summarizer::SummaryQueue;
use crate::kernel::{Caller, Clock, Error, ErrorKind, Role, Secret, SecretUrl, UserId};
use crate::settings::{MemorySettings, Settings, SharedSettings, StorageSettings};
use crate::storage::{HistoryCursor, HistoryPage, Message, Stores};

/// Messages of an archive that are given at once, at most.
const MAX_ARCHIVE_PAGE: usize = 1000;

/// Conversations: reading, adding, clearing. Callers give the settings that they work with.
#[derive(Clone, Debug)]
pub struct MemoryService {
    pub(super) settings: SharedSettings,
    pub(super) stores: Stores,
    clock: Clock,
    summaries: SummaryQueue,
}

/// Numbers about a conversation, in the original's shape.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryStats {
    total_messages: usize,
    user_messages: usize,
    assistant_messages: usize,
    system_messages: usize,
    /// Code points.
    total_characters: usize,
    has_summary: bool,
    memory_enabled: bool,
    max_messages: usize,
}

/// Whether one store answers, in the original's shape.
#[derive(Debug, Serialize)]
pub struct StoreReport {
    #[serde(rename = "type")]
    kind: &'static str,
    status: StoreStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum StoreStatus {
    Healthy,
    Unhealthy,
    NotConfigured,
}

impl MemoryService {
    /// A service on these stores; conversations that outgrow their limit are named to `summaries`.
    pub fn new(settings: SharedSettings, stores: Stores, clock: Clock, summaries: SummaryQueue) -> Self {
        Self { settings, stores, clock, summaries }
    }

    /// The newest messages, newest first. No limit, 0, and more than `MEMORY_MAX_MESSAGES` all mean that many.
    pub async fn history(
        &self,
        user: &UserId,
        limit: Option<usize>,
        settings: &MemorySettings,
    ) -> Result<Vec<Arc<Message>>, Error> {
        let max = settings.max_messages;
        let limit = limit.filter(|limit| *limit > 0).map_or(max, |limit| limit.min(max));
        Ok(self.stores.conversations.recent(user, limit).await?.messages)
    }

    /// Some of all that was said, newest first: as many as [`MemoryService::history`] gives if there is no limit, at most
    /// [`MAX_ARCHIVE_PAGE`]. `cursor` is what the page before has given.
    pub async fn archive(
        &self,
        user: &UserId,
        limit: Option<usize>,
        cursor: Option<&str>,
        settings: &MemorySettings,
    ) -> Result<HistoryPage, Error> {
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(settings.max_messages).min(MAX_ARCHIVE_PAGE);
        let unknown =
            || Error::new(ErrorKind::BadRequest, "cursor: expected the next_cursor of a page of this history");
        let before = cursor.map(|cursor| HistoryCursor::parse(cursor).ok_or_else(unknown)).transpose()?;
        self.stores.conversations.history(user, limit, before).await
    }

    /// What a model is shown of the conversation, oldest first. Includes messages that still wait to be summarized.
    pub async fn context(&self, user: &UserId, max_tokens: usize) -> Result<Vec<ContextMessage>, Error> {
        let conversation = self.stores.conversations.window(user, chars_of(max_tokens)).await?;
        Ok(window(&conversation, max_tokens))
    }

    /// The summary of older messages.
    pub async fn summary(&self, user: &UserId) -> Result<Option<String>, Error> {
        Ok(self.stores.conversations.recent(user, 0).await?.summary)
    }

    /// Numbers about the messages that [`MemoryService::history`] shows.
    pub async fn stats(&self, user: &UserId, settings: &MemorySettings) -> Result<MemoryStats, Error> {
        let conversation = self.stores.conversations.recent(user, settings.max_messages).await?;
        let count = |role| conversation.messages.iter().filter(|message| message.role == role).count();
        Ok(MemoryStats {
            total_messages: conversation.messages.len(),
            user_messages: count(Role::User),
            assistant_messages: count(Role::Assistant),
            system_messages: count(Role::System),
            total_characters: conversation.messages.iter().map(|message| message.content.chars().count()).sum(),
            has_summary: conversation.summary.is_some(),
            memory_enabled: settings.enabled,
            max_messages: settings.max_messages,
        })
    }

    /// Forgets history and summary.
    pub async fn clear(&self, user: &UserId) -> Result<(), Error> {
        self.stores.conversations.clear(user).await
    }

    /// A message as it would be stored now.
    pub fn message(&self, role: Role, content: impl Into<String>, metadata: Map<String, Value>) -> Arc<Message> {
        Arc::new(Message { role, content: content.into(), metadata, created_ms: self.clock.now_ms() })
    }

    /// Whether other servers may write to the same conversations.
    pub fn is_shared(&self) -> bool {
        self.stores.conversations.is_shared()
    }

    /// Adds messages, oldest first: all or none. `caller` is whose tokens a summary takes.
    pub async fn append(
        &self,
        user: &UserId,
        messages: &[Arc<Message>],
        caller: &Caller,
        settings: &Settings,
    ) -> Result<(), Error> {
        let memory = &settings.memory;
        if !memory.enabled {
            return Err(Error::new(ErrorKind::NotConfigured, "Conversation memory is disabled (MEMORY_ENABLED=false)"));
        }
        let summarizing = can_summarize(settings);
        // Older messages wait to be summarized.
        let kept = if summarizing { memory.max_messages.saturating_mul(2).max(10_000) } else { memory.max_messages };
        let held = self.stores.conversations.append(user, messages, memory.ttl, kept).await?;
        // A fifth of the limit is summarized at a time, so that not every turn costs a call to the model.
        if summarizing && held.saturating_sub(memory.max_messages) >= (memory.max_messages / 5).max(1) {
            self.summaries.push(user.clone(), caller.clone());
        }
        Ok(())
    }

    /// Whether conversations can be stored, and whether each store answers.
    pub async fn health(&self, settings: &StorageSettings) -> (bool, Vec<StoreReport>) {
        let embedded = self.stores.ping().await.map_err(|error| error.public_detail().to_owned());
        let (redis, postgres) = tokio::join!(self.stores.ping_redis(), self.stores.ping_postgres());
        let healthy = embedded.is_ok() && (settings.redis_url.is_none() || redis.is_ok());
        let stores = vec![
            remote("redis", settings.redis_url.as_ref(), redis),
            remote("postgres", settings.postgres_dsn.as_ref(), postgres),
            StoreReport::of("sqlite", embedded, None),
        ];
        (healthy, stores)
    }

    /// What the embedded store stands in for at the moment, as sentences.
    pub fn degraded(&self) -> Vec<String> {
        self.stores.degraded()
    }
}

impl StoreReport {
    fn of<T>(kind: &'static str, ping: Result<T, String>, url: Option<String>) -> Self {
        match ping {
            Ok(_) => Self { kind, status: StoreStatus::Healthy, url, error: None },
            Err(error) => Self { kind, status: StoreStatus::Unhealthy, url: None, error: Some(error) },
        }
    }
}

fn remote(kind: &'static str, url: Option<&Secret>, ping: Result<Duration, String>) -> StoreReport {
    match url {
        None => StoreReport { kind, status: StoreStatus::NotConfigured, url: None, error: None },
        Some(url) => StoreReport::of(kind, ping, Some(shown(url))),
    }
}

/// An address with its password masked, and without parameters, which may be credentials too.
fn shown(url: &Secret) -> String {
    let masked = SecretUrl::new(url.expose()).to_string();
    masked.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// Older messages may only wait for a summary if somebody can write one.
fn can_summarize(settings: &Settings) -> bool {
    let llm = settings.llm.effective();
    settings.memory.summary_enabled && llm.base_url.is_some() && llm.default_model.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_credentials_wherever_they_stand() {
        for (url, expected) in [
            ("redis://:pw@cache:6379/0", "redis://:********@cache:6379/0"),
            ("postgres://u@db/x?password=pw#y", "postgres://u@db/x"),
            ("postgres://u:p%3Fw@db/x?sslmode=require", "postgres://u:********@db/x"),
        ] {
            assert_eq!(shown(&Secret::new(url)), expected);
        }
    }
}
