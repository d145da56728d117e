use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;

use crate::kernel::{Backoff, count_panics};

/// Failures in a row that open a circuit.
const FAILURE_THRESHOLD: u32 = 5;
/// How long a circuit stays open, by how often in a row it has opened.
const OPEN_TIME: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));
/// What a caller is told to wait while a trial is under way, the end of which nobody knows.
const TRIAL_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Circuits kept at most.
const MAX_CIRCUITS: usize = 10_000;

/// Circuit breakers, one per upstream: after five failures in a row its calls fail at once, but for trials. Cheap to clone.
#[derive(Clone, Default)]
pub struct Breakers(Arc<Mutex<Circuits>>);

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
    /// All of them, with their names.
    pub const ALL: [(Self, &str); 3] = [(Self::Closed, "closed"), (Self::Open, "open"), (Self::HalfOpen, "half_open")];
}

#[derive(Debug, Default)]
struct Circuits {
    circuits: HashMap<Arc<str>, Circuit>,
    last_generation: u64,
}

#[derive(Debug)]
struct Circuit {
    /// Shared with the permits given out; one that was given out by a circuit since dropped has another.
    key: Arc<str>,
    /// Changes whenever the circuit opens, closes or admits a trial. A call admitted in another generation reports about a time
    /// that is over, and is not heard: a slow failure must not open what has closed since, nor a slow success close it.
    generation: u64,
    phase: Phase,
    /// Permits that have not ended. As long as there are any, the generation must be remembered.
    in_flight: usize,
    /// When it was last asked for.
    last_used: Instant,
    /// The probe under way, if any.
    probe: Option<WeakShared<BoxFuture<'static, bool>>>,
}

#[derive(Debug)]
enum Phase {
    Closed { failures: u32 },
    Open { until: Instant, times: u32, on_trial: bool },
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
    fn eviction_rank(&self) -> (u8, Instant) {
        let rank = match (&self.phase, self.state()) {
            (Phase::Closed { failures: 0 }, _) => 0,
            (_, BreakerState::Closed) => 1,
            (_, BreakerState::HalfOpen) => 2,
            (_, BreakerState::Open) => 3,
        };
        (rank, self.last_used)
    }

    fn record(&mut self, outcome: Option<bool>) -> Option<Transition> {
        match (&mut self.phase, outcome) {
            (Phase::Closed { .. }, None) => {}
            (Phase::Closed { failures }, Some(true)) => *failures = 0,
            (Phase::Closed { failures }, Some(false)) => {
                *failures += 1;
                return (*failures >= FAILURE_THRESHOLD).then(|| self.open(1));
            }
            (Phase::Open { on_trial, .. }, None) => *on_trial = false,
            (Phase::Open { .. }, Some(true)) => {
                self.phase = Phase::Closed { failures: 0 };
                return Some(Transition::Closed);
            }
            (Phase::Open { times, .. }, Some(false)) => {
                let times = times.saturating_add(1);
                return Some(self.open(times));
            }
        }
        None
    }

    fn open(&mut self, times: u32) -> Transition {
        let wait = OPEN_TIME.after(times);
        self.phase = Phase::Open { until: Instant::now() + wait, times, on_trial: false };
        Transition::Opened(wait)
    }
}

impl Circuits {
    /// Drops a tenth of the circuits if there is no room for one more, so that this is rare.
    fn make_room(&mut self) {
        if self.circuits.len() < MAX_CIRCUITS {
            return;
        }
        let mut by_rank: Vec<_> = self.circuits.iter().map(|(key, it)| (it.eviction_rank(), Arc::clone(key))).collect();
        by_rank.sort_unstable_by_key(|(rank, _)| *rank);
        for (_, key) in by_rank.into_iter().take(MAX_CIRCUITS / 10) {
            self.circuits.remove(&key);
        }
    }
}

impl Breakers {
    /// Admits a call, or says how long none will be. Whoever is admitted reports the outcome to the permit.
    pub fn admit(&self, key: &str) -> Result<Permit, Duration> {
        let mut guard = self.0.lock();
        let circuits = &mut *guard;
        if !circuits.circuits.contains_key(key) {
            circuits.make_room();
        }
        circuits.last_generation += 1;
        let (generation, now) = (circuits.last_generation, Instant::now());
        let circuit = circuits.circuits.entry(Arc::from(key)).or_insert_with_key(|key| Circuit {
            key: Arc::clone(key),
            generation,
            phase: Phase::Closed { failures: 0 },
            in_flight: 0,
            last_used: now,
            probe: None,
        });
        circuit.last_used = now;
        let is_trial = match &mut circuit.phase {
            Phase::Closed { .. } => false,
            Phase::Open { until, .. } if now < *until => return Err(*until - now),
            Phase::Open { on_trial: true, .. } => return Err(TRIAL_RETRY_AFTER),
            Phase::Open { on_trial, .. } => {
                *on_trial = true;
                circuit.generation = generation;
                true
            }
        };
        circuit.in_flight += 1;
        let (shared, generation) = (Arc::clone(&circuit.key), circuit.generation);
        drop(guard);
        if is_trial {
            tracing::debug!(upstream = key, "circuit half open: one call tries whether it is back");
        }
        Ok(Permit { breakers: self.clone(), key: shared, generation, outcome: None })
    }

    /// Whether calls go through.
    pub fn state(&self, key: &str) -> BreakerState {
        self.0.lock().circuits.get(key).map_or(BreakerState::Closed, Circuit::state)
    }

    /// Forgets what is known of an upstream that was tested well or configured anew. Calls under way are not heard any more.
    pub fn reset(&self, key: &str) {
        let forgotten = self.0.lock().circuits.remove(key);
        if forgotten.is_some_and(|circuit| circuit.state() != BreakerState::Closed) {
            tracing::info!(upstream = key, "circuit closed: reset");
        }
    }

    /// The probe under way for the upstream of this permit, or else this one. None if the permit is not heard any more.
    fn probe(
        &self,
        permit: &Permit,
        is_down: impl Future<Output = bool> + Send + 'static,
    ) -> Option<Shared<BoxFuture<'static, bool>>> {
        let mut circuits = self.0.lock();
        let circuit = circuits.circuits.get_mut(&permit.key);
        let circuit = circuit.filter(|it| Arc::ptr_eq(&it.key, &permit.key) && it.generation == permit.generation)?;
        let in_flight = circuit.probe.as_ref().and_then(WeakShared::upgrade);
        Some(in_flight.unwrap_or_else(|| {
            let probe = is_down.boxed().shared();
            circuit.probe = probe.downgrade();
            probe
        }))
    }

    /// Takes in the end of a call and returns how the circuit's state has changed.
    fn record(&self, permit: &Permit) -> Option<Transition> {
        let mut guard = self.0.lock();
        let circuits = &mut *guard;
        let circuit = circuits.circuits.get_mut(&permit.key).filter(|it| Arc::ptr_eq(&it.key, &permit.key))?;
        circuit.in_flight = circuit.in_flight.saturating_sub(1);
        let change = if circuit.generation == permit.generation { circuit.record(permit.outcome) } else { None };
        if change.is_some() {
            circuits.last_generation += 1;
            circuit.generation = circuits.last_generation;
        }
        if circuit.in_flight == 0 && matches!(circuit.phase, Phase::Closed { failures: 0 }) {
            circuits.circuits.remove(&permit.key);
        }
        change
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transition {
    Opened(Duration),
    Closed,
}

/// Leave for one call. Dropped without a report of its outcome, it leaves the circuit as it was.
#[derive(Debug)]
#[must_use = "a permit that is dropped reports nothing"]
pub struct Permit {
    breakers: Breakers,
    key: Arc<str>,
    generation: u64,
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

    /// The upstream may be down, or this call was too much for it: `is_down` finds out within [`Permit::PROBE_TIMEOUT`], for all
    /// calls that end so meanwhile. A good sign leaves the circuit as it was: it does not tell that calls are answered.
    pub fn probe(self, is_down: impl Future<Output = bool> + Send + 'static) {
        let Some(probe) = self.breakers.probe(&self, is_down) else { return };
        tokio::spawn(count_panics("breaker_probe", async move {
            if probe.await {
                self.failed();
            }
        }));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let upstream = &*self.key;
        match self.breakers.record(self) {
            Some(Transition::Opened(wait)) => {
                tracing::warn!(upstream, seconds = wait.as_secs(), "circuit open: calls fail at once");
            }
            Some(Transition::Closed) => tracing::info!(upstream, "circuit closed: the upstream is back"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
