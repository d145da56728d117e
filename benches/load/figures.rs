//! Quantiles, medians and ratios.

use std::time::Duration;

use serde::Serialize;

use super::Chat;

/// How chats went within some time.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Figures {
    pub chats: usize,
    pub failed: usize,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub cpu_us: f64,
}

impl Figures {
    /// Of chats that ended within `time`, for which the server's processes ran `cpu`.
    pub fn of(chats: &[Chat], time: Duration, cpu: Duration) -> Self {
        let mut took: Vec<f64> = chats.iter().filter(|it| it.is_right).map(|it| milliseconds(it.took)).collect();
        Self {
            chats: chats.len(),
            failed: chats.len() - took.len(),
            per_second: took.len() as f64 / time.as_secs_f64(),
            cpu_us: cpu.as_secs_f64() * 1e6 / took.len().max(1) as f64,
            p50_ms: quantile(&mut took, 0.5),
            p99_ms: quantile(&mut took, 0.99),
        }
    }
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value below which this share of all lies; 0 of none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&mut values.into_iter().collect::<Vec<_>>(), 0.5)
}

/// How many times the second value the first one is.
pub fn ratio(one: f64, other: f64) -> f64 {
    if other == 0.0 { 0.0 } else { one / other }
}
