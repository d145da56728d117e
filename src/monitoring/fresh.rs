use std::future::Future;
use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

/// How long what was found out counts as current.
const LIFETIME: Duration = Duration::from_secs(2);

/// Something that takes time to find out: callers that come meanwhile wait for the one that asks, and those that come soon
/// after get the same. Cheap to clone.
#[derive(Debug)]
pub(super) struct Fresh<K, T> {
    known: Arc<RwLock<Option<Known<K, T>>>>,
    /// Held by whoever asks.
    turn: Arc<Mutex<()>>,
}

#[derive(Clone, Debug)]
struct Known<K, T> {
    at: Instant,
    of: K,
    found: T,
}

impl<K, T> Default for Fresh<K, T> {
    fn default() -> Self {
        Self { known: Arc::default(), turn: Arc::default() }
    }
}

impl<K, T> Clone for Fresh<K, T> {
    fn clone(&self) -> Self {
        Self { known: self.known.clone(), turn: self.turn.clone() }
    }
}

impl<K, T> Fresh<K, T>
where
    K: PartialEq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// What is known about `key`, or else what `find_out` finds. It goes on if the caller leaves, so that callers without
    /// patience don't keep each other from ever knowing.
    pub(super) async fn get(&self, key: K, find_out: impl Future<Output = T> + Send + 'static) -> T {
        let turn = self.turn.clone().lock_owned().await;
        if let Some(known) = self.known_of(&key)
            && known.at.elapsed() < LIFETIME
        {
            return known.found;
        }
        match self.ask(turn, key, find_out).await.map_err(JoinError::try_into_panic) {
            Ok(found) => found,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime is ending.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// What was found out about `key` last, and how long ago. Never waits: if it is older than `lifetime`, `find_out` begins
    /// for those who come later.
    pub(super) fn last(
        &self,
        key: K,
        lifetime: Duration,
        find_out: impl Future<Output = T> + Send + 'static,
    ) -> Option<(T, Duration)> {
        let known = self.known_of(&key).map(|known| (known.found, known.at.elapsed()));
        let is_current = known.as_ref().is_some_and(|(_, age)| *age < lifetime);
        if !is_current && let Ok(turn) = self.turn.clone().try_lock_owned() {
            drop(self.ask(turn, key, find_out));
        }
        known
    }

    fn ask(
        &self,
        turn: OwnedMutexGuard<()>,
        key: K,
        find_out: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let fresh = self.clone();
        tokio::spawn(async move {
            let found = find_out.await;
            let known = Known { at: Instant::now(), of: key, found: found.clone() };
            *fresh.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
            drop(turn);
            found
        })
    }

    fn known_of(&self, key: &K) -> Option<Known<K, T>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.of == *key).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_callers_ask_once() {
        let (fresh, asked) = (Fresh::default(), Arc::new(AtomicUsize::new(0)));
        let get = |key: &'static str| {
            let asked = asked.clone();
            fresh.get(key, async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                asked.fetch_add(1, Ordering::SeqCst) + 1
            })
        };
        assert_eq!(tokio::join!(get("a"), get("a"), get("a")), (1, 1, 1));
        tokio::time::sleep(LIFETIME / 2).await;
        assert_eq!(get("a").await, 1);
        assert_eq!(get("b").await, 2, "of something else nothing is known");
        tokio::time::sleep(LIFETIME).await;
        assert_eq!(get("b").await, 3);
        for _ in 0..3 {
            tokio::select! {
                _ = get("c") => panic!("it takes a second"),
                () = tokio::time::sleep(LIFETIME / 10) => {}
            }
        }
        assert_eq!(get("c").await, 4, "those who left had begun to ask");
    }

    #[tokio::test(start_paused = true)]
    async fn who_can_not_wait_gets_what_was_found_last() {
        let (fresh, asked) = (Fresh::default(), Arc::new(AtomicUsize::new(0)));
        let last = |key: &'static str| {
            let asked = asked.clone();
            let found = fresh.last(key, Duration::from_secs(30), async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                asked.fetch_add(1, Ordering::SeqCst) + 1
            });
            found.map(|(found, age)| (found, age.as_secs()))
        };
        let seconds = async |count| tokio::time::sleep(Duration::from_secs(count)).await;
        assert_eq!((last("a"), last("a")), (None, None), "the first is asking already");
        seconds(6).await;
        assert_eq!((last("a"), last("b")), (Some((1, 1)), None));
        seconds(6).await;
        assert_eq!((last("b"), last("b")), (Some((2, 1)), Some((2, 1))));
        seconds(40).await;
        assert_eq!((last("b"), last("b")), (Some((2, 41)), Some((2, 41))), "one asks anew, and nobody waits");
        seconds(6).await;
        assert_eq!(last("b"), Some((3, 1)));
    }
}
