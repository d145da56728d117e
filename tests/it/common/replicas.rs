//! Servers that share one Postgres, as replicas do.

use std::time::{Duration, Instant};

use super::TestServer;
use super::resources::ResourceKind;

/// Two servers, each with a folder of its own.
pub async fn two(dsn: &str, variables: &[(&str, &str)]) -> (TestServer, TestServer) {
    let all: Vec<_> = variables.iter().copied().chain([("POSTGRES_DSN", dsn)]).collect();
    (TestServer::with(&all).await, TestServer::with(&all).await)
}

/// Waits until a condition holds, for so long at most; gives how long that took.
pub async fn within(limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    started.elapsed()
}

/// Waits until what both servers list is the same.
pub async fn same(one: &TestServer, two: &TestServer, resource: &ResourceKind, limit: Duration) {
    let list = async |server: &TestServer| server.get(resource.path).await.expect(200);
    within(limit, resource.path, async || list(one).await == list(two).await).await;
}

/// Waits until Postgres is, or is not, in use.
pub async fn until_postgres(server: &TestServer, wanted: &str) {
    let state = async || {
        let health = server.get("/api/memory/health").await.expect(200);
        health["storage"][1]["status"] == wanted
    };
    within(Duration::from_secs(20), wanted, state).await;
}
