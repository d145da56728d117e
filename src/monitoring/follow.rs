use std::sync::Arc;

use async_stream::stream;
use futures_util::Stream;

use super::MonitoringService;
use crate::telemetry::{LogEntry, LogFilter, logs};

/// What a follower of the log gets.
#[derive(Debug)]
pub(super) enum Followed {
    /// A line.
    Line(Arc<LogEntry>),
    /// So many lines are gone, because the follower was too slow. There is nothing after this.
    Missed(u64),
}

impl MonitoringService {
    /// The latest `backlog` lines that are wanted, oldest first, then each new one as it is logged; until the server stops.
    /// Nothing is kept for a follower: it reads where the lines are kept anyway, and ends if they are gone by then.
    pub(super) fn follow(&self, filter: LogFilter, backlog: usize) -> impl Stream<Item = Followed> + Send + use<> {
        let stopping = self.stopping();
        stream! {
            let mut news = logs().watch();
            let (latest, mut read) = logs().newest(&filter, backlog);
            for line in latest.into_iter().rev() {
                yield Followed::Line(line);
            }
            loop {
                let (lines, missed) = logs().after(read);
                if missed > 0 {
                    yield Followed::Missed(missed);
                    break;
                }
                for line in lines {
                    read = line.id;
                    if filter.wants(&line) {
                        yield Followed::Line(line);
                    }
                }
                tokio::select! {
                    () = stopping.cancelled() => break,
                    changed = news.wait_for(|latest| *latest > read) => if changed.is_err() { break },
                }
            }
        }
    }
}
