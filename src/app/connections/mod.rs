//! The open connections: how many there may be, in all and of one client, what they may keep in memory together, and which is
//! closed when that is too much. A client is an IP address, or a /64 network of IPv6, which is what one household gets.

mod connection;
mod tracked_body;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::settings::ServerSettings;
pub(super) use connection::ClientConnection;
use connection::{BufferBudget, EvictionWeight};
pub(super) use tracked_body::{BodySide, TrackedBody};

/// Pause before another connection is closed because the last one has not made room yet.
const EVICTION_INTERVAL: Duration = Duration::from_millis(50);
/// How often to look whether first requests have come.
const FIRST_REQUEST_POLL: Duration = Duration::from_millis(5);
/// Shortest time between two lines in the log about limits.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The open connections.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<ConnectionTable>);

#[derive(Debug)]
struct ConnectionTable {
    slots: Arc<Semaphore>,
    max_per_client: usize,
    max_buffered_bytes: usize,
    /// Bytes that the open connections keep.
    buffered: AtomicUsize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    /// Those that were told to close are not among them.
    connections: HashMap<IpAddr, Vec<Arc<ClientConnection>>>,
    warned: Option<Instant>,
}

/// A connection that may be served, until this is dropped.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) connection: Arc<ClientConnection>,
    table: Arc<ConnectionTable>,
    _slot: OwnedSemaphorePermit,
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionRefusal {
    /// All connections that there may be are in use.
    ServerFull,
    /// All connections that this client may have are in use.
    ClientFull,
}

impl Connections {
    /// As many as the settings allow, and at most `most`. No client's share is more than half of them, unless it has no limit.
    pub(super) fn new(settings: &ServerSettings, most: usize) -> Self {
        let most = settings.max_connections.min(most).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(ConnectionTable {
            slots: Arc::new(Semaphore::new(most)),
            max_per_client: settings
                .max_connections_per_address
                .map_or(usize::MAX, |share| share.min(most.div_ceil(2))),
            max_buffered_bytes: settings.max_buffered_bytes,
            buffered: AtomicUsize::new(0),
            open: Mutex::default(),
        }))
    }

    /// Counts a connection, for which room is made if there is none.
    pub(super) async fn admit(
        &self,
        address: IpAddr,
        close: CancellationToken,
    ) -> Result<Admission, ConnectionRefusal> {
        let client = client(address);
        let count = self.0.open.lock().connections.get(&client).map_or(0, Vec::len);
        if count >= self.0.max_per_client && !self.0.close_one(Some(client), ClientConnection::idle) {
            self.0.warn(format!(
                "{client} has MAX_CONNECTIONS_PER_ADDRESS connections in use; a further one was refused"
            ));
            return Err(ConnectionRefusal::ClientFull);
        }
        let slot = self.slot().await?;
        let table = Arc::clone(&self.0);
        let connection = Arc::new(ClientConnection::new(client, close, table.clone()));
        table.open.lock().connections.entry(client).or_default().push(Arc::clone(&connection));
        Ok(Admission { connection, table, _slot: slot })
    }

    /// Done once the first request of every connection has come, or after this time.
    pub(super) async fn first_requests(&self, limit: Duration) {
        let are_new = || self.0.open.lock().connections.values().flatten().any(|connection| connection.is_new());
        let waiting = async {
            while are_new() {
                tokio::time::sleep(FIRST_REQUEST_POLL).await;
            }
        };
        drop(tokio::time::timeout(limit, waiting).await);
    }

    /// A place for a connection. Waits only for one that was told to close, so that whoever accepts goes on.
    async fn slot(&self) -> Result<OwnedSemaphorePermit, ConnectionRefusal> {
        let slots = &self.0.slots;
        loop {
            if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
                return Ok(slot);
            }
            if !self.0.close_one(None, ClientConnection::idle) && !self.0.close_one(None, ClientConnection::slow_body) {
                self.0.warn("MAX_CONNECTIONS connections are in use; further ones are refused (503)".to_owned());
                return Err(ConnectionRefusal::ServerFull);
            }
            if let Ok(Ok(slot)) = tokio::time::timeout(EVICTION_INTERVAL, Arc::clone(slots).acquire_owned()).await {
                return Ok(slot);
            }
        }
    }
}

impl ConnectionTable {
    fn is_over_budget(&self) -> bool {
        self.buffered.load(Ordering::Relaxed) > self.max_buffered_bytes
    }

    /// Closes a connection that keeps bytes, unless it's the only one: it may be at a reply that alone is more than the budget.
    fn close_buffering(&self) -> bool {
        let mut open = self.open.lock();
        let mut buffering = open.connections.values().flatten().filter_map(|connection| connection.buffering());
        // Another thread may have closed one in the meantime.
        if !self.is_over_budget() || buffering.nth(1).is_none() {
            return false;
        }
        let heaviest = open.take(None, ClientConnection::buffering);
        heaviest.inspect(|connection| connection.close()).is_some()
    }

    /// Closes the connection that [`OpenConnections::take`] finds. `false` if it finds none.
    fn close_one(&self, client: Option<IpAddr>, weigh: fn(&ClientConnection) -> Option<EvictionWeight>) -> bool {
        let found = self.open.lock().take(client, weigh);
        found.inspect(|connection| connection.close()).is_some()
    }

    fn warn(&self, text: String) {
        let (mut open, now) = (self.open.lock(), Instant::now());
        if open.warned.is_none_or(|warned| now.duration_since(warned) >= WARNING_INTERVAL) {
            open.warned = Some(now);
            drop(open);
            tracing::warn!("{text}");
        }
    }
}

impl BufferBudget for ConnectionTable {
    fn count_bytes(&self, before: usize, after: usize) {
        if after > before {
            self.buffered.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.buffered.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn enforce(&self) {
        while self.is_over_budget() && self.close_buffering() {
            self.warn("clients keep MAX_BUFFERED_BYTES; the connection that is longest at it was closed".to_owned());
        }
    }
}

impl OpenConnections {
    /// Takes out the connection that `weigh` finds the longest at it, of this client, or of the one with the most weight.
    fn take(
        &mut self,
        client: Option<IpAddr>,
        weigh: fn(&ClientConnection) -> Option<EvictionWeight>,
    ) -> Option<Arc<ClientConnection>> {
        let of_client = |connections: &Vec<Arc<ClientConnection>>| {
            let weights = || connections.iter().filter_map(|connection| Some((connection, weigh(connection)?)));
            let (longest, _) = weights().min_by_key(|(_, weight)| weight.since)?;
            Some((weights().map(|(_, weight)| weight.amount).sum::<usize>(), Arc::clone(longest)))
        };
        let (_, found) = match client {
            Some(client) => self.connections.get(&client).and_then(of_client),
            None => self.connections.values().filter_map(of_client).max_by_key(|(amount, _)| *amount),
        }?;
        self.remove(&found);
        Some(found)
    }

    fn remove(&mut self, connection: &Arc<ClientConnection>) {
        let Some(of_client) = self.connections.get_mut(&connection.client) else { return };
        of_client.retain(|other| !Arc::ptr_eq(other, connection));
        if of_client.is_empty() {
            self.connections.remove(&connection.client);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.table.open.lock().remove(&self.connection);
        self.connection.forget();
    }
}

fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests;
