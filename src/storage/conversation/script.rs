use std::fmt::Display;
use std::sync::LazyLock;

use redis::{RedisResult, Script, ScriptInvocation, Value};

use super::codec;
use super::types::Tombstone;
use crate::kernel::UserId;
use crate::storage::failover::{Failure, timeout_for};
use crate::storage::redis::{BACKGROUND_TIMEOUT, REQUEST_TIMEOUT, RedisConnection, call, classify};

/// How long Redis remembers that a conversation was cleared: longer than any command can be under way.
const TOMBSTONE_TTL_MS: i64 = 86_400_000;

/// A script with what all share. Scripts run alone, so each is one step, in one round trip.
macro_rules! code {
    ($file:literal) => {
        concat!(include_str!("lua/is_system.lua"), include_str!($file))
    };
}
pub(super) use code;

const APPLY_CODE: &str = code!("lua/apply.lua");
static APPLY: LazyLock<Script> = LazyLock::new(|| Script::new(APPLY_CODE));

/// The original's keys.
pub(super) fn messages_key(user: impl Display) -> String {
    format!("conversation:{user}")
}

pub(super) fn summary_key(user: impl Display) -> String {
    format!("conversation_summary:{user}")
}

/// Ours: the steps that were carried out, and the clearing that this conversation began with.
pub(super) fn applied_key(user: &UserId) -> String {
    format!("conversation_applied:{user}")
}

pub(super) fn epoch_key(user: &UserId) -> String {
    format!("conversation_epoch:{user}")
}

/// In which case an update is carried out.
#[derive(Debug, Default)]
pub(super) enum Condition {
    #[default]
    Always,
    /// If Redis has no such conversation.
    Absent,
    /// If Redis knows the step with this id.
    Follows(String),
}

/// What is to be done to a conversation, oldest first; what was done before is skipped.
#[derive(Debug, Default)]
pub(super) struct ConversationUpdate {
    pub(super) condition: Condition,
    pub(super) now_ms: i64,
    pub(super) ttl_ms: i64,
    /// Whether a conversation that would live on longer gets `ttl_ms` too.
    pub(super) may_shorten: bool,
    pub(super) max_messages: i64,
    /// A clearing that comes before all messages. One that comes late spares what was said since.
    pub(super) cleared: Option<Tombstone>,
    pub(super) is_late: bool,
    /// The summary, unless the conversation has one.
    pub(super) summary: Option<String>,
    /// Ids of steps with their messages as they are stored. One without messages counts as done.
    pub(super) steps: Vec<(String, Vec<String>)>,
}

impl ConversationUpdate {
    /// Nothing to be done yet, and long after it was asked for. How long steps are remembered outlives the conversation.
    pub(super) fn late(now_ms: i64) -> Self {
        Self { now_ms, ttl_ms: TOMBSTONE_TTL_MS, max_messages: i64::MAX, is_late: true, ..Self::default() }
    }

    /// A clearing, now.
    pub(super) fn clearing(tombstone: &Tombstone) -> Self {
        Self { cleared: Some(tombstone.clone()), is_late: false, ..Self::late(tombstone.at_ms) }
    }

    /// About how much it is to send.
    pub(super) fn bytes(&self) -> usize {
        let texts = self.steps.iter().flat_map(|(_, messages)| messages).chain(&self.summary);
        texts.map(String::len).sum()
    }

    fn invocation(&self, user: &UserId) -> ScriptInvocation<'static> {
        let mut script = APPLY.prepare_invoke();
        script.key(messages_key(user)).key(summary_key(user)).key(applied_key(user)).key(epoch_key(user));
        script.arg(match &self.condition {
            Condition::Always => "",
            Condition::Absent => "absent",
            Condition::Follows(id) => id,
        });
        script.arg(self.now_ms).arg(self.ttl_ms).arg(i32::from(self.may_shorten)).arg(self.max_messages);
        let cleared = self.cleared.as_ref();
        script.arg(cleared.map_or("", |tombstone| &tombstone.id));
        let until = cleared.filter(|_| self.is_late).map(|tombstone| codec::time(tombstone.at_ms));
        script.arg(until.unwrap_or_default()).arg(self.summary.as_deref().unwrap_or_default());
        for (id, messages) in &self.steps {
            script.arg(id).arg(messages.len()).arg(messages);
        }
        script
    }

    /// Carries the update out; returns how many messages the conversation holds.
    pub(super) async fn apply(&self, mut connection: RedisConnection, user: &UserId) -> Result<usize, Failure> {
        let limit = timeout_for(REQUEST_TIMEOUT, self.bytes());
        call(limit, self.invocation(user).invoke_async(&mut connection)).await
    }
}

/// Updates many conversations in one round trip. What Redis rejects is given up, for it would reject it for ever.
pub(super) async fn apply_all(
    mut connection: RedisConnection,
    all: &[(UserId, ConversationUpdate)],
) -> Result<(), Failure> {
    if all.is_empty() {
        return Ok(());
    }
    let mut pipeline = redis::pipe();
    pipeline.ignore_errors().cmd("SCRIPT").arg("LOAD").arg(APPLY_CODE);
    for (user, update) in all {
        pipeline.invoke_script(&update.invocation(user));
    }
    let bytes = all.iter().map(|(_, update)| update.bytes()).sum();
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
