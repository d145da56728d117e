//! Streams at once: pieces that are lost, how late pieces come, and the memory that a stream takes.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::load::{Server, StreamedChat, Table, Talker, number, quantile, resident};

/// Numbers of streams below the largest one.
const COUNTS: [usize; 4] = [1, 100, 500, 1000];
/// Chats before memory is measured, so that what a server takes once is there.
const WARM_UP: usize = 200;

/// What became of so many streams at once.
struct Outcome {
    heard: Vec<StreamedChat>,
    idle: f64,
    peak: f64,
}

async fn listen(llm: &str, count: usize) -> Outcome {
    let variables = [("MAX_CONNECTIONS_PER_ADDRESS", "0"), ("LOG_LEVEL", "warn")];
    let server = Server::start(TempDir::new().unwrap(), llm, &variables).await;
    let mut first = Talker::new(&server.address, "first", 20);
    for _ in 0..WARM_UP {
        first.chat().await;
    }
    let idle = resident(server.pid());
    let mut talkers = Vec::new();
    for nth in 0..count {
        let mut talker = Talker::new(&server.address, &format!("user-{nth}"), 1);
        talker.connect().await;
        talkers.push(talker);
    }
    let listening = talkers.into_iter().map(|mut talker| {
        tokio::spawn(async move {
            let heard = talker.stream().await;
            // Connections stay until all have ended.
            (talker, heard)
        })
    });
    let mut all = Box::pin(join_all(listening));
    let mut peak = idle;
    let ended = loop {
        tokio::select! {
            ended = &mut all => break ended,
            () = sleep(Duration::from_millis(50)) => peak = resident(server.pid()).max(peak),
        }
    };
    let heard = ended.into_iter().map(|ended| ended.unwrap().1).collect();
    Outcome { heard, idle, peak }
}

pub async fn measure(llm: &str, pieces: usize) -> Value {
    println!();
    let table = Table::new(&[
        ("streams at once", 18),
        ("failed", 8),
        ("lost", 8),
        ("of", 9),
        ("first ms", 10),
        ("p50 ms", 9),
        ("p99 ms", 9),
        ("idle MB", 9),
        ("peak MB", 9),
        ("KB/stream", 11),
    ]);
    let most = number("GROWTH_STREAMS", 2000);
    let mut found = Vec::new();
    for count in COUNTS.into_iter().filter(|count| *count < most).chain([most]) {
        found.push(row(&table, count, pieces, &listen(llm, count).await));
    }
    Value::Array(found)
}

fn row(table: &Table, count: usize, pieces: usize, outcome: &Outcome) -> Value {
    let Outcome { heard, idle, peak } = outcome;
    let mut ages: Vec<f64> = heard.iter().flat_map(|stream| stream.ages.iter().copied()).collect();
    let mut first: Vec<f64> = heard.iter().map(|stream| stream.first).collect();
    let failed = heard.iter().filter(|stream| !stream.is_complete).count();
    let (sent, kilobytes) = (count * pieces, (peak - idle) * 1024.0 / count as f64);
    let lost = sent.saturating_sub(ages.len());
    let [first, p50, p99] = [quantile(&mut first, 0.5), quantile(&mut ages, 0.5), quantile(&mut ages, 0.99)];
    let figures = [(first, 1), (p50, 2), (p99, 2), (*idle, 1), (*peak, 1), (kilobytes, 1)];
    let figures = figures.map(|(figure, digits)| format!("{figure:.digits$}"));
    let counts = [count, failed, lost, sent].map(|count| count.to_string());
    table.row(&[&counts[..], &figures[..]].concat());
    json!({"streams": count, "failed": failed, "lost": lost, "sent": sent, "first_ms": first, "age_p50_ms": p50,
        "age_p99_ms": p99, "idle_mb": idle, "peak_mb": peak, "kb_per_stream": kilobytes})
}
