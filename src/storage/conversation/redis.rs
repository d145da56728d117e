use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, Value};

use super::embedded::{AppendBatch, Tombstone};
use super::{Conversation, Excess, Message, MessageIdentity, codec};
use crate::kernel::UserId;
use crate::storage::failover::{Failure, timeout_for};
use crate::storage::redis::{BACKGROUND_TIMEOUT, REQUEST_TIMEOUT, RedisConnection, call, classify};

/// How long Redis remembers that a conversation was cleared: longer than any command can be under way.
pub(super) const TOMBSTONE_TTL_MS: i64 = 86_400_000;

/// Scripts run alone, so each of these is one step, in one round trip.
macro_rules! code {
    ($file:literal) => {
        concat!(include_str!("lua/is_system.lua"), include_str!($file))
    };
}
const APPLY_CODE: &str = code!("lua/apply.lua");
static APPLY: LazyLock<Script> = LazyLock::new(|| Script::new(APPLY_CODE));
static WINDOW: LazyLock<Script> = LazyLock::new(|| Script::new(code!("lua/window.lua")));
static EXCESS: LazyLock<Script> = LazyLock::new(|| Script::new(code!("lua/excess.lua")));
static SUMMARIZE: LazyLock<Script> = LazyLock::new(|| Script::new(code!("lua/summarize.lua")));

/// The original's keys.
fn messages_key(user: &UserId) -> String {
    format!("conversation:{user}")
}

fn summary_key(user: &UserId) -> String {
    format!("conversation_summary:{user}")
}

/// Ours: the operations that were carried out, and the clearing that this conversation began with.
fn applied_key(user: &UserId) -> String {
    format!("conversation_applied:{user}")
}

fn epoch_key(user: &UserId) -> String {
    format!("conversation_epoch:{user}")
}

/// What is to be done to a conversation, oldest first; what was done before is skipped.
#[derive(Debug, Default)]
pub(super) struct ConversationUpdate {
    pub(super) now_ms: i64,
    pub(super) ttl_ms: i64,
    /// Whether a conversation that would live on longer gets `ttl_ms` too.
    pub(super) may_shorten: bool,
    pub(super) max_messages: i64,
    /// The id of a clearing that comes before all messages; and, if it comes late, when it was, for what was said since to
    /// stay.
    pub(super) cleared: Option<(String, Option<i64>)>,
    /// A summary, which is added to what the conversation has.
    pub(super) summary: Option<String>,
    /// Whether messages are put between those that are there, by their time: others may have given back theirs.
    pub(super) by_time: bool,
    /// Operations with their messages as they are stored. One without messages counts as done.
    pub(super) operations: Vec<(String, Vec<String>)>,
}

impl ConversationUpdate {
    /// About how much it is to send.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.operations.iter().flat_map(|(_, messages)| messages).chain(&self.summary);
        texts.map(String::len).sum()
    }

    /// The script's keys and arguments.
    fn arguments(&self, command: &mut Cmd, user: &UserId) {
        command.arg(4).arg(messages_key(user)).arg(summary_key(user)).arg(applied_key(user)).arg(epoch_key(user));
        let (cleared, until) = match &self.cleared {
            Some((id, until)) => (id.as_str(), until.map(codec::time).unwrap_or_default()),
            None => ("", String::new()),
        };
        command
            .arg(self.now_ms)
            .arg(self.ttl_ms)
            .arg(i32::from(self.may_shorten))
            .arg(self.max_messages)
            .arg(cleared)
            .arg(until);
        command.arg(self.summary.as_deref().unwrap_or_default()).arg(i32::from(self.by_time));
        for (id, messages) in &self.operations {
            command.arg(id).arg(messages.len()).arg(messages);
        }
    }

    /// Makes these changes at once.
    async fn apply(&self, connection: &RedisConnection, user: &UserId) -> Result<usize, Failure> {
        let mut connection = connection.clone();
        let limit = timeout_for(REQUEST_TIMEOUT, self.bytes());
        let mut command = redis::cmd("EVALSHA");
        self.arguments(command.arg(APPLY.get_hash()), user);
        let work = async {
            match command.query_async(&mut connection).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {}
                outcome => return outcome,
            }
            let mut command = redis::cmd("EVAL");
            self.arguments(command.arg(APPLY_CODE), user);
            command.query_async(&mut connection).await
        };
        call(limit, work).await
    }
}

/// Makes changes of many conversations in one round trip. What Redis refuses is given up, for it would refuse it for ever.
pub(super) async fn apply_all(
    connection: &RedisConnection,
    all: &[(UserId, ConversationUpdate)],
) -> Result<(), Failure> {
    if all.is_empty() {
        return Ok(());
    }
    let mut pipeline = redis::pipe();
    pipeline.ignore_errors().cmd("SCRIPT").arg("LOAD").arg(APPLY_CODE);
    for (user, changes) in all {
        let mut command = redis::cmd("EVALSHA");
        changes.arguments(command.arg(APPLY.get_hash()), user);
        pipeline.add_command(command);
    }
    let bytes = all.iter().map(|(_, changes)| changes.bytes()).sum();
    let mut connection = connection.clone();
    let outcomes: Vec<RedisResult<Value>> =
        call(timeout_for(BACKGROUND_TIMEOUT, bytes), pipeline.query_async(&mut connection)).await?;
    for outcome in outcomes {
        match classify(outcome) {
            Err(Failure::Rejected(error)) => {
                tracing::error!(%error, "turns of a conversation can't be written back and are given up");
            }
            outcome => drop(outcome?),
        }
    }
    Ok(())
}

pub(super) async fn append(
    connection: &RedisConnection,
    user: &UserId,
    batch: &AppendBatch<'_>,
) -> Result<usize, Failure> {
    let changes = ConversationUpdate {
        now_ms: batch.messages.iter().map(|message| message.created_ms).max().unwrap_or_default(),
        ttl_ms: batch.ttl_ms(),
        may_shorten: true,
        max_messages: batch.max_messages,
        operations: vec![(batch.operation.clone(), batch.messages.iter().map(codec::to_text).collect())],
        ..ConversationUpdate::default()
    };
    changes.apply(connection, user).await
}

pub(super) async fn clear(connection: &RedisConnection, user: &UserId, tombstone: &Tombstone) -> Result<(), Failure> {
    let cleared = Some((tombstone.operation.clone(), None));
    let changes = ConversationUpdate {
        now_ms: tombstone.at_ms,
        cleared,
        ttl_ms: TOMBSTONE_TTL_MS,
        max_messages: i64::MAX,
        ..ConversationUpdate::default()
    };
    changes.apply(connection, user).await.map(|_| ())
}

pub(super) async fn recent(connection: &RedisConnection, user: &UserId, limit: usize) -> Result<Conversation, Failure> {
    // An end before the start means none; -1 would mean all.
    let (start, end) = if limit == 0 { (1, 0) } else { (0, isize::try_from(limit).unwrap_or(isize::MAX) - 1) };
    let mut pipeline = redis::pipe();
    pipeline.atomic().get(summary_key(user)).lrange(messages_key(user), start, end);
    let mut connection = connection.clone();
    let (summary, texts): (Option<Vec<u8>>, Vec<Vec<u8>>) =
        call(REQUEST_TIMEOUT, pipeline.query_async(&mut connection)).await?;
    Ok(conversation(summary.unwrap_or_default(), &texts))
}

pub(super) async fn window(connection: &RedisConnection, user: &UserId, chars: usize) -> Result<Conversation, Failure> {
    let mut script = WINDOW.prepare_invoke();
    script.key(messages_key(user)).key(summary_key(user)).arg(chars);
    let mut connection = connection.clone();
    let mut found: Vec<Vec<u8>> = call(REQUEST_TIMEOUT, script.invoke_async(&mut connection)).await?;
    let texts = found.split_off(1.min(found.len()));
    Ok(conversation(found.pop().unwrap_or_default(), &texts))
}

pub(super) async fn excess(
    connection: &RedisConnection,
    user: &UserId,
    keep: usize,
    max_messages: usize,
) -> Result<Option<Excess>, Failure> {
    let mut script = EXCESS.prepare_invoke();
    script.key(messages_key(user)).key(summary_key(user)).key(epoch_key(user)).arg(keep).arg(max_messages);
    let mut connection = connection.clone();
    let found: Vec<Vec<u8>> = call(REQUEST_TIMEOUT, script.invoke_async(&mut connection)).await?;
    let mut found = found.into_iter();
    let (epoch, summary) = (found.next().unwrap_or_default(), found.next().unwrap_or_default());
    let texts: Vec<Vec<u8>> = found.collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let Conversation { summary, messages } = conversation(summary, &texts);
    let place = MessageIdentity::Redis { epoch: text(&epoch), texts };
    Ok(Some(Excess { messages, summary, place }))
}

pub(super) async fn summarize(
    connection: &RedisConnection,
    user: &UserId,
    (epoch, texts): (&str, &[Vec<u8>]),
    summary: &str,
    now_ms: i64,
) -> Result<bool, Failure> {
    let mut script = SUMMARIZE.prepare_invoke();
    script.key(messages_key(user)).key(summary_key(user)).key(epoch_key(user)).key(applied_key(user));
    script.arg(epoch).arg(summary).arg(now_ms);
    for text in texts {
        script.arg(text.as_slice());
    }
    let mut connection = connection.clone();
    call(REQUEST_TIMEOUT, script.invoke_async(&mut connection)).await
}

/// What others have written need not be UTF-8.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn conversation(summary: Vec<u8>, texts: &[Vec<u8>]) -> Conversation {
    let messages: Vec<Message> = texts.iter().map(|bytes| codec::from_text(&text(bytes))).collect();
    Conversation { summary: Some(text(&summary)).filter(|summary| !summary.is_empty()), messages }
}
