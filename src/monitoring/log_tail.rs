use std::sync::Arc;

use async_stream::stream;
use futures_util::Stream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::kernel::{Error, ErrorKind};
use crate::telemetry::{LogEntry, LogFilter, logs};

/// Followers at once. Each new line wakes all of them, and each may hold as much as its client does not read.
const MAX_FOLLOWERS: usize = 32;

/// Follows the log for clients. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct LogTail {
    slots: Arc<Semaphore>,
    /// Ends all streams.
    pub(super) stopping: CancellationToken,
}

/// What a follower of the log gets.
#[derive(Debug)]
pub(super) enum LogTailEvent {
    /// A line.
    Line(Arc<LogEntry>),
    /// So many lines are gone, because the follower was too slow. There is nothing after this.
    Missed(u64),
}

impl LogTail {
    pub(super) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(MAX_FOLLOWERS)), stopping: CancellationToken::new() }
    }

    /// The latest `backlog` lines that are wanted, oldest first, then each new one; until the server stops, or one is missed.
    pub(super) fn follow(
        &self,
        filter: LogFilter,
        backlog: usize,
    ) -> Result<impl Stream<Item = LogTailEvent> + Send + use<>, Error> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            Error::new(ErrorKind::Busy, format!("{MAX_FOLLOWERS} clients follow the log already; no more can"))
        })?;
        let stopping = self.stopping.clone();
        Ok(stream! {
            let _slot = slot;
            let mut news = logs().watch();
            let (latest, end) = logs().newest(&filter, backlog);
            // From before the first of them on, those that are wanted are these.
            let mut read = latest.last().map_or(end, |first| first.id - 1);
            drop(latest);
            loop {
                let (lines, missed) = logs().after(read);
                if missed > 0 {
                    yield LogTailEvent::Missed(missed);
                    break;
                }
                for line in lines {
                    read = line.id;
                    if filter.matches(&line) {
                        yield LogTailEvent::Line(line);
                    }
                }
                tokio::select! {
                    () = stopping.cancelled() => break,
                    changed = news.wait_for(|latest| *latest > read) => if changed.is_err() { break },
                }
            }
        })
    }
}
