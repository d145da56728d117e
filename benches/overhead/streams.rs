//! Streamed chats: when the first piece comes, and how late each one is.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Serialize;

use crate::load::process::cpu_time;
use crate::load::{StreamedChat, Talker, quantile};
use crate::pattern::Side;

/// How streams went within some time.
#[derive(Clone, Copy, Default, Serialize)]
pub struct StreamFigures {
    pub streams: usize,
    pub failed: usize,
    pub lost: usize,
    pub first_ms: f64,
    pub age_p50_ms: f64,
    pub age_p99_ms: f64,
    pub cpu_us: f64,
}

/// So many users listen to one stream after the other for this long.
pub async fn listen(side: &Side, count: usize, time: Duration, pieces: usize) -> StreamFigures {
    let (before, end) = (cpu_time(side.pid), Instant::now() + time);
    let listening = (0..count).map(|nth| {
        let mut talker = Talker::new(&side.address, &format!("stream-{count}-{nth}"), 1);
        tokio::spawn(async move {
            talker.connect().await;
            let mut heard = Vec::new();
            while Instant::now() < end {
                heard.push(talker.stream().await);
            }
            heard
        })
    });
    let heard: Vec<StreamedChat> = join_all(listening).await.into_iter().flat_map(Result::unwrap).collect();
    let cpu = cpu_time(side.pid) - before;
    let mut ages: Vec<f64> = heard.iter().flat_map(|stream| stream.ages.iter().copied()).collect();
    let mut first: Vec<f64> = heard.iter().map(|stream| stream.first).collect();
    StreamFigures {
        streams: heard.len(),
        failed: heard.iter().filter(|stream| !stream.is_complete).count(),
        lost: (heard.len() * pieces).saturating_sub(ages.len()),
        first_ms: quantile(&mut first, 0.5),
        age_p50_ms: quantile(&mut ages, 0.5),
        age_p99_ms: quantile(&mut ages, 0.99),
        cpu_us: cpu.as_secs_f64() * 1e6 / ages.len().max(1) as f64,
    }
}
