use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Backend, Failure, Link, PAGE, PAGE_BYTES, allowance};

/// How often a connection that nobody complains about is looked at.
const CHECK_EVERY: Duration = Duration::from_secs(3);
/// Pause after the first attempt that failed; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A connection that held this long has earned an immediate attempt when it is lost. Together with the longest pause this
/// bounds how often the log is told about a service that comes and goes.
const STEADY: Duration = Duration::from_secs(10);
/// How long operations are written back while others are added at full speed; again as long as they become fewer.
const UNHINDERED: Duration = Duration::from_secs(3);
/// How long writers may be kept waiting at once.
const LAST_PAGE: Duration = Duration::from_millis(500);

impl<B: Backend> Link<B> {
    /// Connects, watches the connection and writes back what has waited. Never ends.
    pub(in crate::storage) async fn keep(self) {
        let mut pause = FIRST_PAUSE;
        let mut raised = Instant::now();
        loop {
            while !self.until_down(CHECK_EVERY).await {
                self.look().await;
            }
            if raised.elapsed() < STEADY {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                pause = FIRST_PAUSE;
            }
            while let Err(failure) = self.connect().await {
                self.attempt_failed(&failure);
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            raised = Instant::now();
        }
    }

    /// One attempt to connect and to write back.
    pub(in crate::storage) async fn connect(&self) -> Result<(), Failure> {
        let connection = self.backend().connect().await?;
        let mut written = 0;
        let mut left = u64::MAX;
        while self.drain(&connection, &mut written).await? && self.status().pending < left {
            left = self.status().pending;
        }
        // From here on writers wait for a page at a time, so that they can't outrun what is written back.
        loop {
            let closed = self.close_queue().await;
            if !self.write_back(&connection, &mut written, Some(LAST_PAGE)).await? {
                self.raise(connection, written, closed);
                return Ok(());
            }
        }
    }

    /// Writes back for a while; returns whether there is more.
    async fn drain(&self, connection: &B::Connection, written: &mut usize) -> Result<bool, Failure> {
        let started = Instant::now();
        while started.elapsed() < UNHINDERED {
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
        let entries = self.journal().oldest().await.map_err(Failure::Refused)?;
        let Some(last) = entries.last() else { return Ok(false) };
        let bytes = entries.iter().map(|entry| entry.body.len()).sum();
        let writing = self.backend().write_back(connection, &entries);
        match limit {
            None => writing.await?,
            Some(limit) => {
                let slow = || Failure::Unusable("it was too slow at taking what had waited".to_owned());
                timeout(allowance(limit, bytes), writing).await.map_err(|_| slow())??;
            }
        }
        self.dequeued(self.journal().remove_until(last.position).await.map_err(Failure::Refused)?);
        *written += entries.len();
        Ok(entries.len() == PAGE || bytes >= PAGE_BYTES)
    }

    /// Finds out that the service has gone before a request does, and that an operation was left behind because whoever
    /// queued it was cut off.
    async fn look(&self) {
        let Some(lease) = self.lease() else { return };
        if let Err(failure) = self.backend().check(&lease.connection).await {
            self.failed(&lease, &failure);
        } else if self.journal().count().await.is_ok_and(|waiting| waiting > 0) {
            self.lower();
        }
    }
}
