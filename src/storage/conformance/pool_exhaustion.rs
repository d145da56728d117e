//! A service that is well, but has no time for one request.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::TestStores;
use crate::kernel::{ErrorKind, new_id};
use crate::storage::ExecutionStatus;

#[tokio::test]
async fn a_postgres_whose_connections_are_all_in_use_is_not_away() {
    let Some(bench) = TestStores::postgres().await else { return };
    let (store, known) = (&bench.stores.executions, bench.execution(&new_id()));
    store.begin(known.clone()).await.unwrap();
    assert!(store.get(&known.id).await.unwrap().is_some());
    let pool = bench.stores.postgres.as_ref().unwrap().connection().unwrap().pool;
    let busy = join_all((0..4).map(|_| pool.acquire())).await;

    let error = store.get(&known.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConfigured, "it is there, though nobody could look: {error}");
    // The keeper has a look meanwhile.
    sleep(Duration::from_millis(800)).await;
    let status = bench.stores.postgres().unwrap();
    assert!(status.connected && status.failures == 1, "{status:?}");

    // What is written keeps its order: it waits, and so does what comes after it, until it has been written.
    let late = bench.execution(&new_id());
    store.begin(late.clone()).await.unwrap();
    bench.finish(&late.id, ExecutionStatus::Completed).await;
    drop(busy);
    for _ in 0..500 {
        if bench.stores.postgres().unwrap().connected {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    let status = bench.stores.postgres().unwrap();
    assert_eq!((status.connected, status.pending, status.last_error), (true, 0, None));
    assert!(store.get(&late.id).await.unwrap().is_some() && store.get(&known.id).await.unwrap().is_some());
}
