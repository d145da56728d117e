use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tracing::Level;

use super::LogEntry;

/// Lines kept at most, and the memory they may take, in bytes.
const MOST_LINES: usize = 5_000;
const MOST_BYTES: usize = 4_000_000;

/// The latest lines of the log.
#[derive(Debug)]
pub struct LogRing {
    kept: Mutex<Kept>,
    /// The id of the latest line.
    latest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Arc<LogEntry>>,
    bytes: usize,
    latest: u64,
}

/// Which lines are wanted. The default wants all.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Of this level, or a more severe one.
    pub level: Option<Level>,
    /// Not before this time, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Saying this somewhere, in any case.
    pub contains: Option<String>,
    /// Of this request.
    pub request_id: Option<String>,
    /// Of this execution.
    pub execution_id: Option<String>,
}

impl LogFilter {
    /// Whether a line is wanted.
    pub fn wants(&self, entry: &LogEntry) -> bool {
        // tracing holds the more verbose level to be the greater one.
        self.level.is_none_or(|level| entry.level <= level)
            && self.since_ms.is_none_or(|since| entry.at_ms >= since)
            && self.request_id.as_ref().is_none_or(|id| entry.request_id.as_ref() == Some(id))
            && self.execution_id.as_ref().is_none_or(|id| entry.execution_id.as_ref() == Some(id))
            && self.contains.as_ref().is_none_or(|text| entry.says(&text.to_lowercase()))
    }
}

impl Default for LogRing {
    fn default() -> Self {
        Self { kept: Mutex::default(), latest: watch::Sender::new(0) }
    }
}

impl LogRing {
    /// Numbers a line and keeps it; the oldest ones go.
    pub(super) fn push(&self, mut entry: LogEntry) -> Arc<LogEntry> {
        let mut kept = self.kept();
        kept.latest += 1;
        entry.id = kept.latest;
        kept.bytes += entry.size();
        let entry = Arc::new(entry);
        kept.lines.push_back(Arc::clone(&entry));
        while kept.lines.len() > MOST_LINES || kept.bytes > MOST_BYTES {
            let Some(oldest) = kept.lines.pop_front() else { break };
            kept.bytes -= oldest.size();
        }
        let latest = kept.latest;
        drop(kept);
        self.latest.send_replace(latest);
        entry
    }

    /// The latest lines that are wanted, newest first, at most `limit`; and the id of the latest line of all.
    pub fn newest(&self, filter: &LogFilter, limit: usize) -> (Vec<Arc<LogEntry>>, u64) {
        let (lines, latest) = {
            let kept = self.kept();
            (kept.lines.iter().rev().cloned().collect::<Vec<_>>(), kept.latest)
        };
        (lines.into_iter().filter(|entry| filter.wants(entry)).take(limit).collect(), latest)
    }

    /// The lines after `id`, oldest first; and how many of them are gone already.
    pub fn after(&self, id: u64) -> (Vec<Arc<LogEntry>>, u64) {
        let kept = self.kept();
        let oldest = kept.lines.front().map_or(kept.latest + 1, |entry| entry.id);
        let have = usize::try_from((kept.latest + 1).saturating_sub(oldest.max(id + 1))).unwrap_or(0);
        let lines = kept.lines.iter().skip(kept.lines.len() - have.min(kept.lines.len())).cloned().collect();
        (lines, oldest.saturating_sub(id + 1))
    }

    /// Tells of each new line.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn entry(level: Level, message: &str) -> LogEntry {
        LogEntry {
            id: 0,
            timestamp: String::new(),
            at_ms: 5,
            level,
            target: "t".to_owned(),
            message: message.to_owned(),
            request_id: Some("r".to_owned()),
            execution_id: None,
            fields: Map::new(),
        }
    }

    fn messages(lines: &[Arc<LogEntry>]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn the_oldest_lines_go_when_there_are_too_many_or_they_take_too_much() {
        let ring = LogRing::default();
        for n in 0..MOST_LINES + 10 {
            ring.push(entry(Level::INFO, &n.to_string()));
        }
        let (all, latest) = ring.newest(&LogFilter::default(), usize::MAX);
        assert_eq!((all.len(), all.last().unwrap().message.as_str(), latest), (MOST_LINES, "10", 5010));
        for _ in 0..1000 {
            ring.push(entry(Level::INFO, &"x".repeat(8_000)));
        }
        let size: usize = ring.newest(&LogFilter::default(), usize::MAX).0.iter().map(|entry| entry.size()).sum();
        assert!(size <= MOST_BYTES && size > MOST_BYTES / 2, "{size}");
    }

    #[test]
    fn a_reader_that_lags_is_told_how_much_it_missed() {
        let ring = LogRing::default();
        assert_eq!(ring.after(0).1, 0);
        for n in 1..=3 {
            ring.push(entry(Level::INFO, &n.to_string()));
        }
        let (lines, missed) = ring.after(1);
        assert_eq!((messages(&lines), missed), (vec!["2", "3"], 0));
        assert_eq!((ring.after(3).0.len(), ring.after(3).1), (0, 0));
        for n in 4..=MOST_LINES + 5 {
            ring.push(entry(Level::INFO, &n.to_string()));
        }
        let (lines, missed) = ring.after(1);
        assert_eq!((lines.len(), lines[0].id, missed), (MOST_LINES, 6, 4));
    }

    #[test]
    fn a_filter_wants_what_fits_all_of_it() {
        let warning = entry(Level::WARN, "The disk is FULL");
        let all = LogFilter {
            level: Some(Level::INFO),
            since_ms: Some(5),
            contains: Some("Full".to_owned()),
            request_id: Some("r".to_owned()),
            execution_id: None,
        };
        assert!(all.wants(&warning) && LogFilter::default().wants(&warning));
        let others = [
            LogFilter { level: Some(Level::ERROR), ..all.clone() },
            LogFilter { since_ms: Some(6), ..all.clone() },
            LogFilter { contains: Some("empty".to_owned()), ..all.clone() },
            LogFilter { request_id: Some("s".to_owned()), ..all.clone() },
            LogFilter { execution_id: Some("e".to_owned()), ..all },
        ];
        assert!(others.iter().all(|filter| !filter.wants(&warning)));
    }
}
