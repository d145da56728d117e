//! Rounds in which the floor and the server are measured in turn, and what they come to.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::load::figures::Figures;
use crate::load::{Table, median, ratio};
use crate::pattern::{Pattern, Side, Talkers};
use crate::streams::{StreamFigures, listen};

/// How long each side is used before it is measured.
const WARM_UP: Duration = Duration::from_millis(700);

/// How often and how long each of the two is measured.
#[derive(Clone, Copy)]
pub struct Rounds {
    pub count: usize,
    pub time: Duration,
}

/// What was measured of both, round by round.
struct Measured<T> {
    floor: Vec<T>,
    server: Vec<T>,
}

impl<T> Measured<T> {
    fn new([floor, server]: [Vec<T>; 2]) -> Self {
        Self { floor, server }
    }

    fn of_floor(&self, figure: impl Fn(&T) -> f64) -> f64 {
        median(self.floor.iter().map(figure))
    }

    fn of_server(&self, figure: impl Fn(&T) -> f64) -> f64 {
        median(self.server.iter().map(figure))
    }

    /// The median of what each round says of the server (first) and the floor.
    fn compared(&self, figure: impl Fn(&T) -> f64, compare: impl Fn(f64, f64) -> f64) -> f64 {
        median(self.server.iter().zip(&self.floor).map(|(server, floor)| compare(figure(server), figure(floor))))
    }

    fn total(&self, figure: impl Fn(&T) -> usize) -> usize {
        self.floor.iter().chain(&self.server).map(figure).sum()
    }
}

impl<T: Serialize> Measured<T> {
    fn json(&self, load: &str, medians: &Value) -> Value {
        json!({"load": load, "medians": medians, "floor": self.floor, "server": self.server})
    }
}

fn difference(server: f64, floor: f64) -> f64 {
    server - floor
}

impl Rounds {
    /// Chats that arrive in these ways.
    pub async fn chats(self, sides: &[Side; 2], patterns: impl Iterator<Item = Pattern>) -> Vec<Value> {
        let table = Table::new(&[
            ("chats", 18),
            ("floor/s", 10),
            ("server/s", 10),
            ("x floor", 9),
            ("floor p50", 11),
            ("+p50 ms", 9),
            ("floor p99", 11),
            ("+p99 ms", 9),
            ("cpu us", 9),
            ("floor us", 10),
            ("failed", 8),
        ]);
        let mut found = Vec::new();
        for pattern in patterns {
            let measured = Measured::new(self.chat(sides, pattern).await);
            found.push(show_chats(&table, &pattern.name(), &measured));
        }
        found
    }

    async fn chat(self, sides: &[Side; 2], pattern: Pattern) -> [Vec<Figures>; 2] {
        let [floor, server] = sides;
        let mut talkers = [Talkers::connect(floor, pattern).await, Talkers::connect(server, pattern).await];
        let mut found = [Vec::new(), Vec::new()];
        for round in 0..=self.count {
            for (talkers, found) in talkers.iter_mut().zip(&mut found) {
                let figures = talkers.chat(if round == 0 { WARM_UP } else { self.time }).await;
                if round > 0 {
                    found.push(figures);
                }
            }
        }
        found
    }

    /// So many streams at once, each of so many pieces.
    pub async fn streams(self, sides: &[Side; 2], counts: [usize; 2], pieces: usize) -> Vec<Value> {
        let table = Table::new(&[
            ("streams at once", 18),
            ("floor first", 13),
            ("+first ms", 11),
            ("floor p50", 11),
            ("+p50 ms", 9),
            ("floor p99", 11),
            ("+p99 ms", 9),
            ("us/piece", 10),
            ("floor us", 10),
            ("lost", 6),
            ("failed", 8),
        ]);
        let mut found = Vec::new();
        for count in counts {
            let mut rounds = [Vec::new(), Vec::new()];
            for _ in 0..self.count {
                for (side, rounds) in sides.iter().zip(&mut rounds) {
                    rounds.push(listen(side, count, self.time, pieces).await);
                }
            }
            found.push(show_streams(&table, &count.to_string(), &Measured::new(rounds)));
        }
        found
    }
}

fn show_chats(table: &Table, load: &str, it: &Measured<Figures>) -> Value {
    let failed = it.total(|round| round.failed);
    let medians = json!({
        "floor_per_second": it.of_floor(|round| round.per_second),
        "server_per_second": it.of_server(|round| round.per_second),
        "ratio": it.compared(|round| round.per_second, ratio),
        "floor_p50_ms": it.of_floor(|round| round.p50_ms),
        "added_p50_ms": it.compared(|round| round.p50_ms, difference),
        "floor_p99_ms": it.of_floor(|round| round.p99_ms),
        "added_p99_ms": it.compared(|round| round.p99_ms, difference),
        "server_cpu_us": it.of_server(|round| round.cpu_us),
        "floor_cpu_us": it.of_floor(|round| round.cpu_us),
        "failed": failed,
    });
    table.row(&cells(load, &medians, &[0, 0, 2, 2, 2, 2, 2, 0, 0, 0]));
    it.json(load, &medians)
}

fn show_streams(table: &Table, load: &str, it: &Measured<StreamFigures>) -> Value {
    let medians = json!({
        "floor_first_ms": it.of_floor(|round| round.first_ms),
        "added_first_ms": it.compared(|round| round.first_ms, difference),
        "floor_age_p50_ms": it.of_floor(|round| round.age_p50_ms),
        "added_age_p50_ms": it.compared(|round| round.age_p50_ms, difference),
        "floor_age_p99_ms": it.of_floor(|round| round.age_p99_ms),
        "added_age_p99_ms": it.compared(|round| round.age_p99_ms, difference),
        "server_cpu_us_per_piece": it.of_server(|round| round.cpu_us),
        "floor_cpu_us_per_piece": it.of_floor(|round| round.cpu_us),
        "lost": it.total(|round| round.lost),
        "failed": it.total(|round| round.failed),
    });
    table.row(&cells(load, &medians, &[2, 2, 2, 2, 2, 2, 0, 0, 0, 0]));
    it.json(load, &medians)
}

/// The figures of a row, with so many digits after the point.
fn cells(load: &str, medians: &Value, digits: &[usize]) -> Vec<String> {
    let figures = medians.as_object().unwrap().values().zip(digits);
    let figures = figures.map(|(figure, digits)| format!("{:.digits$}", figure.as_f64().unwrap()));
    std::iter::once(load.to_owned()).chain(figures).collect()
}
