use std::collections::HashMap;

use super::demand::LimitCounter;
use super::redis::SettledBatch;
use crate::kernel::new_id;

/// Ends of holds that are told to Redis at once. What is not told of them ends with its lease.
const MAX_HOLDS: usize = 1_000;

/// What Redis is still to be told: summed up, so that it does not grow while Redis is away.
#[derive(Debug, Default)]
pub(super) struct PendingSettlements {
    counters: HashMap<String, (u64, i64)>,
    holds: Vec<(String, String)>,
}

impl PendingSettlements {
    /// A hold has ended in these pools, with so much used.
    pub(super) fn add(&mut self, id: &str, pools: &[String], counters: &[(String, i64)], spent: u64) {
        for (name, ends_ms) in counters.iter().filter(|_| spent > 0) {
            let (sum, _) = self.counters.entry(name.clone()).or_insert((0, *ends_ms));
            *sum = sum.saturating_add(spent);
        }
        if self.holds.len() < MAX_HOLDS {
            self.holds.extend(pools.iter().map(|pool| (pool.clone(), id.to_owned())));
        }
    }

    /// So much was used at once, without a hold.
    pub(super) fn add_spent<'a>(&mut self, spends: impl Iterator<Item = (&'a LimitCounter, u64)>) {
        for (counter, amount) in spends {
            let (sum, _) = self.counters.entry(counter.name.clone()).or_insert((0, counter.ends_ms));
            *sum = sum.saturating_add(amount);
        }
    }

    /// All of it, as one step; `None` if there is nothing.
    pub(super) fn take(&mut self) -> Option<SettledBatch> {
        if self.counters.is_empty() && self.holds.is_empty() {
            return None;
        }
        let Self { counters, holds } = std::mem::take(self);
        Some(SettledBatch { id: new_id(), counters: counters.into_iter().collect(), holds })
    }
}
