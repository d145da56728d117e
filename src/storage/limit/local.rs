use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::demand::{LimitCheck, LimitCounter, LimitDemand, LimitLevel, LimitVerdict};

/// Counters that are kept; beyond that, those that end first are forgotten.
const MAX_COUNTERS: usize = 500_000;

/// What this process has counted, and what is in use through it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct LocalCounters(Arc<Mutex<LocalState>>);

#[derive(Debug, Default)]
struct LocalState {
    counters: HashMap<String, LocalCounter>,
    pools: HashMap<String, HashMap<u64, u64>>,
    /// Counters that were settled since they were saved.
    changed: HashSet<String>,
}

#[derive(Clone, Copy, Debug)]
struct LocalCounter {
    used: u64,
    ends_ms: i64,
}

impl LocalCounters {
    /// Takes what is wanted if all limits allow it, and holds it under this number.
    pub(super) fn take(&self, demand: &LimitDemand, number: u64) -> LimitVerdict {
        let mut state = self.0.lock();
        let levels: Vec<_> = demand.checks.iter().map(|check| state.level(check)).collect();
        let refused = demand.checks.iter().zip(&levels).position(|(check, level)| !check.allows(*level));
        if refused.is_none() || demand.is_forced {
            state.apply(demand, &levels, number);
        }
        LimitVerdict { refused, levels }
    }

    /// Takes what is wanted: others have allowed it, at these levels.
    pub(super) fn apply(&self, demand: &LimitDemand, levels: &[LimitLevel], number: u64) {
        self.0.lock().apply(demand, levels, number);
    }

    /// Ends what is held in these pools, and counts what was used of it.
    pub(super) fn settle(&self, number: u64, pools: &[String], counters: &[(String, i64)], spent: u64) {
        let mut state = self.0.lock();
        for pool in pools {
            let is_empty = state.pools.get_mut(pool).is_some_and(|holds| {
                holds.remove(&number);
                holds.is_empty()
            });
            if is_empty {
                state.pools.remove(pool);
            }
        }
        for (name, ends_ms) in counters.iter().filter(|_| spent > 0) {
            state.add(name, spent, *ends_ms);
            state.changed.insert(name.clone());
        }
    }

    /// What others have counted, too: never less than what is known here.
    pub(super) fn observe(&self, counter: &LimitCounter, used: u64) {
        let mut state = self.0.lock();
        let known = state.counters.entry(counter.name.clone()).or_insert(LocalCounter::until(counter.ends_ms));
        known.used = known.used.max(used);
    }

    /// What is in use, by pools.
    pub(super) fn held(&self) -> Vec<(String, Vec<u64>)> {
        let state = self.0.lock();
        state.pools.iter().map(|(pool, holds)| (pool.clone(), holds.keys().copied().collect())).collect()
    }

    /// Takes over counters of an earlier process.
    pub(super) fn restore(&self, counters: Vec<(String, i64, i64)>) {
        let mut state = self.0.lock();
        for (name, used, ends_ms) in counters {
            let used = u64::try_from(used).unwrap_or_default();
            state.counters.insert(name, LocalCounter { used, ..LocalCounter::until(ends_ms) });
        }
    }

    /// The counters that were settled since the last time.
    pub(super) fn changed(&self) -> Vec<(String, u64, i64)> {
        let mut state = self.0.lock();
        let changed = std::mem::take(&mut state.changed);
        let row = |name: String| {
            let counter = state.counters.get(&name)?;
            Some((name, counter.used, counter.ends_ms))
        };
        changed.into_iter().filter_map(row).collect()
    }

    /// These could not be saved.
    pub(super) fn keep_changed(&self, counters: Vec<(String, u64, i64)>) {
        self.0.lock().changed.extend(counters.into_iter().map(|(name, ..)| name));
    }

    /// Forgets what has ended.
    pub(super) fn purge(&self, now_ms: i64) {
        let mut state = self.0.lock();
        state.counters.retain(|_, counter| counter.ends_ms > now_ms);
        let surplus = state.counters.len().saturating_sub(MAX_COUNTERS);
        if surplus > 0 {
            let mut ends: Vec<_> = state.counters.values().map(|counter| counter.ends_ms).collect();
            ends.sort_unstable();
            let cut = ends.get(surplus).copied().unwrap_or(i64::MAX);
            state.counters.retain(|_, counter| counter.ends_ms >= cut);
        }
    }
}

impl LocalCounter {
    fn until(ends_ms: i64) -> Self {
        Self { used: 0, ends_ms }
    }
}

impl LocalState {
    fn level(&self, check: &LimitCheck) -> LimitLevel {
        let used_of = |name: &str| self.counters.get(name).map_or(0, |counter| counter.used);
        let used = check.counter.as_ref().map_or(0, |counter| {
            let before = counter.previous.as_ref().map_or(0, |before| used_of(&before.name) * before.permille / 1000);
            used_of(&counter.name).saturating_add(before)
        });
        let held = check.pool.as_ref().and_then(|pool| self.pools.get(pool)).map_or(0, |holds| holds.values().sum());
        LimitLevel { used, held }
    }

    fn apply(&mut self, demand: &LimitDemand, levels: &[LimitLevel], number: u64) {
        for (counter, amount) in demand.spends() {
            self.add(&counter.name, amount, counter.ends_ms);
        }
        for (pool, amount) in demand.holds(levels) {
            self.pools.entry(pool.to_owned()).or_default().insert(number, amount);
        }
    }

    fn add(&mut self, name: &str, amount: u64, ends_ms: i64) {
        let counter = self.counters.entry(name.to_owned()).or_insert(LocalCounter::until(ends_ms));
        counter.used = counter.used.saturating_add(amount);
    }
}
