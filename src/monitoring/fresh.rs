use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long what was found out counts as current.
const LIFETIME: Duration = Duration::from_secs(2);

/// Something that takes time to find out: callers that come meanwhile wait for the one that asks, and those that come soon
/// after get the same. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Fresh<K, T>(Arc<Mutex<Option<(Instant, K, T)>>>);

impl<K, T> Default for Fresh<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: PartialEq, T: Clone> Fresh<K, T> {
    /// What is known about `key`, or else what `find_out` finds. If the caller that asks leaves, the next one asks anew.
    pub(super) async fn get(&self, key: K, find_out: impl Future<Output = T>) -> T {
        let mut known = self.0.lock().await;
        if let Some((at, of, found)) = &*known
            && *of == key
            && at.elapsed() < LIFETIME
        {
            return found.clone();
        }
        let found = find_out.await;
        *known = Some((Instant::now(), key, found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_callers_ask_once() {
        let (fresh, asked) = (Fresh::default(), AtomicUsize::new(0));
        let get = |key: &'static str| {
            fresh.get(key, async {
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
        tokio::select! {
            _ = get("c") => panic!("it takes a second"),
            () = tokio::time::sleep(LIFETIME / 10) => {}
        }
        assert_eq!(get("c").await, 4, "one that left does not count");
    }
}
