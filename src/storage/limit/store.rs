use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::demand::{LimitDemand, LimitVerdict};
use super::local::LocalCounters;
use super::pending::PendingSettlements;
use super::redis::{self, SettledBatch};
use crate::kernel::{Clock, Error, new_id};
use crate::storage::failover::{Failover, try_remote};
use crate::storage::redis::Redis;
use crate::storage::sqlite::{Database, failed, int};

/// How often what was used is saved, and told to Redis if that has failed before.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is said again what is in use.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);

/// Counts what callers use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LimitStore(Arc<LimitState>);

#[derive(Debug)]
struct LimitState {
    local: LocalCounters,
    redis: Option<Failover<Redis>>,
    database: Database,
    clock: Clock,
    /// Tells holds of this process from those of others.
    process: String,
    numbers: AtomicU64,
    pending: Mutex<PendingSettlements>,
    /// What Redis is being told, one batch after the other; one that failed is told again first.
    telling: tokio::sync::Mutex<Option<SettledBatch>>,
    is_pending: Notify,
}

/// Something that is in use until this is dropped.
#[derive(Debug)]
pub struct LimitHold {
    store: LimitStore,
    number: u64,
    pools: Vec<String>,
    counters: Vec<(String, i64)>,
    /// What was used of it so far.
    pub spent: u64,
}

impl Drop for LimitHold {
    fn drop(&mut self) {
        if !self.pools.is_empty() {
            self.store.settle(self);
        }
    }
}

impl LimitStore {
    pub(in crate::storage) async fn open(
        database: Database,
        redis: Option<Failover<Redis>>,
        clock: Clock,
    ) -> Result<Self, Error> {
        let local = LocalCounters::default();
        let reading = sqlx::query_as("SELECT name, used, ends_at FROM limit_counter WHERE ends_at > ?");
        let counters = reading.bind(clock.now_ms()).fetch_all(database.read()).await;
        local.restore(counters.map_err(failed("could not read what callers have used"))?);
        let (numbers, pending, telling, is_pending) = Default::default();
        let process = new_id();
        Ok(Self(Arc::new(LimitState { local, redis, database, clock, process, numbers, pending, telling, is_pending })))
    }

    /// Takes what is wanted if all limits allow it; what is to be held of it is so until the hold is dropped.
    pub async fn take(&self, demand: &LimitDemand) -> (LimitVerdict, LimitHold) {
        let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
        let pools = demand.held_pools().into_iter().map(str::to_owned).collect();
        // There before Redis is asked, so that it is let go of if nobody waits for the answer.
        let mut hold = LimitHold { store: self.clone(), number, pools, counters: demand.settled(), spent: 0 };
        let verdict = match self.take_remotely(demand, number).await {
            Some(verdict) => verdict,
            None => self.take_locally(demand, number),
        };
        if verdict.refused.is_some() && !demand.is_forced {
            hold.pools.clear();
        }
        (verdict, hold)
    }

    /// What Redis says; `None` if there is none, or it is away.
    async fn take_remotely(&self, demand: &LimitDemand, number: u64) -> Option<LimitVerdict> {
        let state = &self.0;
        state.redis.as_ref()?;
        // Who comes back at once finds what was let go of.
        self.tell().await;
        let id = self.id(number);
        let taking =
            try_remote(state.redis.as_ref(), |connection| redis::take(connection, demand, &id, state.clock.now_ms()))
                .await;
        let verdict = taking.unwrap_or_else(|error| {
            tracing::warn!(%error, "Redis can't count what callers use; this server counts alone");
            None
        })?;
        for (check, level) in demand.checks.iter().zip(&verdict.levels) {
            if let Some(counter) = check.counter.as_ref().filter(|counter| counter.previous.is_none()) {
                state.local.observe(counter, level.used);
            }
        }
        if verdict.refused.is_none() || demand.is_forced {
            state.local.apply(demand, &verdict.levels, number);
        }
        Some(verdict)
    }

    /// What this server says alone; Redis is told later what was used.
    fn take_locally(&self, demand: &LimitDemand, number: u64) -> LimitVerdict {
        let verdict = self.0.local.take(demand, number);
        if self.0.redis.is_some() && (verdict.refused.is_none() || demand.is_forced) {
            self.0.pending.lock().add_spent(demand.spends());
        }
        verdict
    }

    fn id(&self, number: u64) -> String {
        format!("{}:{number}", self.0.process)
    }

    fn settle(&self, hold: &LimitHold) {
        let state = &self.0;
        state.local.settle(hold.number, &hold.pools, &hold.counters, hold.spent);
        if state.redis.is_some() {
            state.pending.lock().add(&self.id(hold.number), &hold.pools, &hold.counters, hold.spent);
            state.is_pending.notify_one();
        }
    }

    /// Tells Redis what has ended. What it can't be told now it is told later.
    async fn tell(&self) {
        let state = &self.0;
        let mut batch = state.telling.lock().await;
        if batch.is_none() {
            *batch = state.pending.lock().take();
        }
        let Some(told) = batch.as_ref() else { return };
        match try_remote(state.redis.as_ref(), |connection| redis::settle(connection, told, state.clock.now_ms())).await
        {
            Ok(None) => {}
            Ok(Some(())) => *batch = None,
            Err(error) => {
                tracing::warn!(%error, "what callers have used can't be told to Redis and is given up");
                *batch = None;
            }
        }
    }

    /// Saves what was used, and tells Redis of it and of what is in use. Never ends.
    pub async fn keep_up(self) {
        let (mut saves, mut renewed) = (interval(SAVE_INTERVAL), Instant::now());
        saves.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = saves.tick() => self.save().await,
                () = self.0.is_pending.notified() => {}
            }
            self.tell().await;
            if renewed.elapsed() >= RENEWAL_INTERVAL {
                renewed = Instant::now();
                self.renew().await;
            }
        }
    }

    /// Writes out what is not written yet.
    pub async fn flush(&self) {
        self.tell().await;
        self.save().await;
    }

    async fn renew(&self) {
        let state = &self.0;
        state.local.purge(state.clock.now_ms());
        let ids = |numbers: Vec<u64>| numbers.into_iter().map(|number| self.id(number)).collect();
        let held: Vec<_> = state.local.held().into_iter().map(|(pool, numbers)| (pool, ids(numbers))).collect();
        if held.is_empty() {
            return;
        }
        let renewing = try_remote(state.redis.as_ref(), |connection| redis::renew(connection, &held)).await;
        if let Err(error) = renewing {
            tracing::warn!(%error, "Redis can't be told what is in use");
        }
    }

    async fn save(&self) {
        let changed = self.0.local.changed();
        if changed.is_empty() || self.0.redis.is_some() {
            return;
        }
        if let Err(error) = self.write(&changed).await {
            tracing::warn!(%error, "what callers have used can't be saved now");
            self.0.local.keep_changed(changed);
        }
    }

    async fn write(&self, counters: &[(String, u64, i64)]) -> Result<(), sqlx::Error> {
        let mut transaction = self.0.database.write().await?;
        sqlx::query("DELETE FROM limit_counter WHERE ends_at <= ?")
            .bind(self.0.clock.now_ms())
            .execute(&mut *transaction)
            .await?;
        for (name, used, ends_ms) in counters {
            sqlx::query("INSERT OR REPLACE INTO limit_counter (name, used, ends_at) VALUES (?, ?, ?)")
                .bind(name)
                .bind(int(*used))
                .bind(ends_ms)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }
}
