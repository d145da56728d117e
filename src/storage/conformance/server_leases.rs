//! Servers that share a Postgres: which of them are alive, whose executions are interrupted, and who does the work of one.

use std::time::Duration;

use sqlx::PgPool;
use tempfile::TempDir;

use super::executions::begun;
use super::{new_database, settings};
use crate::kernel::{Clock, Secret};
use crate::storage::execution::renew_and_bury;
use crate::storage::failover::Failover;
use crate::storage::postgres::{LEASE, PostgresConnection, ServerLease, WorkClaim};
use crate::storage::{ExecutionStatus, Outcome, Stores};

/// A server with a folder of its own, which tells nobody that it is alive but when it is told to.
struct Replica {
    stores: Stores,
    _folder: TempDir,
}

impl Replica {
    async fn open(dsn: &Secret) -> Self {
        let folder = TempDir::new().unwrap();
        let stores = Stores::open(&settings(&folder, None, Some(dsn.clone())), Clock::system()).await.unwrap();
        Self { stores, _folder: folder }
    }

    fn connection(&self) -> PostgresConnection {
        self.stores.postgres.as_ref().and_then(Failover::connection).unwrap()
    }

    fn lease(&self) -> ServerLease {
        self.connection().lease
    }

    fn generation(&self) -> i64 {
        self.lease().generation().unwrap()
    }

    /// One round, by a server that has been alive for so long.
    async fn round_after(&self, time: Duration) {
        self.lease().hold_for(time);
        renew_and_bury(&self.lease(), &Clock::system()).await.unwrap();
    }

    async fn begin(&self, id: &str) {
        self.stores.executions.begin(begun(id, "ada", 1)).await.unwrap().written().await.unwrap();
    }

    async fn finish(&self, id: &str) {
        let outcome = Outcome {
            status: ExecutionStatus::Completed,
            answer: Some("late".to_owned()),
            error: None,
            metadata: "{}".to_owned(),
        };
        self.stores.executions.finish(id, outcome).await.unwrap();
    }

    async fn status(&self, id: &str) -> ExecutionStatus {
        self.stores.executions.get(id).await.unwrap().unwrap().0.status
    }
}

/// The lease runs out, as Postgres sees it.
async fn run_out(pool: &PgPool, generation: i64) {
    let update = "UPDATE server_lease SET expires_at = now() - interval '1 second' WHERE generation = $1";
    assert_eq!(sqlx::query(update).bind(generation).execute(pool).await.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn what_a_dead_server_was_at_is_interrupted_by_another_and_its_late_end_is_refused() {
    let Some(dsn) = new_database().await else { return };
    let (dead, alive) = (Replica::open(&dsn).await, Replica::open(&dsn).await);
    dead.begin("a").await;
    alive.begin("b").await;
    alive.round_after(LEASE).await;
    assert_eq!(alive.status("a").await, ExecutionStatus::Running, "its lease holds");

    run_out(&alive.connection().pool, dead.generation()).await;
    alive.round_after(LEASE).await;
    let (found, _) = alive.stores.executions.get("a").await.unwrap().unwrap();
    assert_eq!((found.status, found.finished_ms.is_some()), (ExecutionStatus::Interrupted, true));
    assert_eq!(alive.status("b").await, ExecutionStatus::Running);

    dead.finish("a").await;
    dead.begin("late").await;
    assert_eq!(alive.status("a").await, ExecutionStatus::Interrupted, "its end comes too late");
    alive.round_after(LEASE).await;
    assert_eq!(alive.status("late").await, ExecutionStatus::Interrupted, "it began under a lease that was gone");

    let before = dead.generation();
    dead.round_after(Duration::ZERO).await;
    assert!(dead.generation() > before, "it has found out");
    dead.begin("c").await;
    alive.round_after(LEASE).await;
    assert_eq!(alive.status("c").await, ExecutionStatus::Running);
    dead.finish("c").await;
    assert_eq!(alive.status("c").await, ExecutionStatus::Completed);
}

#[tokio::test]
async fn after_an_outage_nobody_is_taken_for_dead_before_all_could_say_that_they_live() {
    let Some(dsn) = new_database().await else { return };
    let (one, other) = (Replica::open(&dsn).await, Replica::open(&dsn).await);
    one.begin("a").await;
    other.begin("b").await;
    let before = [one.generation(), other.generation()];
    for generation in before {
        run_out(&one.connection().pool, generation).await;
    }
    one.round_after(LEASE - Duration::from_secs(1)).await;
    other.round_after(Duration::ZERO).await;
    assert_eq!(
        [one.generation(), other.generation()],
        before,
        "a lease that ran out is renewed as long as it is there"
    );
    one.round_after(LEASE).await;
    assert_eq!(one.status("a").await, ExecutionStatus::Running);
    assert_eq!(one.status("b").await, ExecutionStatus::Running);
}

#[tokio::test]
async fn a_server_that_stops_leaves_no_lease_and_one_of_an_earlier_version_has_two_days() {
    let Some(dsn) = new_database().await else { return };
    let (one, other) = (Replica::open(&dsn).await, Replica::open(&dsn).await);
    let pool = other.connection().pool;
    other.begin("a").await;
    sqlx::query("UPDATE execution SET generation = NULL").execute(&pool).await.unwrap();
    one.stores.close().await;
    let leases: Vec<i64> = sqlx::query_scalar("SELECT generation FROM server_lease").fetch_all(&pool).await.unwrap();
    assert_eq!(leases, [other.generation()]);
    other.round_after(LEASE).await;
    let running = "UPDATE execution SET started_at = $1";
    let now_ms = Clock::system().now_ms();
    sqlx::query(running).bind(now_ms - 86_400_000).execute(&pool).await.unwrap();
    other.stores.executions.retain(Duration::from_secs(400_000), 99, Some(&other.connection())).await.unwrap();
    assert_eq!(other.status("a").await, ExecutionStatus::Running);
    sqlx::query(running).bind(now_ms - 3 * 86_400_000).execute(&pool).await.unwrap();
    other.stores.executions.retain(Duration::from_secs(400_000), 99, Some(&other.connection())).await.unwrap();
    assert_eq!(other.status("a").await, ExecutionStatus::Interrupted);
}

#[tokio::test]
async fn work_of_one_is_done_by_one_until_it_is_released_its_time_is_over_or_the_server_is_dead() {
    let Some(dsn) = new_database().await else { return };
    let (one, other) = (Replica::open(&dsn).await, Replica::open(&dsn).await);
    let hour = Duration::from_secs(3600);
    let take =
        async |replica: &Replica, name: &str, time| WorkClaim::take(&replica.connection(), name, time).await.unwrap();
    let claim = take(&one, "work", hour).await.unwrap();
    assert!(take(&other, "work", hour).await.is_none() && take(&one, "work", hour).await.is_none());
    assert!(take(&other, "other work", hour).await.is_some());
    claim.release().await;
    assert!(take(&other, "work", Duration::ZERO).await.is_some());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(take(&one, "work", hour).await.is_some(), "its time was over");
    run_out(&one.connection().pool, one.generation()).await;
    other.round_after(LEASE).await;
    assert!(take(&other, "work", hour).await.is_some(), "who had it is dead");
}
