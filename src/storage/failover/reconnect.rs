use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::outbox::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};
use super::remote::{Failure, RemoteBackend, timeout_for};
use super::state::Failover;
use crate::kernel::{BackgroundTask, Backoff, Error};

/// How long the start waits for the service; after that it is connected to in the background.
const START_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a connection that nobody complains about is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(3);
/// Pauses between attempts to connect.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// A connection that held this long has earned an immediate attempt when it is lost. Together with the longest backoff this
/// bounds how often the log is told about a service that comes and goes.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// How long operations are written back while others are added at full speed; again as long as they become fewer.
const CONCURRENT_DRAIN_TIME: Duration = Duration::from_secs(3);
/// How long writers may be kept waiting at once.
const LAST_PAGE_TIMEOUT: Duration = Duration::from_millis(500);

impl<B: RemoteBackend> Failover<B> {
    /// Connects before the first request if the service is there, and goes on in the background. Only a service that must not be
    /// used is an error.
    pub(crate) async fn start(&self) -> Result<BackgroundTask, Error> {
        let late = || Err(Failure::Unavailable(format!("no connection within {} s", START_TIMEOUT.as_secs())));
        match timeout(START_TIMEOUT, self.connect()).await.unwrap_or_else(|_| late()) {
            Err(Failure::IncompatibleSchema(text)) => {
                return Err(Error::internal_public(format!("can't use {}", B::NAME), text));
            }
            Err(failure) => self.connect_failed(&failure),
            Ok(()) => {}
        }
        let failover = self.clone();
        Ok(BackgroundTask::spawn(B::TASK, move || failover.clone().run_reconnect()))
    }

    /// Connects, watches the connection and writes back what has waited. Never ends.
    async fn run_reconnect(self) {
        let mut failures = 0_u32;
        let mut connected_at = Instant::now();
        loop {
            while !self.wait_until_down(CHECK_INTERVAL).await {
                self.probe().await;
            }
            if connected_at.elapsed() < STABLE_AFTER {
                failures = failures.saturating_add(1);
                sleep(BACKOFF.after(failures)).await;
            } else {
                failures = 0;
            }
            while let Err(failure) = self.connect().await {
                self.connect_failed(&failure);
                failures = failures.saturating_add(1);
                sleep(BACKOFF.after(failures)).await;
            }
            connected_at = Instant::now();
        }
    }

    /// One attempt to connect and to write back.
    async fn connect(&self) -> Result<(), Failure> {
        let connection = self.backend.connect().await?;
        let mut written = 0;
        let mut left = u64::MAX;
        while self.drain(&connection, &mut written).await? && self.outbox.pending() < left {
            left = self.outbox.pending();
        }
        // From here on writers wait for a page at a time, so that they can't outrun what is written back.
        loop {
            let closed = self.queue.write().await;
            if !self.write_back(&connection, &mut written, Some(LAST_PAGE_TIMEOUT)).await? {
                self.mark_up(connection, written, closed);
                return Ok(());
            }
        }
    }

    /// Writes back for a while; returns whether there is more.
    async fn drain(&self, connection: &B::Connection, written: &mut usize) -> Result<bool, Failure> {
        let started = Instant::now();
        while started.elapsed() < CONCURRENT_DRAIN_TIME {
            if !self.write_back(connection, written, None).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes one page back; returns whether there may be more.
    async fn write_back(
        &self,
        connection: &B::Connection,
        written: &mut usize,
        limit: Option<Duration>,
    ) -> Result<bool, Failure> {
        let entries = self.outbox.oldest_page().await?;
        let Some(last) = entries.last() else { return Ok(false) };
        let bytes = entries.iter().map(|entry| entry.body.len()).sum();
        let writing = self.backend.write_back(connection, &entries);
        match limit {
            None => writing.await?,
            Some(limit) => {
                let slow = || Failure::Unavailable("it was too slow at taking what had waited".to_owned());
                timeout(timeout_for(limit, bytes), writing).await.map_err(|_| slow())??;
            }
        }
        self.outbox.removed(self.outbox.remove_until(last.position).await?);
        *written += entries.len();
        Ok(entries.len() == MAX_PAGE_ENTRIES || bytes >= MAX_PAGE_BYTES)
    }

    /// Finds out that the service has gone before a request does, and that an operation was left behind because whoever
    /// queued it was cut off.
    async fn probe(&self) {
        let Some(handle) = self.handle() else { return };
        if let Err(failure) = self.backend.ping(&handle.connection, B::CHECK_TIMEOUT).await {
            self.mark_failed(&handle, &failure);
        } else if self.outbox.count().await.is_ok_and(|waiting| waiting > 0) {
            self.mark_down();
        }
    }
}
