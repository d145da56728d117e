use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use serde::Serialize;
use tokio::time::Instant;

/// Failures in a row that open a circuit.
const FAILURES: u32 = 5;
/// How long a circuit stays open at first; it doubles with each failed trial.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest it stays open between two trials.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What a caller is told to wait while a trial is under way, the end of which nobody knows.
const TRIAL_WAIT: Duration = Duration::from_secs(1);
/// Circuits kept at most.
const MOST_CIRCUITS: usize = 10_000;

/// Circuit breakers, one for each upstream: after five failures in a row its calls fail at once, and after a while one
/// trial call at a time finds out whether it is back. Cheap to clone; clones share their circuits.
#[derive(Clone, Default)]
pub struct Breakers(Arc<Mutex<Known>>);

impl fmt::Debug for Breakers {
    /// Without the circuits: every permit holds the breakers, and there may be thousands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").finish_non_exhaustive()
    }
}

/// Whether calls go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// They do.
    Closed,
    /// They don't.
    Open,
    /// One at a time does, as a trial.
    HalfOpen,
}

impl BreakerState {
    /// What they are called.
    pub const NAMES: [&str; 3] = ["closed", "open", "half_open"];
}

#[derive(Debug, Default)]
struct Known {
    circuits: HashMap<Arc<str>, Circuit>,
    last_era: u64,
}

#[derive(Debug)]
struct Circuit {
    /// Shared with the permits given out; one that was given out by a circuit since dropped has another.
    key: Arc<str>,
    /// Changes whenever the circuit opens, closes or admits a trial. A call admitted in another era reports about a time
    /// that is over, and is not heard: a slow failure must not open what has closed since, nor a slow success close it.
    era: u64,
    phase: Phase,
    /// Permits that have not ended. As long as there are any, the era must be remembered.
    under_way: usize,
    /// When it was last asked for.
    asked: Instant,
    /// The probe under way, if any.
    probe: Option<WeakShared<BoxFuture<'static, bool>>>,
}

#[derive(Debug)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant, wait: Duration, on_trial: bool },
}

impl Circuit {
    fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed { .. } => BreakerState::Closed,
            Phase::Open { until, .. } if Instant::now() < until => BreakerState::Open,
            Phase::Open { .. } => BreakerState::HalfOpen,
        }
    }

    /// What is dropped first when there are too many: what holds the least knowledge, then what was not asked for longest.
    fn worth(&self) -> (u8, Instant) {
        let rank = match (&self.phase, self.state()) {
            (Phase::Closed { failures: 0 }, _) => 0,
            (_, BreakerState::Closed) => 1,
            (_, BreakerState::HalfOpen) => 2,
            (_, BreakerState::Open) => 3,
        };
        (rank, self.asked)
    }
}

impl Known {
    /// Drops a tenth of the circuits if there is no room for one more, so that this is rare.
    fn make_room(&mut self) {
        if self.circuits.len() < MOST_CIRCUITS {
            return;
        }
        let mut by_worth: Vec<_> = self.circuits.iter().map(|(key, it)| (it.worth(), Arc::clone(key))).collect();
        by_worth.sort_unstable_by_key(|(worth, _)| *worth);
        for (_, key) in by_worth.into_iter().take(MOST_CIRCUITS / 10) {
            self.circuits.remove(&key);
        }
    }
}

impl Breakers {
    /// Admits a call, or says how long none will be. Whoever is admitted reports the outcome to the permit.
    pub fn admit(&self, key: &str) -> Result<Permit, Duration> {
        let (permit, is_trial) = self.try_admit(key)?;
        if is_trial {
            tracing::debug!(upstream = key, "circuit half open: one call tries whether it is back");
        }
        Ok(permit)
    }

    fn try_admit(&self, key: &str) -> Result<(Permit, bool), Duration> {
        let mut guard = self.known();
        let known = &mut *guard;
        if !known.circuits.contains_key(key) {
            known.make_room();
        }
        known.last_era += 1;
        let (era, now) = (known.last_era, Instant::now());
        let circuit = known.circuits.entry(Arc::from(key)).or_insert_with_key(|key| Circuit {
            key: Arc::clone(key),
            era,
            phase: Phase::Closed { failures: 0 },
            under_way: 0,
            asked: now,
            probe: None,
        });
        circuit.asked = now;
        let is_trial = match &mut circuit.phase {
            Phase::Closed { .. } => false,
            Phase::Open { until, .. } if now < *until => return Err(*until - now),
            Phase::Open { on_trial: true, .. } => return Err(TRIAL_WAIT),
            Phase::Open { on_trial, .. } => {
                *on_trial = true;
                circuit.era = era;
                true
            }
        };
        circuit.under_way += 1;
        let key = Arc::clone(&circuit.key);
        Ok((Permit { breakers: self.clone(), key, era: circuit.era, outcome: None }, is_trial))
    }

    /// Whether calls go through.
    pub fn state(&self, key: &str) -> BreakerState {
        self.known().circuits.get(key).map_or(BreakerState::Closed, Circuit::state)
    }

    /// Forgets what is known of an upstream: a test of it has succeeded, or it is configured differently now. Calls under
    /// way are not heard any more.
    pub fn reset(&self, key: &str) {
        let forgotten = self.known().circuits.remove(key);
        if forgotten.is_some_and(|circuit| circuit.state() != BreakerState::Closed) {
            tracing::info!(upstream = key, "circuit closed: reset");
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The probe under way for the upstream of this permit, or else this one. None if the permit is not heard any more.
    fn probe(
        &self,
        permit: &Permit,
        is_down: impl Future<Output = bool> + Send + 'static,
    ) -> Option<Shared<BoxFuture<'static, bool>>> {
        let mut known = self.known();
        let circuit = known.circuits.get_mut(&permit.key);
        let circuit = circuit.filter(|it| Arc::ptr_eq(&it.key, &permit.key) && it.era == permit.era)?;
        let under_way = circuit.probe.as_ref().and_then(WeakShared::upgrade);
        Some(under_way.unwrap_or_else(|| {
            let probe = is_down.boxed().shared();
            circuit.probe = probe.downgrade();
            probe
        }))
    }

    /// Takes in the end of a call and returns how the circuit's state has changed.
    fn settle(&self, permit: &Permit) -> Option<Change> {
        let mut guard = self.known();
        let known = &mut *guard;
        let circuit = known.circuits.get_mut(&permit.key).filter(|it| Arc::ptr_eq(&it.key, &permit.key))?;
        circuit.under_way = circuit.under_way.saturating_sub(1);
        let change = if circuit.era == permit.era { circuit.settle(permit.outcome) } else { None };
        if change.is_some() {
            known.last_era += 1;
            circuit.era = known.last_era;
        }
        if circuit.under_way == 0 && matches!(circuit.phase, Phase::Closed { failures: 0 }) {
            known.circuits.remove(&permit.key);
        }
        change
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Opened(Duration),
    Closed,
}

impl Circuit {
    fn settle(&mut self, outcome: Option<bool>) -> Option<Change> {
        match (&mut self.phase, outcome) {
            (Phase::Closed { .. }, None) => None,
            (Phase::Closed { failures }, Some(true)) => {
                *failures = 0;
                None
            }
            (Phase::Closed { failures }, Some(false)) => {
                *failures += 1;
                (*failures >= FAILURES).then(|| self.open(FIRST_WAIT))
            }
            (Phase::Open { on_trial, .. }, None) => {
                *on_trial = false;
                None
            }
            (Phase::Open { .. }, Some(true)) => {
                self.phase = Phase::Closed { failures: 0 };
                Some(Change::Closed)
            }
            (Phase::Open { wait, .. }, Some(false)) => {
                let wait = wait.saturating_mul(2).min(LONGEST_WAIT);
                Some(self.open(wait))
            }
        }
    }

    fn open(&mut self, wait: Duration) -> Change {
        self.phase = Phase::Open { until: Instant::now() + wait, wait, on_trial: false };
        Change::Opened(wait)
    }
}

/// Leave for one call, which reports its outcome here. Dropped without a report, as when the call is cancelled, it
/// leaves the circuit as it was and frees the place of a trial.
#[derive(Debug)]
#[must_use = "a permit that is dropped reports nothing"]
pub struct Permit {
    breakers: Breakers,
    key: Arc<str>,
    era: u64,
    outcome: Option<bool>,
}

impl Permit {
    /// How long an upstream that may be down is given for a sign of life.
    pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

    /// The upstream is well, whatever it answered.
    pub fn succeeded(mut self) {
        self.outcome = Some(true);
    }

    /// The upstream gave no answer, or one that says it is not well.
    pub fn failed(mut self) {
        self.outcome = Some(false);
    }

    /// The upstream may be down, or else this call was too much for it, which must not close it to others. `is_down` finds out
    /// within [`Permit::PROBE_TIMEOUT`]; nobody waits for that. Calls that end so at the same time share one probe. A good one
    /// leaves the circuit as it was: it tells that the upstream is there, not that it answers calls.
    pub fn probe(self, is_down: impl Future<Output = bool> + Send + 'static) {
        let Some(probe) = self.breakers.probe(&self, is_down) else { return };
        tokio::spawn(async move {
            if probe.await {
                self.failed();
            }
        });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let upstream = &*self.key;
        match self.breakers.settle(self) {
            Some(Change::Opened(wait)) => {
                tracing::warn!(upstream, seconds = wait.as_secs(), "circuit open: calls fail at once");
            }
            Some(Change::Closed) => tracing::info!(upstream, "circuit closed: the upstream is back"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
