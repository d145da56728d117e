use std::time::Duration;

use crate::kernel::{Backoff, Clock, Deadline, Stopwatch};

/// How often and how patiently a call is tried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Attempts in all; at least one is made.
    pub attempts: u32,
    /// Upper ends of the waits between them.
    pub backoff: Backoff,
}

/// Whether an error is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Trying again can't help.
    Stop,
    /// It may help, not before this long if the upstream said so.
    Retry(Option<Duration>),
}

/// Runs `call` until it succeeds, its error is final, the attempts are used up, or the next wait would end after `deadline`;
/// also gives the number of attempts. Waits have full jitter, with Retry-After as a floor. Must not be nested.
pub async fn retry<T, E, F>(
    policy: RetryPolicy,
    deadline: Deadline,
    mut call: impl FnMut() -> F,
    decide: impl Fn(&E) -> RetryDecision,
) -> (Result<T, E>, u32)
where
    F: Future<Output = Result<T, E>>,
{
    let mut attempt = 1;
    loop {
        let outcome = call().await;
        let floor = match &outcome {
            Err(error) if attempt < policy.attempts => match decide(error) {
                RetryDecision::Retry(floor) => floor.unwrap_or_default(),
                RetryDecision::Stop => return (outcome, attempt),
            },
            _ => return (outcome, attempt),
        };
        let wait = policy.backoff.after(attempt).mul_f64(fastrand::f64()).max(floor);
        if wait >= deadline.remaining() {
            return (outcome, attempt);
        }
        let waits = Stopwatch::wait();
        tokio::time::sleep(wait).await;
        drop(waits);
        attempt += 1;
    }
}

/// The wait that a Retry-After header asks for: seconds, or an HTTP date.
pub fn retry_after(header: &str, clock: &Clock) -> Option<Duration> {
    if let Ok(seconds) = header.trim().parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let at = jiff::fmt::rfc2822::parse(header.trim()).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(at.saturating_sub(clock.now_ms())).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    const POLICY: RetryPolicy =
        RetryPolicy { attempts: 3, backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(8)) };

    async fn fail(decide: RetryDecision, limit: Duration) -> (u32, Duration) {
        let calls = Cell::new(0);
        let start = Instant::now();
        let call = || async {
            calls.set(calls.get() + 1);
            Err::<(), _>("no")
        };
        let (outcome, attempts) = retry(POLICY, Deadline::after(limit), call, |_| decide).await;
        assert_eq!((outcome, calls.get()), (Err("no"), attempts));
        (attempts, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_and_waits_stay_within_the_jitter() {
        let (attempts, waited) = fail(RetryDecision::Retry(None), Duration::from_secs(60)).await;
        assert_eq!(attempts, 3);
        assert!(waited <= Duration::from_millis(1502), "{waited:?}");
        assert_eq!(fail(RetryDecision::Stop, Duration::from_secs(60)).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_a_floor_and_the_deadline_a_ceiling() {
        let floor = Some(Duration::from_secs(3));
        let (attempts, waited) = fail(RetryDecision::Retry(floor), Duration::from_secs(60)).await;
        assert_eq!(attempts, 3);
        assert!(waited >= Duration::from_secs(6), "{waited:?}");
        let (attempts, waited) = fail(RetryDecision::Retry(floor), Duration::from_secs(2)).await;
        assert_eq!((attempts, waited), (1, Duration::ZERO));
    }

    #[test]
    fn both_forms_of_retry_after_are_understood() {
        let clock = Clock::manual(784_111_777_000);
        assert_eq!(retry_after("7", &clock), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:40 GMT", &clock), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", &clock), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", &clock), None);
    }
}
