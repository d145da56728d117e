use std::time::Duration;

use serde_json::{Map, Value, json};

use super::context::{ContextMessage, chars_of, window};
use super::summarizer::SummaryQueue;
use crate::kernel::{Clock, Error, ErrorKind, Role, Secret, SecretUrl, UserId};
use crate::settings::{Settings, SharedSettings};
use crate::storage::{Message, Stores};

/// Conversations: reading, adding, clearing.
#[derive(Clone, Debug)]
pub struct MemoryService {
    settings: SharedSettings,
    stores: Stores,
    clock: Clock,
    summaries: SummaryQueue,
}

/// Numbers about a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryStats {
    /// All messages.
    pub total: usize,
    /// Messages by the person.
    pub user: usize,
    /// Messages by the model.
    pub assistant: usize,
    /// System messages.
    pub system: usize,
    /// Characters (code points) in all messages.
    pub characters: usize,
    /// Whether older turns were summarized.
    pub has_summary: bool,
}

impl MemoryService {
    /// A service on these stores; what outgrows the limit is handed to `summaries`.
    pub fn new(settings: SharedSettings, stores: Stores, clock: Clock, summaries: SummaryQueue) -> Self {
        Self { settings, stores, clock, summaries }
    }

    /// The newest messages, newest first. No limit, 0, and more than `MEMORY_MAX_MESSAGES` all mean that many.
    pub async fn history(&self, user: &UserId, limit: Option<usize>) -> Result<Vec<Message>, Error> {
        let max_messages = self.settings.snapshot().memory.max_messages;
        let limit = limit.filter(|limit| *limit > 0).map_or(max_messages, |limit| limit.min(max_messages));
        Ok(self.stores.conversations.recent(user, limit).await?.messages)
    }

    /// What a model is shown of the conversation, oldest first. Includes messages that still wait to be summarized.
    pub async fn context(&self, user: &UserId, max_tokens: usize) -> Result<Vec<ContextMessage>, Error> {
        let conversation = self.stores.conversations.window(user, chars_of(max_tokens)).await?;
        Ok(window(&conversation, max_tokens))
    }

    /// The summary of what was summarized.
    pub async fn summary(&self, user: &UserId) -> Result<Option<String>, Error> {
        Ok(self.stores.conversations.recent(user, 0).await?.summary)
    }

    /// Numbers about the messages that [`MemoryService::history`] shows.
    pub async fn stats(&self, user: &UserId) -> Result<MemoryStats, Error> {
        let max_messages = self.settings.snapshot().memory.max_messages;
        let conversation = self.stores.conversations.recent(user, max_messages).await?;
        let count = |role| conversation.messages.iter().filter(|message| message.role == role).count();
        Ok(MemoryStats {
            total: conversation.messages.len(),
            user: count(Role::User),
            assistant: count(Role::Assistant),
            system: count(Role::System),
            characters: conversation.messages.iter().map(|message| message.content.chars().count()).sum(),
            has_summary: conversation.summary.is_some(),
        })
    }

    /// Forgets history and summary.
    pub async fn clear(&self, user: &UserId) -> Result<(), Error> {
        self.stores.conversations.clear(user).await
    }

    /// A message as it would be stored now.
    pub fn message(&self, role: Role, content: impl Into<String>, metadata: Map<String, Value>) -> Message {
        Message { role, content: content.into(), metadata, created_ms: self.clock.now_ms() }
    }

    /// Adds messages, oldest first: all or none.
    pub async fn append(&self, user: &UserId, messages: &[Message]) -> Result<(), Error> {
        let settings = self.settings.snapshot();
        let memory = &settings.memory;
        if !memory.enabled {
            return Err(Error::new(ErrorKind::NotConfigured, "Conversation memory is disabled (MEMORY_ENABLED=false)"));
        }
        let summarizing = can_summarize(&settings);
        // Older messages wait to be summarized.
        let kept = if summarizing { memory.max_messages.saturating_mul(2).max(10_000) } else { memory.max_messages };
        let held = self.stores.conversations.append(user, messages, memory.ttl, kept).await?;
        if summarizing && summary_is_due(held, memory.max_messages) {
            self.summaries.push(user.clone());
        }
        Ok(())
    }

    /// Whether the store answers, in the original's shape.
    pub async fn health(&self) -> Value {
        let settings = self.settings.snapshot();
        let embedded = self.stores.ping().await;
        let sqlite = match &embedded {
            Ok(()) => json!({"type": "sqlite", "status": "healthy"}),
            Err(error) => json!({"type": "sqlite", "status": "unhealthy", "error": error.public_detail()}),
        };
        let stores = &settings.storage;
        let (redis, postgres) = tokio::join!(self.stores.ping_redis(), self.stores.ping_postgres());
        let healthy = embedded.is_ok() && (stores.redis_url.is_none() || redis.is_ok());
        json!({
            "healthy": healthy,
            "enabled": settings.memory.enabled,
            "storage": [
                outside("redis", stores.redis_url.as_ref(), redis),
                outside("postgres", stores.postgres_dsn.as_ref(), postgres),
                sqlite,
            ],
            "degraded": self.stores.degraded(),
        })
    }

    /// What the embedded store stands in for at the moment, as sentences.
    pub fn degraded(&self) -> Vec<String> {
        self.stores.degraded()
    }
}

/// An outside store in the original's shape.
fn outside(kind: &str, url: Option<&Secret>, ping: Result<Duration, String>) -> Value {
    match (url, ping) {
        (None, _) => json!({"type": kind, "status": "not_configured"}),
        (Some(url), Ok(_)) => json!({"type": kind, "status": "healthy", "url": shown(url)}),
        (Some(_), Err(error)) => json!({"type": kind, "status": "unhealthy", "error": error}),
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

/// A fifth of the limit is summarized at a time, so that not every turn costs a call to the model.
fn summary_is_due(held: usize, max_messages: usize) -> bool {
    held.saturating_sub(max_messages) >= (max_messages / 5).max(1)
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
