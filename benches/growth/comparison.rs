//! The same request with few and with many, in turn.

use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};

use crate::load::{Connection, Table, Talker, figures::milliseconds, median, quantile, ratio};

/// What was measured of one kind of request; times in ms, round by round.
#[derive(Serialize)]
pub struct Comparison {
    what: String,
    few: Vec<Round>,
    many: Vec<Round>,
    failed: usize,
}

#[derive(Clone, Copy, Serialize)]
struct Round {
    p50: f64,
    p99: f64,
}

/// One of the two that are compared: says how long one request took, in ms, unless it failed.
pub enum Side<'a> {
    /// A request of which `{n}` is replaced by the number of a name, and `{value}` by another one.
    Request {
        connection: &'a mut Connection,
        method: &'a str,
        path: &'a str,
        body: &'a str,
        names: usize,
    },
    Chat(&'a mut Talker),
}

impl Side<'_> {
    async fn once(&mut self, nth: usize) -> Option<f64> {
        match self {
            Self::Chat(talker) => {
                let chat = talker.chat().await;
                chat.is_right.then(|| milliseconds(chat.took))
            }
            Self::Request { connection, method, path, body, names } => {
                // Names from all over, and another value each time.
                let name = (nth * 7919 % *names).to_string();
                let path = path.replace("{n}", &name);
                let body = body.replace("{n}", &name).replace("{value}", &(nth % 100 + 1).to_string());
                let started = Instant::now();
                let reply = connection.send(method, &path, &body).await.unwrap();
                (reply.status == 200).then(|| milliseconds(started.elapsed()))
            }
        }
    }
}

impl Comparison {
    /// `count` requests of each in each round.
    pub async fn of(what: &str, rounds: usize, count: usize, mut sides: [Side<'_>; 2]) -> Self {
        let (mut found, mut failed) = ([Vec::new(), Vec::new()], 0);
        // The first round warms both up.
        for round in 0..=rounds {
            for (side, found) in sides.iter_mut().zip(&mut found) {
                let mut times = Vec::new();
                for nth in 0..count {
                    times.extend(side.once(round * count + nth).await);
                }
                failed += count - times.len();
                if round > 0 {
                    found.push(Round { p50: quantile(&mut times, 0.5), p99: quantile(&mut times, 0.99) });
                }
            }
        }
        let [few, many] = found;
        Self { what: what.to_owned(), few, many, failed }
    }
}

/// Prints comparisons below a head, and gives them with their medians as JSON.
pub fn show(few: &str, many: &str, comparisons: &[Comparison]) -> Value {
    println!();
    let heads = [("p50 ms, p99 ms", 28), (few, 18), (many, 18), ("ratio p50", 11), ("p99", 8), ("failed", 8)];
    let table = Table::new(&heads);
    let shown = comparisons.iter().map(|it| {
        let p50 = [&it.few, &it.many].map(|rounds| median(rounds.iter().map(|round| round.p50)));
        let p99 = [&it.few, &it.many].map(|rounds| median(rounds.iter().map(|round| round.p99)));
        let (ratio_p50, ratio_p99) = (ratio(p50[1], p50[0]), ratio(p99[1], p99[0]));
        table.row(&[
            it.what.clone(),
            format!("{:.2}, {:.2}", p50[0], p99[0]),
            format!("{:.2}, {:.2}", p50[1], p99[1]),
            format!("{ratio_p50:.2}"),
            format!("{ratio_p99:.2}"),
            it.failed.to_string(),
        ]);
        json!({"rounds": it, "p50_ms": p50, "p99_ms": p99, "ratio_p50": ratio_p50, "ratio_p99": ratio_p99})
    });
    json!({"few": few, "many": many, "requests": shown.collect::<Vec<_>>()})
}
