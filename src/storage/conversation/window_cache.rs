use std::collections::HashMap;
use std::sync::Arc;

use hashlink::LruCache;
use parking_lot::Mutex;

use super::types::{Conversation, Message};
use super::window::Window;

/// Bytes of all conversations that are kept.
const MAX_BYTES: usize = 8_000_000;
/// Bytes of one conversation that are kept: more than what a model is shown of it as a rule.
const MAX_CONVERSATION_BYTES: usize = 400_000;
/// The newest messages of the conversations that were last in use, exactly as the embedded database has them: no other process writes
/// to that. Whoever writes to a conversation says so before, by [`WindowCache::changing`], and what it came to afterwards.
#[derive(Clone, Debug, Default)]
pub(in crate::storage) struct WindowCache(Arc<Mutex<Windows>>);

#[derive(Debug)]
struct Windows {
    kept: LruCache<String, Window>,
    bytes: usize,
    /// Of conversations that are being read or written.
    activity: HashMap<String, Activity>,
}

#[derive(Debug, Default)]
struct Activity {
    readers: usize,
    writers: usize,
    /// Grows with each write.
    writes: u64,
}

/// What has become of a conversation.
pub(in crate::storage) enum WindowChange<'a> {
    /// Messages were added at `now_ms`; `held` says how many there are after the last of several such changes.
    Append { user: &'a str, messages: &'a [Arc<Message>], now_ms: i64, expires_at: i64, held: Option<usize> },
    /// Something else.
    Forget(&'a str),
}

/// Conversations that are being written to. Unless it is [`Changing::done`], they are forgotten when it is dropped.
pub(in crate::storage) struct Changing {
    cache: WindowCache,
    users: Vec<String>,
}

/// A conversation that is being read, since it is not in the cache.
pub(super) struct Reading {
    cache: WindowCache,
    user: String,
    /// How many writes there were, if none was going on.
    writes: Option<u64>,
}

impl Default for Windows {
    fn default() -> Self {
        Self { kept: LruCache::new_unbounded(), bytes: 0, activity: HashMap::new() }
    }
}

impl WindowCache {
    /// What the database would give for the newest messages with so many characters; or else the right to [`Reading::keep`] what is read.
    pub(super) fn get(&self, user: &str, chars: usize, now_ms: i64) -> Result<Conversation, Reading> {
        let mut windows = self.0.lock();
        if let Some(conversation) = windows.kept.get(user).and_then(|window| window.newest(chars, now_ms)) {
            return Ok(conversation);
        }
        let activity = windows.activity.entry(user.to_owned()).or_default();
        activity.readers += 1;
        let writes = (activity.writers == 0).then_some(activity.writes);
        Err(Reading { cache: self.clone(), user: user.to_owned(), writes })
    }

    /// How many messages the database has of a conversation, if that is known.
    pub(in crate::storage) fn held(&self, user: &str, now_ms: i64) -> Option<usize> {
        let windows = self.0.lock();
        let window = windows.kept.peek(user)?;
        Some(if window.expires_at <= now_ms { 0 } else { window.missing + window.messages.len() })
    }

    /// Announces that these conversations are written to.
    pub(in crate::storage) fn changing<'a>(&self, users: impl IntoIterator<Item = &'a str>) -> Changing {
        let users: Vec<String> = users.into_iter().map(str::to_owned).collect();
        if !users.is_empty() {
            let mut windows = self.0.lock();
            for user in &users {
                windows.activity.entry(user.clone()).or_default().writers += 1;
            }
        }
        Changing { cache: self.clone(), users }
    }

    /// Forgets conversations that have expired, which are being deleted.
    pub(super) fn forget_expired(&self, now_ms: i64) {
        let mut windows = self.0.lock();
        let expired = windows.kept.iter().filter(|(_, window)| window.expires_at <= now_ms);
        let expired: Vec<String> = expired.map(|(user, _)| user.clone()).collect();
        expired.iter().for_each(|user| windows.forget(user));
    }
}

impl Changing {
    /// It is written, and this is what it came to.
    pub(in crate::storage) fn done<'a>(mut self, changes: impl Iterator<Item = WindowChange<'a>>) {
        let mut windows = self.cache.0.lock();
        changes.for_each(|change| windows.apply(change));
        std::mem::take(&mut self.users).iter().for_each(|user| windows.written(user));
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        if self.users.is_empty() {
            return;
        }
        let mut windows = self.cache.0.lock();
        for user in &self.users {
            windows.forget(user);
            windows.written(user);
        }
    }
}

impl Reading {
    /// Keeps what the database has given, unless the conversation was written to meanwhile.
    pub(super) fn keep(self, window: Window) {
        let mut windows = self.cache.0.lock();
        let activity = windows.activity.get(&self.user);
        let is_current = activity.is_some_and(|now| now.writers == 0 && self.writes == Some(now.writes));
        if is_current {
            windows.keep(self.user.clone(), window);
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut windows = self.cache.0.lock();
        if let Some(activity) = windows.activity.get_mut(&self.user) {
            activity.readers = activity.readers.saturating_sub(1);
        }
        windows.tidy(&self.user);
    }
}

impl Windows {
    fn apply(&mut self, change: WindowChange<'_>) {
        match change {
            WindowChange::Forget(user) => self.forget(user),
            WindowChange::Append { user, messages, now_ms, expires_at, held } => {
                let Some(mut window) = self.take(user) else { return };
                if window.append(messages, now_ms, expires_at, held) {
                    self.keep(user.to_owned(), window);
                }
            }
        }
    }

    fn keep(&mut self, user: String, mut window: Window) {
        if !window.shrink(MAX_CONVERSATION_BYTES) {
            return;
        }
        self.forget(&user);
        self.bytes += window.bytes();
        self.kept.insert(user, window);
        while self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.kept.remove_lru() else { return };
            self.bytes -= oldest.bytes();
        }
    }

    fn take(&mut self, user: &str) -> Option<Window> {
        let window = self.kept.remove(user)?;
        self.bytes -= window.bytes();
        Some(window)
    }

    fn forget(&mut self, user: &str) {
        drop(self.take(user));
    }

    /// A write to a conversation has ended.
    fn written(&mut self, user: &str) {
        if let Some(activity) = self.activity.get_mut(user) {
            activity.writers = activity.writers.saturating_sub(1);
            activity.writes += 1;
        }
        self.tidy(user);
    }

    fn tidy(&mut self, user: &str) {
        if self.activity.get(user).is_some_and(|activity| activity.readers + activity.writers == 0) {
            self.activity.remove(user);
        }
    }
}
