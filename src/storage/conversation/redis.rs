use std::sync::{Arc, LazyLock};

use redis::Script;

use super::codec;
use super::script::{ConversationUpdate, code, epoch_key, messages_key, summary_key};
use super::types::{AppendBatch, Conversation, Excess, MessageIdentity, Tombstone};
use crate::kernel::UserId;
use crate::storage::failover::Failure;
use crate::storage::redis::{REQUEST_TIMEOUT, RedisConnection, call};

static WINDOW: LazyLock<Script> = LazyLock::new(|| Script::new(code!("lua/window.lua")));
static EXCESS: LazyLock<Script> = LazyLock::new(|| Script::new(code!("lua/excess.lua")));
static SUMMARIZE: LazyLock<Script> = LazyLock::new(|| Script::new(code!("lua/summarize.lua")));

pub(super) async fn append(
    connection: RedisConnection,
    user: &UserId,
    batch: &AppendBatch<'_>,
) -> Result<usize, Failure> {
    let update = ConversationUpdate {
        now_ms: batch.messages.iter().map(|message| message.created_ms).max().unwrap_or_default(),
        ttl_ms: batch.ttl_ms,
        may_shorten: true,
        max_messages: batch.max_messages,
        steps: vec![(batch.id.clone(), batch.messages.iter().map(|message| codec::to_text(message)).collect())],
        ..ConversationUpdate::default()
    };
    update.apply(connection, user).await
}

pub(super) async fn clear(connection: RedisConnection, user: &UserId, tombstone: &Tombstone) -> Result<(), Failure> {
    ConversationUpdate::clearing(tombstone).apply(connection, user).await.map(|_| ())
}

pub(super) async fn recent(
    mut connection: RedisConnection,
    user: &UserId,
    limit: usize,
) -> Result<Conversation, Failure> {
    // An end before the start means none; -1 would mean all.
    let (start, end) = if limit == 0 { (1, 0) } else { (0, isize::try_from(limit).unwrap_or(isize::MAX) - 1) };
    let mut pipeline = redis::pipe();
    pipeline.atomic().get(summary_key(user)).lrange(messages_key(user), start, end);
    let (summary, texts): (Option<Vec<u8>>, Vec<Vec<u8>>) =
        call(REQUEST_TIMEOUT, pipeline.query_async(&mut connection)).await?;
    Ok(conversation(summary.unwrap_or_default(), &texts))
}

pub(super) async fn window(
    mut connection: RedisConnection,
    user: &UserId,
    chars: usize,
) -> Result<Conversation, Failure> {
    let mut script = WINDOW.prepare_invoke();
    script.key(messages_key(user)).key(summary_key(user)).arg(chars);
    let mut found: Vec<Vec<u8>> = call(REQUEST_TIMEOUT, script.invoke_async(&mut connection)).await?;
    let texts = found.split_off(1.min(found.len()));
    Ok(conversation(found.pop().unwrap_or_default(), &texts))
}

pub(super) async fn excess(
    mut connection: RedisConnection,
    user: &UserId,
    keep: usize,
    max_messages: usize,
) -> Result<Option<Excess>, Failure> {
    let mut script = EXCESS.prepare_invoke();
    script.key(messages_key(user)).key(summary_key(user)).key(epoch_key(user)).arg(keep).arg(max_messages);
    let found: Vec<Vec<u8>> = call(REQUEST_TIMEOUT, script.invoke_async(&mut connection)).await?;
    let mut found = found.into_iter();
    let (epoch, summary) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
    let texts: Vec<Vec<u8>> = found.collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let Conversation { summary, messages } = conversation(summary, &texts);
    let identity = MessageIdentity::Redis { epoch: text(&epoch), texts };
    Ok(Some(Excess { messages, summary, identity }))
}

pub(super) async fn summarize(
    mut connection: RedisConnection,
    user: &UserId,
    epoch: &str,
    texts: &[&[u8]],
    summary: &str,
) -> Result<bool, Failure> {
    let mut script = SUMMARIZE.prepare_invoke();
    script.key(messages_key(user)).key(summary_key(user)).key(epoch_key(user)).arg(epoch).arg(summary).arg(texts);
    call(REQUEST_TIMEOUT, script.invoke_async(&mut connection)).await
}

/// What others have written need not be UTF-8.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn conversation(summary: Vec<u8>, texts: &[Vec<u8>]) -> Conversation {
    let messages = texts.iter().map(|bytes| Arc::new(codec::from_text(&text(bytes)))).collect();
    Conversation { summary: Some(text(&summary)).filter(|summary| !summary.is_empty()), messages }
}
