use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;
use tracing::Level;

use super::LogEntry;

/// Lines kept at most, and the memory they may take, in bytes.
const MAX_LINES: usize = 5_000;
const MAX_BYTES: usize = 4_000_000;
/// Lines that a reader gets at once, and the memory they may take beyond the first one.
const MAX_BATCH_LINES: usize = 100;
const MAX_BATCH_BYTES: usize = 64_000;
/// How long the thread that writes lines waits for more of them to write at once.
const GATHER_TIME: Duration = Duration::from_millis(10);

/// The latest lines of the log, also for the thread that writes them: nobody waits for it, and it may lose some.
#[derive(Debug, Default)]
pub struct LogRing {
    state: Mutex<RingState>,
    /// The id of the latest line.
    latest: watch::Sender<u64>,
    /// Told of lines that came, and of lines that were written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct RingState {
    lines: VecDeque<Arc<LogEntry>>,
    bytes: usize,
    latest: u64,
    /// The id of the latest line that was handed out to be written, and of the latest that has been.
    handed_out: u64,
    written: u64,
    /// The id of the latest line that is not to wait for others.
    urgent: u64,
    /// Bytes that came since lines were handed out last.
    gathered: usize,
    /// Lines that were not written and never will be.
    lost: u64,
}

/// Which lines are wanted. The default wants all.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Of this level, or a more severe one.
    pub level: Option<Level>,
    /// Not before this time, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Saying this somewhere, in any case; to be given in lower case.
    pub contains: Option<String>,
    /// Of this request.
    pub request_id: Option<String>,
    /// Of this execution.
    pub execution_id: Option<String>,
}

impl LogFilter {
    /// Whether a line is wanted.
    pub fn matches(&self, entry: &LogEntry) -> bool {
        // tracing holds the more verbose level to be the greater one.
        self.level.is_none_or(|level| entry.level <= level)
            && self.since_ms.is_none_or(|since| entry.at_ms >= since)
            && self.request_id.as_ref().is_none_or(|id| entry.request_id.as_ref() == Some(id))
            && self.execution_id.as_ref().is_none_or(|id| entry.execution_id.as_ref() == Some(id))
            && self.contains.as_ref().is_none_or(|text| entry.contains(text))
    }
}

impl LogRing {
    /// Numbers a line and keeps it; the oldest ones go.
    pub(super) fn push(&self, mut entry: LogEntry) -> Arc<LogEntry> {
        let mut state = self.state.lock();
        state.latest += 1;
        entry.id = state.latest;
        state.bytes += entry.size();
        state.gathered += entry.size();
        let entry = Arc::new(entry);
        state.lines.push_back(Arc::clone(&entry));
        while state.lines.len() > MAX_LINES || state.bytes > MAX_BYTES {
            let Some(oldest) = state.lines.pop_front() else { break };
            state.bytes -= oldest.size();
        }
        let latest = state.latest;
        if entry.level == Level::ERROR {
            state.urgent = latest;
        }
        // Whoever gathers lines is not woken by each of them.
        let is_awaited = latest == state.handed_out + 1 || !state.may_gather();
        drop(state);
        if is_awaited {
            self.changed.notify_all();
        }
        self.latest.send_replace(latest);
        entry
    }

    /// The latest lines that are wanted, newest first, at most `limit`; and the id of the latest line of all.
    pub fn newest(&self, filter: &LogFilter, limit: usize) -> (Vec<Arc<LogEntry>>, u64) {
        let (lines, latest) = {
            let state = self.state.lock();
            (state.lines.iter().rev().cloned().collect::<Vec<_>>(), state.latest)
        };
        (lines.into_iter().filter(|entry| filter.matches(entry)).take(limit).collect(), latest)
    }

    /// The next lines after `id`, oldest first, not all at once; and how many of them are gone already.
    pub fn after(&self, id: u64) -> (Vec<Arc<LogEntry>>, u64) {
        self.state.lock().after(id)
    }

    /// The next lines to be written, once there are any; and how many were lost before them.
    pub(super) fn next_batch(&self) -> (Vec<Arc<LogEntry>>, u64) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.latest == state.handed_out);
        self.changed.wait_while_for(&mut state, |state| state.may_gather(), GATHER_TIME);
        state.gathered = 0;
        let (lines, missed) = state.after(state.handed_out);
        state.lost += missed;
        state.handed_out = lines.last().map_or(state.latest, |line| line.id);
        (lines, missed)
    }

    /// What was handed out has been written, but for so many lines.
    pub(super) fn mark_written(&self, failed: u64) {
        let mut state = self.state.lock();
        state.lost += failed;
        state.written = state.handed_out;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until all lines of now have been written, at most this long.
    pub(super) fn flush(&self, timeout: Duration) {
        let mut state = self.state.lock();
        let goal = state.latest;
        state.urgent = goal;
        self.changed.notify_all();
        self.changed.wait_while_for(&mut state, |state| state.written < goal, timeout);
    }

    /// Lines that will never be written.
    pub fn lost(&self) -> u64 {
        let state = self.state.lock();
        state.lost + state.oldest().saturating_sub(state.handed_out + 1)
    }

    /// Tells of each new line.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}

impl RingState {
    /// Whether the lines that are to be written may wait for more.
    fn may_gather(&self) -> bool {
        let has_room = self.latest - self.handed_out < MAX_BATCH_LINES as u64 && self.gathered < MAX_BATCH_BYTES;
        has_room && self.urgent <= self.handed_out
    }

    fn oldest(&self) -> u64 {
        self.lines.front().map_or(self.latest + 1, |entry| entry.id)
    }

    fn after(&self, id: u64) -> (Vec<Arc<LogEntry>>, u64) {
        let oldest = self.oldest();
        let first = usize::try_from((id + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for entry in self.lines.iter().skip(first).take(MAX_BATCH_LINES) {
            bytes += entry.size();
            if bytes > MAX_BATCH_BYTES && !lines.is_empty() {
                break;
            }
            lines.push(Arc::clone(entry));
        }
        (lines, oldest.saturating_sub(id + 1))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn entry(level: Level, message: &str) -> LogEntry {
        LogEntry {
            id: 0,
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
        for n in 0..MAX_LINES + 10 {
            ring.push(entry(Level::INFO, &n.to_string()));
        }
        let (all, latest) = ring.newest(&LogFilter::default(), usize::MAX);
        assert_eq!((all.len(), all.last().unwrap().message.as_str(), latest), (MAX_LINES, "10", 5010));
        for _ in 0..1000 {
            ring.push(entry(Level::INFO, &"x".repeat(8_000)));
        }
        let size: usize = ring.newest(&LogFilter::default(), usize::MAX).0.iter().map(|entry| entry.size()).sum();
        assert!(size <= MAX_BYTES && size > MAX_BYTES / 2, "{size}");
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
        for n in 4..=MAX_LINES + 5 {
            ring.push(entry(Level::INFO, &n.to_string()));
        }
        let (lines, missed) = ring.after(1);
        assert_eq!((lines.len(), lines[0].id, missed), (MAX_BATCH_LINES, 6, 4), "what a reader holds stays small");
        for _ in 0..10 {
            ring.push(entry(Level::INFO, &"x".repeat(30_000)));
        }
        let (lines, missed) = ring.after(u64::try_from(MAX_LINES).unwrap() + 5);
        assert_eq!((lines.len(), missed), (2, 0));
    }

    #[test]
    fn a_writer_gets_each_line_once_and_what_it_is_too_slow_for_counts_as_lost() {
        let ring = LogRing::default();
        let push = |count: usize| (0..count).for_each(|n| drop(ring.push(entry(Level::INFO, &n.to_string()))));
        push(150);
        let mut ids = Vec::new();
        for expected in [100, 50] {
            let (lines, missed) = ring.next_batch();
            assert_eq!((lines.len(), missed), (expected, 0));
            ids.extend(lines.iter().map(|line| line.id));
            ring.mark_written(0);
        }
        assert_eq!(ids, (1..=150).collect::<Vec<_>>());
        push(MAX_LINES + 7);
        assert_eq!(ring.lost(), 7, "known before the writer is");
        assert_eq!(ring.next_batch().1, 7);
        let started = std::time::Instant::now();
        ring.flush(Duration::from_millis(50));
        assert!(started.elapsed() >= Duration::from_millis(50), "nothing was written");
        ring.mark_written(3);
        assert_eq!(ring.lost(), 10);
        for _ in 0..MAX_LINES / MAX_BATCH_LINES - 1 {
            ring.next_batch();
            ring.mark_written(0);
        }
        ring.flush(Duration::from_secs(3600));
    }

    #[test]
    fn lines_are_gathered_but_for_errors_and_what_somebody_waits_for() {
        let ring = LogRing::default();
        let batch_after = |lines: &[Level]| {
            lines.iter().for_each(|level| drop(ring.push(entry(*level, "x"))));
            let started = std::time::Instant::now();
            let count = ring.next_batch().0.len();
            ring.mark_written(0);
            (count, started.elapsed() >= GATHER_TIME)
        };
        assert_eq!(batch_after(&[Level::INFO]), (1, true));
        let many = vec![Level::INFO; MAX_BATCH_LINES];
        assert_eq!(batch_after(&many).0, MAX_BATCH_LINES);
        let state = |lines: &[Level]| {
            lines.iter().for_each(|level| drop(ring.push(entry(*level, "x"))));
            ring.state.lock().may_gather()
        };
        assert!(state(&[Level::INFO, Level::WARN]) && !state(&[Level::ERROR]) && !state(&[Level::INFO]));
        assert_eq!(ring.next_batch().0.len(), 4);
        ring.mark_written(0);
        assert!(state(&[Level::INFO]), "nothing is urgent any more");
        ring.flush(Duration::ZERO);
        assert!(!state(&[]), "somebody waits");
    }

    #[test]
    fn a_filter_wants_what_fits_all_of_it() {
        let warning = entry(Level::WARN, "The disk is FULL");
        let all = LogFilter {
            level: Some(Level::INFO),
            since_ms: Some(5),
            contains: Some("full".to_owned()),
            request_id: Some("r".to_owned()),
            execution_id: None,
        };
        assert!(all.matches(&warning) && LogFilter::default().matches(&warning));
        let others = [
            LogFilter { level: Some(Level::ERROR), ..all.clone() },
            LogFilter { since_ms: Some(6), ..all.clone() },
            LogFilter { contains: Some("empty".to_owned()), ..all.clone() },
            LogFilter { request_id: Some("s".to_owned()), ..all.clone() },
            LogFilter { execution_id: Some("e".to_owned()), ..all },
        ];
        assert!(others.iter().all(|filter| !filter.matches(&warning)));
    }
}
