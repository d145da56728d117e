use std::sync::LazyLock;

use redis::Script;

use super::embedded::EmbeddedConversations;
use super::script::{Condition, ConversationUpdate, applied_key, apply_all, messages_key};
use crate::kernel::UserId;
use crate::storage::failover::{Failure, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use crate::storage::redis::{BACKGROUND_TIMEOUT, RedisConnection, call};

static KNOWN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/known.lua")));

/// Gives a Redis that has forgotten something what there is a copy of: forgotten clearings first; a copy whole if Redis has no such
/// conversation, else what follows the newest step that Redis knows. Returns how many conversations have no such step and stay.
pub(crate) async fn restore(store: &EmbeddedConversations, connection: &RedisConnection) -> Result<usize, Failure> {
    let installation = store.database.installation().await?;
    let (mut last, mut differing) = (String::new(), 0);
    loop {
        let owners = store.users_after(&last).await?;
        let Some(newest) = owners.last() else { return Ok(differing) };
        last.clone_from(newest);
        let users: Vec<UserId> = owners.iter().filter_map(|owner| UserId::parse(owner).ok()).collect();
        let mut page = Page { store, connection, all: Vec::new(), bytes: 0 };
        for user in &users {
            let cleared = store.copy(user).await?.tombstone().await?;
            page.add(user, ConversationUpdate { cleared, ..page.update() }).await?;
        }
        page.send().await?;
        for user in &users {
            if !give_back(&mut page, user, &installation).await? {
                differing += 1;
            }
        }
        page.send().await?;
    }
}

/// Gives back what Redis lacks of one conversation. Returns false if Redis has another one.
async fn give_back(page: &mut Page<'_>, user: &UserId, installation: &str) -> Result<bool, Failure> {
    let mut copy = page.store.copy(user).await?;
    let Some(lifetime) = copy.lifetime().await? else { return Ok(true) };
    let steps = copy.steps(installation).await?;
    let (exists, newest_known) = ask(page.connection, user, &steps).await?;
    let (mut condition, mut after, mut summary) = match steps.get(newest_known) {
        Some((id, row)) => (Condition::Follows(id.clone()), *row, None),
        None if exists => return Ok(steps.is_empty()),
        None => (Condition::Absent, 0, lifetime.summary),
    };
    loop {
        let steps = copy.chunk(installation, &mut after).await?;
        let next = steps.last().map(|(id, _)| Condition::Follows(id.clone()));
        let ttl_ms = lifetime.ttl_ms;
        let update = ConversationUpdate { condition, ttl_ms, summary: summary.take(), steps, ..page.update() };
        page.add(user, update).await?;
        match next {
            Some(next) => condition = next,
            None => return Ok(true),
        }
    }
}

/// Whether Redis has this conversation, and the place of the newest step that it knows; beyond the last if it knows none.
async fn ask(connection: &RedisConnection, user: &UserId, steps: &[(String, i64)]) -> Result<(bool, usize), Failure> {
    let mut script = KNOWN.prepare_invoke();
    script.key(messages_key(user)).key(applied_key(user));
    for (id, _) in steps {
        script.arg(id);
    }
    let (exists, nth): (bool, usize) = call(BACKGROUND_TIMEOUT, script.invoke_async(&mut connection.clone())).await?;
    Ok((exists, nth.checked_sub(1).unwrap_or(steps.len())))
}

/// What is sent together: enough to be quick, little enough for Redis to answer others in between.
struct Page<'a> {
    store: &'a EmbeddedConversations,
    connection: &'a RedisConnection,
    all: Vec<(UserId, ConversationUpdate)>,
    bytes: usize,
}

impl Page<'_> {
    fn update(&self) -> ConversationUpdate {
        ConversationUpdate::late(self.store.clock.now_ms())
    }

    async fn add(&mut self, user: &UserId, update: ConversationUpdate) -> Result<(), Failure> {
        if update.cleared.is_none() && update.summary.is_none() && update.steps.is_empty() {
            return Ok(());
        }
        self.bytes += update.bytes();
        self.all.push((user.clone(), update));
        if self.bytes >= MAX_PAGE_BYTES || self.all.len() >= MAX_PAGE_ENTRIES { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<(), Failure> {
        self.bytes = 0;
        apply_all(self.connection.clone(), &std::mem::take(&mut self.all)).await
    }
}
