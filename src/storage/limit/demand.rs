/// What somebody wants to use, by all limits that they are under: either all of them allow it, or nothing is used.
#[derive(Clone, Debug)]
pub struct LimitDemand {
    /// One for each limit.
    pub checks: Vec<LimitCheck>,
    /// Whether it is granted whatever the limits say, and only counted.
    pub is_forced: bool,
}

/// One limit, and what is wanted of it.
#[derive(Clone, Debug)]
pub struct LimitCheck {
    /// What was used before; `None` where only what is in use counts.
    pub counter: Option<LimitCounter>,
    /// What is in use; `None` where nothing can be. Limits of the same use share one.
    pub pool: Option<String>,
    /// How much is wanted; what is held is less than that where not as much is left.
    pub amount: u64,
    /// With how much of it whoever asks is content.
    pub least: u64,
    /// The most that may be used, and be in use.
    pub quota: u64,
    /// What becomes of the amount.
    pub effect: LimitEffect,
}

/// A sum of what was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitCounter {
    /// Its name, with that of its window of time.
    pub name: String,
    /// The counter of the window before, where windows slide.
    pub previous: Option<PreviousWindow>,
    /// From when on nobody asks for it, in milliseconds since 1970.
    pub ends_ms: i64,
}

/// The window before, of which a part still counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousWindow {
    /// The name of its counter.
    pub name: String,
    /// How much of it counts, in thousandths.
    pub permille: u64,
}

/// What becomes of an amount that is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitEffect {
    /// It is used at once.
    Spend,
    /// It is in use until its end, and what then was used is counted.
    Hold,
    /// Nothing: there only has to be as much.
    Probe,
}

/// How far a limit was used before a demand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitLevel {
    /// What was used.
    pub used: u64,
    /// What is in use.
    pub held: u64,
}

/// What came of a demand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitVerdict {
    /// The first check that does not allow it.
    pub refused: Option<usize>,
    /// By checks.
    pub levels: Vec<LimitLevel>,
}

impl LimitCheck {
    /// Whether it is allowed at this level.
    pub(super) fn allows(&self, level: LimitLevel) -> bool {
        level.used.saturating_add(level.held).saturating_add(self.least) <= self.quota
    }

    /// What it leaves of the amount at this level, and the least in any case.
    pub(super) fn granted(&self, level: LimitLevel) -> u64 {
        self.amount.min(self.quota.saturating_sub(level.used).saturating_sub(level.held)).max(self.least)
    }
}

impl LimitDemand {
    /// The pools that are held at these levels, each once, with the amount that all limits on it leave.
    pub(super) fn holds(&self, levels: &[LimitLevel]) -> Vec<(&str, u64)> {
        let mut holds: Vec<(&str, u64)> = Vec::new();
        for (check, level) in self.checks.iter().zip(levels).filter(|(check, _)| check.effect == LimitEffect::Hold) {
            let (Some(pool), granted) = (check.pool.as_deref(), check.granted(*level)) else { continue };
            match holds.iter_mut().find(|(known, _)| *known == pool) {
                Some((_, amount)) => *amount = (*amount).min(granted),
                None => holds.push((pool, granted)),
            }
        }
        holds
    }

    /// The pools that are held, each once.
    pub(super) fn held_pools(&self) -> Vec<&str> {
        let held = self.checks.iter().filter(|check| check.effect == LimitEffect::Hold);
        let mut pools: Vec<&str> = held.filter_map(|check| check.pool.as_deref()).collect();
        pools.sort_unstable();
        pools.dedup();
        pools
    }

    /// The counters that are added to at once, with the amount and their end.
    pub(super) fn spends(&self) -> impl Iterator<Item = (&LimitCounter, u64)> {
        let spending = self.checks.iter().filter(|check| check.effect == LimitEffect::Spend);
        spending.filter_map(|check| Some((check.counter.as_ref()?, check.amount)))
    }

    /// The counters that what was held is added to when it ends.
    pub(super) fn settled(&self) -> Vec<(String, i64)> {
        let held = self.checks.iter().filter(|check| check.effect == LimitEffect::Hold);
        held.filter_map(|check| check.counter.as_ref()).map(|counter| (counter.name.clone(), counter.ends_ms)).collect()
    }
}
