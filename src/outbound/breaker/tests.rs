use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::time::{advance, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn fail(breakers: &Breakers, times: u32) {
    (0..times).for_each(|_| breakers.admit("a").unwrap().failed());
}

fn size(breakers: &Breakers) -> usize {
    breakers.0.lock().circuits.len()
}

#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_it_and_calls_fail_fast() {
    let breakers = Breakers::default();
    fail(&breakers, 4);
    breakers.admit("a").unwrap().succeeded();
    fail(&breakers, 4);
    drop(breakers.admit("a").unwrap());
    assert_eq!(breakers.state("a"), BreakerState::Closed);
    fail(&breakers, 1);
    assert_eq!(breakers.state("a"), BreakerState::Open);
    assert_eq!(breakers.admit("a").unwrap_err(), 5 * SECOND);
    advance(2 * SECOND).await;
    assert_eq!(breakers.clone().admit("a").unwrap_err(), 3 * SECOND);
    assert_eq!(breakers.state("b"), BreakerState::Closed);
    breakers.admit("b").unwrap().succeeded();
    assert_eq!(breakers.admit("a").unwrap_err(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn one_trial_at_a_time_decides() {
    let breakers = Breakers::default();
    fail(&breakers, 5);
    advance(5 * SECOND).await;
    assert_eq!(breakers.state("a"), BreakerState::HalfOpen);
    let trial = breakers.admit("a").unwrap();
    assert_eq!(breakers.admit("a").unwrap_err(), TRIAL_RETRY_AFTER);
    // A cancelled trial says nothing, and the next call may try.
    drop(trial);
    assert_eq!(breakers.state("a"), BreakerState::HalfOpen);
    let trial = breakers.admit("a").unwrap();
    assert_eq!(breakers.state("a"), BreakerState::HalfOpen);
    trial.succeeded();
    assert_eq!((breakers.state("a"), size(&breakers)), (BreakerState::Closed, 0));
    fail(&breakers, 5);
    assert_eq!(breakers.admit("a").unwrap_err(), OPEN_TIME.after(1));
}

#[tokio::test(start_paused = true)]
async fn each_failed_trial_doubles_the_wait_up_to_a_minute() {
    let breakers = Breakers::default();
    fail(&breakers, 5);
    for seconds in [5, 10, 20, 40, 60, 60] {
        assert_eq!(breakers.admit("a").unwrap_err(), seconds * SECOND);
        advance(seconds * SECOND - Duration::from_millis(1)).await;
        assert_eq!(breakers.state("a"), BreakerState::Open);
        advance(Duration::from_millis(1)).await;
        fail(&breakers, 1);
    }
    breakers.reset("a");
    assert_eq!((breakers.state("a"), size(&breakers)), (BreakerState::Closed, 0));
    fail(&breakers, 5);
    assert_eq!(breakers.admit("a").unwrap_err(), OPEN_TIME.after(1));
}

/// A probe that takes a second, and counts itself.
fn probe(begun: &Arc<AtomicUsize>, is_down: bool) -> impl Future<Output = bool> + use<> {
    let begun = begun.clone();
    async move {
        begun.fetch_add(1, Ordering::Relaxed);
        sleep(SECOND).await;
        is_down
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_may_have_met_an_outage_share_a_probe_which_counts_for_each_of_them() {
    let (breakers, begun) = (Breakers::default(), Arc::default());
    for (is_down, state) in [(false, BreakerState::Closed), (true, BreakerState::Open)] {
        let permits: Vec<_> = (0..5).map(|_| breakers.admit("a").unwrap()).collect();
        permits.into_iter().for_each(|permit| permit.probe(probe(&begun, is_down)));
        sleep(2 * SECOND).await;
        assert_eq!(breakers.state("a"), state);
    }
    assert_eq!(begun.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_good_probe_forgets_no_failure() {
    let (breakers, begun) = (Breakers::default(), Arc::default());
    fail(&breakers, 4);
    breakers.admit("a").unwrap().probe(probe(&begun, false));
    let late = breakers.admit("a").unwrap();
    sleep(2 * SECOND).await;
    fail(&breakers, 1);
    assert_eq!(breakers.state("a"), BreakerState::Open);
    // This one was admitted before it opened, so nothing is asked on its account.
    late.probe(probe(&begun, false));
    sleep(2 * SECOND).await;
    assert_eq!((breakers.state("a"), begun.load(Ordering::Relaxed)), (BreakerState::Open, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_from_before_a_change_is_not_heard() {
    let breakers = Breakers::default();
    let mut old: Vec<_> = (0..20).map(|_| breakers.admit("a").unwrap()).collect();
    fail(&breakers, 5);
    advance(SECOND).await;
    // While it is open, neither end moves it.
    old.pop().unwrap().failed();
    old.pop().unwrap().succeeded();
    assert_eq!(breakers.admit("a").unwrap_err(), 4 * SECOND);
    advance(4 * SECOND).await;
    // Nor during a trial, the place of which they don't free.
    let trial = breakers.admit("a").unwrap();
    old.pop().unwrap().failed();
    old.pop().unwrap().succeeded();
    drop(old.pop());
    assert_eq!(breakers.admit("a").unwrap_err(), TRIAL_RETRY_AFTER);
    trial.succeeded();
    // Nor when it has closed since; nor when it was reset.
    (0..6).for_each(|_| old.pop().unwrap().failed());
    assert_eq!(breakers.state("a"), BreakerState::Closed);
    fail(&breakers, 4);
    old.pop().unwrap().succeeded();
    fail(&breakers, 1);
    assert_eq!(breakers.state("a"), BreakerState::Open);
    breakers.reset("a");
    let new = breakers.admit("a").unwrap();
    old.drain(..).for_each(Permit::failed);
    assert_eq!((breakers.state("a"), size(&breakers)), (BreakerState::Closed, 1));
    new.succeeded();
    assert_eq!(size(&breakers), 0);
}

#[tokio::test(start_paused = true)]
async fn many_threads_get_one_trial() {
    let breakers = Breakers::default();
    fail(&breakers, 5);
    advance(5 * SECOND).await;
    let runtime = tokio::runtime::Handle::current();
    let admitted: Vec<_> = std::thread::scope(|scope| {
        let ask = || {
            // So that the thread sees the test's clock.
            let _runtime = runtime.enter();
            (0..200).filter_map(|_| breakers.admit("a").ok()).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(admitted.len(), 1);
    admitted.into_iter().for_each(Permit::succeeded);
    assert_eq!((breakers.state("a"), size(&breakers)), (BreakerState::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_known_stays_small_and_what_is_open_is_kept_longest() {
    let breakers = Breakers::default();
    fail(&breakers, 5);
    for n in 0..MAX_CIRCUITS + 50 {
        advance(Duration::from_micros(1)).await;
        breakers.admit(&format!("well {n}")).unwrap().succeeded();
        breakers.admit(&format!("failing {n}")).unwrap().failed();
        assert!(size(&breakers) <= MAX_CIRCUITS);
    }
    assert_eq!(breakers.state("a"), BreakerState::Open);
    let circuits = breakers.0.lock();
    assert!(circuits.circuits.len() > MAX_CIRCUITS / 2);
    assert!(!circuits.circuits.contains_key("failing 0") && circuits.circuits.contains_key("failing 10049"));
}

#[test]
fn a_state_has_the_name_that_health_shows() {
    for (state, name) in
        [(BreakerState::Closed, "closed"), (BreakerState::Open, "open"), (BreakerState::HalfOpen, "half_open")]
    {
        assert_eq!(serde_json::to_value(state).unwrap(), name);
    }
}

proptest! {
    #[test]
    fn whatever_happens_trials_are_single_and_nothing_is_left_over(
        steps in proptest::collection::vec((0u8..12, 0usize..8), 0..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let breakers = Breakers::default();
            let mut permits = vec![];
            for (step, which) in steps {
                let state = breakers.state("a");
                let permit = (which < permits.len()).then(|| permits.swap_remove(which));
                match (step, permit) {
                    (0..5, permit) => {
                        permits.extend(permit);
                        let admitted = breakers.admit("a");
                        let fits = match state {
                            BreakerState::Closed => admitted.is_ok(),
                            BreakerState::Open => admitted.as_ref().is_err_and(|wait| *wait <= OPEN_TIME.after(u32::MAX) && !wait.is_zero()),
                            BreakerState::HalfOpen => breakers.admit("a").is_err(),
                        };
                        assert!(fits, "{state:?} {admitted:?}");
                        permits.extend(admitted);
                    }
                    (5..9, Some(permit)) => permit.failed(),
                    (9, Some(permit)) => permit.succeeded(),
                    (10, permit) => drop(permit),
                    (_, permit) => {
                        permits.extend(permit);
                        advance(3 * SECOND).await;
                    }
                }
            }
            permits.clear();
            advance(OPEN_TIME.after(u32::MAX)).await;
            breakers.admit("a").unwrap().succeeded();
            assert_eq!((breakers.state("a"), size(&breakers)), (BreakerState::Closed, 0));
        });
    }
}
