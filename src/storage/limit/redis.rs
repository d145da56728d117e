use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::demand::{LimitDemand, LimitEffect, LimitLevel, LimitVerdict};
use crate::kernel::Error;
use crate::storage::failover::Failure;
use crate::storage::redis::{REQUEST_TIMEOUT, RedisConnection, call};

/// How long something is in use unless that is renewed: what a server that was killed held is free after it.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// How long it is known which batches were settled: longer than one is repeated.
const MARK_TTL: Duration = Duration::from_secs(3_600);

/// A script with what all share. Scripts run alone, so each is one step, in one round trip.
macro_rules! code {
    ($file:literal) => {
        concat!(include_str!("lua/release.lua"), include_str!($file))
    };
}

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(code!("lua/take.lua")));
static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(code!("lua/settle.lua")));

/// Ends of holds, and what was used, as one step that is taken once.
#[derive(Debug)]
pub(super) struct SettledBatch {
    pub(super) id: String,
    /// Names, amounts and ends.
    pub(super) counters: Vec<(String, (u64, i64))>,
    /// Pools and ids.
    pub(super) holds: Vec<(String, String)>,
}

/// All keys are in one slot of a cluster, as one script works with several of them.
fn key(kind: &str, name: &str) -> String {
    format!("orchestrator_{{limits}}:{kind}:{name}")
}

fn pool_keys(pool: &str) -> [String; 2] {
    ["leases", "amounts"].map(|kind| key(kind, pool))
}

/// Takes what is wanted if all limits allow it, and holds it under this id.
pub(super) async fn take(
    mut connection: RedisConnection,
    demand: &LimitDemand,
    id: &str,
    now_ms: i64,
) -> Result<LimitVerdict, Failure> {
    let mut script = TAKE.prepare_invoke();
    let (mut pools, held) = (Vec::new(), demand.held_pools());
    script.arg(i32::from(demand.is_forced)).arg(id).arg(millis(LEASE)).arg(demand.checks.len());
    for check in &demand.checks {
        let counter = check.counter.as_ref();
        let previous = counter.and_then(|counter| counter.previous.as_ref());
        let name = counter.map_or("none", |counter| counter.name.as_str());
        script.key(key("used", name)).key(key("used", previous.map_or("none", |previous| previous.name.as_str())));
        let pool = check.pool.as_deref().map_or(0, |pool| number_of(&mut pools, pool));
        script
            .arg(check.amount)
            .arg(check.least)
            .arg(check.quota)
            .arg(previous.map_or(0, |previous| previous.permille));
        script.arg(counter.map_or(0, |counter| life_of(counter.ends_ms, now_ms))).arg(pool);
        script.arg(match check.effect {
            LimitEffect::Spend => "spend",
            LimitEffect::Hold => "hold",
            LimitEffect::Probe => "",
        });
    }
    for pool in pools {
        script.key(&pool_keys(pool)[..]);
        script.arg(i32::from(held.contains(&pool)));
    }
    let found = call(REQUEST_TIMEOUT, script.invoke_async::<Vec<u64>>(&mut connection)).await;
    let mut found = found.map_err(of_limits)?.into_iter();
    let refused = found.next().and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
    let mut levels = Vec::new();
    while let (Some(used), Some(held)) = (found.next(), found.next()) {
        levels.push(LimitLevel { used, held });
    }
    Ok(LimitVerdict { refused, levels })
}

/// The number of a pool among these, from one on.
fn number_of<'a>(pools: &mut Vec<&'a str>, pool: &'a str) -> usize {
    let at = pools.iter().position(|known| *known == pool).unwrap_or_else(|| {
        pools.push(pool);
        pools.len() - 1
    });
    at + 1
}

/// Ends holds and counts what was used.
pub(super) async fn settle(mut connection: RedisConnection, batch: &SettledBatch, now_ms: i64) -> Result<(), Failure> {
    let mut script = SETTLE.prepare_invoke();
    script.key(key("settled", &batch.id)).arg(millis(MARK_TTL)).arg(batch.counters.len());
    for (name, (amount, ends_ms)) in &batch.counters {
        script.key(key("used", name)).arg(amount).arg(life_of(*ends_ms, now_ms));
    }
    for (pool, id) in &batch.holds {
        script.key(&pool_keys(pool)[..]).arg(id);
    }
    call(REQUEST_TIMEOUT, script.invoke_async::<()>(&mut connection)).await.map_err(of_limits)
}

/// An account that may not use these keys may use those of conversations all the same.
fn of_limits(failure: Failure) -> Failure {
    match failure {
        Failure::Unavailable(said) if said.contains("NOPERM") => {
            let text = "Redis does not let this server's account use the keys orchestrator_{limits}:*";
            Failure::Rejected(Error::internal_public(text, said))
        }
        failure => failure,
    }
}

/// Lets these be in use for longer.
pub(super) async fn renew(mut connection: RedisConnection, held: &[(String, Vec<String>)]) -> Result<(), Failure> {
    let (seconds, micros): (i64, i64) = call(REQUEST_TIMEOUT, redis::cmd("TIME").query_async(&mut connection)).await?;
    let until = seconds * 1000 + micros / 1000 + millis(LEASE);
    let mut pipeline = redis::pipe();
    for (pool, ids) in held {
        let [leases, _] = pool_keys(pool);
        let command = pipeline.cmd("ZADD").arg(leases).arg("XX");
        for id in ids {
            command.arg(until).arg(id);
        }
        command.ignore();
    }
    call(REQUEST_TIMEOUT, pipeline.query_async::<()>(&mut connection)).await
}

/// How long a counter is kept: by the clock of this server alone, as that of Redis may be another one.
fn life_of(ends_ms: i64, now_ms: i64) -> i64 {
    ends_ms.saturating_sub(now_ms).max(1)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
