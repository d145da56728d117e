use std::future::Future;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::kernel::count_panics;

/// How long what was found out counts as current.
const TTL: Duration = Duration::from_secs(2);
/// Things that are asked about at once.
const MAX_TURNS: usize = 16;

/// Something that takes time to find out: callers that come meanwhile, or soon after, get the same. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct SingleFlight<K, T> {
    cached: Arc<RwLock<Option<CachedValue<K, T>>>>,
    /// What somebody is asking about, each with the lock that is held meanwhile: nobody waits for what is found about something else.
    turns: Arc<RwLock<Vec<Flight<K>>>>,
}

/// What is asked about, and the lock that is held meanwhile.
type Flight<K> = (K, Weak<Mutex<()>>);

#[derive(Debug)]
struct CachedValue<K, T> {
    at: Instant,
    key: K,
    value: T,
}

/// A key that is equal to what is kept at the same address.
#[derive(Clone, Debug)]
pub(super) struct ByAddress<T>(pub(super) Arc<T>);

impl<T> PartialEq for ByAddress<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<K, T> Default for SingleFlight<K, T> {
    fn default() -> Self {
        Self { cached: Arc::default(), turns: Arc::default() }
    }
}

impl<K, T> SingleFlight<K, T>
where
    K: PartialEq + Clone + Send + Sync + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// What is known about `key`, or else what `load` finds, which goes on if the caller leaves, for those who come later.
    pub(super) async fn get(&self, key: K, load: impl Future<Output = T> + Send + 'static) -> T {
        let lock = self.turn(&key).lock_owned().await;
        if let Some((value, age)) = self.cached_for(&key)
            && age < TTL
        {
            return value;
        }
        match self.spawn_load(lock, key, load).await {
            Ok(Some(value)) => value,
            Ok(None) => resume_unwind(Box::new("a shared look-up has panicked")),
            // The runtime is ending.
            Err(_) => std::future::pending().await,
        }
    }

    /// What was found out about `key` last, and how long ago; if it is older than `lifetime`, `load` begins. Never waits.
    pub(super) fn last(
        &self,
        key: K,
        lifetime: Duration,
        load: impl Future<Output = T> + Send + 'static,
    ) -> Option<(T, Duration)> {
        let cached = self.cached_for(&key);
        let is_current = cached.as_ref().is_some_and(|(_, age)| *age < lifetime);
        if !is_current && let Ok(lock) = self.turn(&key).try_lock_owned() {
            drop(self.spawn_load(lock, key, load));
        }
        cached
    }

    /// The lock of those who ask about `key`. While a great many things are asked about at once, some share one.
    fn turn(&self, key: &K) -> Arc<Mutex<()>> {
        let mut turns = self.turns.write();
        turns.retain(|(_, lock)| lock.strong_count() > 0);
        let own = turns.iter().find(|(of, _)| of == key).or_else(|| turns.get(MAX_TURNS - 1));
        own.and_then(|(_, lock)| lock.upgrade()).unwrap_or_else(|| {
            let lock = Arc::default();
            turns.push((key.clone(), Arc::downgrade(&lock)));
            lock
        })
    }

    fn spawn_load(
        &self,
        lock: OwnedMutexGuard<()>,
        key: K,
        load: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let flight = self.clone();
        tokio::spawn(count_panics("single_flight", async move {
            let value = load.await;
            *flight.cached.write() = Some(CachedValue { at: Instant::now(), key, value: value.clone() });
            drop(lock);
            value
        }))
    }

    fn cached_for(&self, key: &K) -> Option<(T, Duration)> {
        let cached = self.cached.read();
        cached.as_ref().filter(|cached| cached.key == *key).map(|cached| (cached.value.clone(), cached.at.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_callers_ask_once() {
        let (flight, asked) = (SingleFlight::default(), Arc::new(AtomicUsize::new(0)));
        let get = |key: &'static str| {
            let asked = asked.clone();
            flight.get(key, async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                asked.fetch_add(1, Ordering::SeqCst) + 1
            })
        };
        assert_eq!(tokio::join!(get("a"), get("a"), get("a")), (1, 1, 1));
        tokio::time::sleep(TTL / 2).await;
        assert_eq!(get("a").await, 1);
        assert_eq!(get("b").await, 2, "of something else nothing is known");
        tokio::time::sleep(TTL).await;
        assert_eq!(get("b").await, 3);
        for _ in 0..3 {
            tokio::select! {
                _ = get("c") => panic!("it takes a second"),
                () = tokio::time::sleep(TTL / 10) => {}
            }
        }
        assert_eq!(get("c").await, 4, "those who left had begun to ask");
        let asked = Instant::now();
        tokio::join!(get("d"), get("e"), get("f"));
        assert!(asked.elapsed() < Duration::from_secs(2), "nobody waits for what is found about something else");
    }

    #[tokio::test(start_paused = true)]
    async fn who_can_not_wait_gets_what_was_found_last() {
        let (flight, asked) = (SingleFlight::default(), Arc::new(AtomicUsize::new(0)));
        let last = |key: &'static str| {
            let asked = asked.clone();
            let value = flight.last(key, Duration::from_secs(30), async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                asked.fetch_add(1, Ordering::SeqCst) + 1
            });
            value.map(|(value, age)| (value, age.as_secs()))
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
