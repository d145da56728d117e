use std::sync::LazyLock;

use redis::{Script, ScriptInvocation, Value};

use super::postgres::StoredConversation;
use super::stored_message::StoredMessage;
use crate::kernel::{Error, UserId};
use crate::storage::conversation::redis::conversation;
use crate::storage::conversation::script::{messages_key, summary_key};
use crate::storage::conversation::types::{Conversation, Extent};
use crate::storage::failover::{Failure, timeout_for};
use crate::storage::redis::{BACKGROUND_TIMEOUT, REQUEST_TIMEOUT, RedisConnection, call};

/// How long Redis remembers that there is no window: longer than anybody can be about to fill one.
const ABSENT_MS: i64 = 60_000;
/// The same for what was written without Postgres, which outlasts an outage.
const DIRTY_MS: i64 = 86_400_000;

macro_rules! window_code {
    ($($file:literal),+) => {
        Script::new(concat!(
            include_str!("../lua/is_system.lua"),
            include_str!("../lua/window_state.lua"),
            $(include_str!($file)),+
        ))
    };
}

static RECENT: LazyLock<Script> = LazyLock::new(|| window_code!("../lua/current.lua", "../lua/recent.lua"));
static WINDOW: LazyLock<Script> = LazyLock::new(|| window_code!("../lua/current.lua", "../lua/window.lua"));
static PUSH: LazyLock<Script> = LazyLock::new(|| window_code!("../lua/push_window.lua"));
static FILL: LazyLock<Script> = LazyLock::new(|| window_code!("../lua/fill_window.lua"));
static DROP: LazyLock<Script> = LazyLock::new(|| window_code!("../lua/drop_window.lua"));

/// Windows in one run of Redis.
pub(super) struct RedisWindows<'a> {
    pub(super) connection: RedisConnection,
    pub(super) run: &'a str,
}

/// The state of a window.
pub(super) fn window_key(user: &str) -> String {
    format!("conversation_window:{user}")
}

impl RedisWindows<'_> {
    /// What the window has; `None` if there is no window.
    pub(super) async fn read(mut self, user: &UserId, extent: Extent) -> Result<Option<Conversation>, Failure> {
        let (script, bound) = match extent {
            Extent::Messages(limit) => (&RECENT, limit),
            Extent::Characters(characters) => (&WINDOW, characters),
        };
        let mut script = with_keys(script, user.as_str());
        script.arg(bound).arg(self.run);
        let mut found: Vec<Vec<u8>> = call(REQUEST_TIMEOUT, script.invoke_async(&mut self.connection)).await?;
        if found.is_empty() {
            return Ok(None);
        }
        let texts = found.split_off(1);
        Ok(Some(conversation(found.pop().unwrap_or_default(), &texts)))
    }

    /// Tells the window what was added, and the version and the number of messages that the conversation has come to.
    pub(super) async fn push(
        mut self,
        user: &UserId,
        messages: &[StoredMessage],
        (version, held): (i64, usize),
        ttl_ms: i64,
    ) -> Result<(), Failure> {
        let mut script = with_keys(&PUSH, user.as_str());
        script.arg(self.run).arg(version).arg(held).arg(ttl_ms).arg(ABSENT_MS);
        for message in messages {
            script.arg(&message.body);
        }
        let limit = timeout_for(REQUEST_TIMEOUT, messages.iter().map(|message| message.body.len()).sum());
        call(limit, script.invoke_async(&mut self.connection)).await
    }

    /// Fills the window.
    pub(super) async fn fill(
        mut self,
        user: &UserId,
        (version, summary): (i64, Option<&str>),
        oldest_first: impl Iterator<Item = &str>,
        ttl_ms: i64,
    ) -> Result<(), Failure> {
        let mut script = with_keys(&FILL, user.as_str());
        script.arg(self.run).arg(version).arg(ttl_ms).arg(summary.unwrap_or_default());
        let mut bytes = 0;
        for body in oldest_first {
            bytes += body.len();
            script.arg(body);
        }
        call(timeout_for(REQUEST_TIMEOUT, bytes), script.invoke_async(&mut self.connection)).await
    }

    /// Drops windows that are older than these versions.
    pub(super) async fn drop_older(mut self, versions: &[(String, i64)]) -> Result<(), Failure> {
        let mut pipeline = redis::pipe();
        pipeline.load_script(&DROP).ignore();
        for (user, version) in versions {
            let mut script = with_keys(&DROP, user);
            pipeline.invoke_script(script.arg(self.run).arg(version).arg(ABSENT_MS));
        }
        call(BACKGROUND_TIMEOUT, pipeline.query_async::<Value>(&mut self.connection)).await.map(drop)
    }

    /// Says that what Redis has of a conversation was written without Postgres.
    pub(super) async fn mark_dirty(mut self, user: &str) -> Result<(), Failure> {
        let mut script = with_keys(&DROP, user);
        script.arg(self.run).arg("").arg(DIRTY_MS);
        call(REQUEST_TIMEOUT, script.invoke_async(&mut self.connection)).await
    }
}

fn with_keys(script: &'static Script, user: &str) -> ScriptInvocation<'static> {
    let mut invocation = script.prepare_invoke();
    invocation.key(messages_key(user)).key(summary_key(user)).key(window_key(user));
    invocation
}

/// What a window is filled with, oldest first.
pub(super) fn oldest_first(stored: &StoredConversation) -> impl Iterator<Item = &str> {
    stored.bodies.iter().flatten().rev().map(String::as_str)
}

/// Postgres has what counts.
pub(super) fn not_in_redis(error: &Error) {
    tracing::warn!(%error, "Redis can't hold the window of a conversation");
}
