use std::time::Duration;

/// Exponential back-off: waits that double with each failure.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
}

impl Backoff {
    /// Waits that begin with `first` and never exceed `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max }
    }

    /// The wait after so many failures in a row.
    pub fn after(self, failures: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.first.saturating_mul(doubled).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));
        let waits = [1, 2, 3, 4, 5, 6, u32::MAX].map(|failures| backoff.after(failures).as_secs());
        assert_eq!(waits, [5, 10, 20, 40, 60, 60, 60]);
    }
}
