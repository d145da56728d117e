//! The open connections: how many there may be, in all and of one client, what they may keep in memory together, and which is
//! closed when that is too much. A client is an IP address, or a /64 network of IPv6, which is what one household gets.

mod connection;
mod tracked_body;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::settings::ServerSettings;
pub(super) use connection::Connection;
use connection::Weight;
pub(super) use tracked_body::TrackedBody;

/// Pause before another connection is closed because the last one has not made room yet.
const EVICTION_INTERVAL: Duration = Duration::from_millis(50);
/// Shortest time between two lines in the log about limits.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The open connections.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: Arc<Semaphore>,
    max_per_client: usize,
    max_buffered_bytes: usize,
    /// Bytes that the open connections keep.
    buffered: AtomicUsize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Those that were told to close are not among them.
    connections: HashMap<IpAddr, Vec<Arc<Connection>>>,
    warned: Option<Instant>,
}

/// A connection that may be served, until this is dropped.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) connection: Arc<Connection>,
    _slot: OwnedSemaphorePermit,
}

impl Connections {
    /// As many as the settings allow, and at most `most`. No client's share is more than half of them, unless it has no limit.
    pub(super) fn new(settings: &ServerSettings, most: usize) -> Self {
        let most = settings.max_connections.min(most).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            slots: Arc::new(Semaphore::new(most)),
            max_per_client: settings
                .max_connections_per_address
                .map_or(usize::MAX, |share| share.min(most.div_ceil(2))),
            max_buffered_bytes: settings.max_buffered_bytes,
            buffered: AtomicUsize::new(0),
            open: Mutex::default(),
        }))
    }

    /// Makes room for a connection from this address and counts it; `close` is cancelled when it has to go. `None` if its client
    /// has as many as one may have, all of them in use. Waits while all connections of the server are in use.
    pub(super) async fn admit(&self, address: IpAddr, close: CancellationToken) -> Option<Admission> {
        let client = client(address);
        if self.0.count(client) >= self.0.max_per_client && !self.0.close_one(Some(client), Connection::idle) {
            self.0
                .warn(format!("{client} has MAX_CONNECTIONS_PER_ADDRESS connections in use; a further one was closed"));
            return None;
        }
        let slot = self.slot().await?;
        let connection = Arc::new(Connection::new(client, close, Arc::clone(&self.0)));
        self.0.open().connections.entry(client).or_default().push(Arc::clone(&connection));
        Some(Admission { connection, _slot: slot })
    }

    async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        let slots = &self.0.slots;
        loop {
            if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
                return Some(slot);
            }
            if !self.0.close_one(None, Connection::idle) && !self.0.close_one(None, Connection::slow_body) {
                self.0.warn("MAX_CONNECTIONS connections are in use; further ones wait".to_owned());
            }
            if let Ok(slot) = tokio::time::timeout(EVICTION_INTERVAL, Arc::clone(slots).acquire_owned()).await {
                return slot.ok();
            }
        }
    }
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, client: IpAddr) -> usize {
        self.open().connections.get(&client).map_or(0, Vec::len)
    }

    /// What a connection keeps has changed from `before` to `after` bytes.
    fn count_bytes(&self, before: usize, after: usize) {
        if after > before {
            self.buffered.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.buffered.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn hold_to_budget(&self) {
        while self.buffered.load(Ordering::Relaxed) > self.max_buffered_bytes
            && self.close_one(None, Connection::buffering)
        {
            self.warn("clients keep MAX_BUFFERED_BYTES; the connection that is longest at it was closed".to_owned());
        }
    }

    /// Closes the connection that `weigh` finds the longest at it, of this client, or of the one with the most weight. `false` if
    /// it finds none.
    fn close_one(&self, client: Option<IpAddr>, weigh: fn(&Connection) -> Option<Weight>) -> bool {
        let mut open = self.open();
        let of_client = |(client, connections): (&IpAddr, &Vec<Arc<Connection>>)| {
            let weights =
                || connections.iter().enumerate().filter_map(|(at, connection)| Some((at, weigh(connection)?)));
            let (at, _) = weights().min_by_key(|(_, weight)| weight.since)?;
            Some((weights().map(|(_, weight)| weight.amount).sum::<usize>(), *client, at))
        };
        let found = match client {
            Some(client) => open.connections.get_key_value(&client).and_then(of_client),
            None => open.connections.iter().filter_map(of_client).max_by_key(|(amount, _, _)| *amount),
        };
        let Some((_, client, at)) = found else { return false };
        let Some(connection) = open.remove(client, |connections| (at < connections.len()).then_some(at)) else {
            return false;
        };
        drop(open);
        connection.close();
        true
    }

    fn leave(&self, connection: &Arc<Connection>) {
        let find =
            |connections: &[Arc<Connection>]| connections.iter().position(|other| Arc::ptr_eq(other, connection));
        drop(self.open().remove(connection.client, find));
        connection.forget();
    }

    fn warn(&self, text: String) {
        let (mut open, now) = (self.open(), Instant::now());
        if open.warned.is_none_or(|warned| now.duration_since(warned) >= WARNING_INTERVAL) {
            open.warned = Some(now);
            drop(open);
            tracing::warn!("{text}");
        }
    }
}

impl Open {
    fn remove(
        &mut self,
        client: IpAddr,
        find: impl Fn(&[Arc<Connection>]) -> Option<usize>,
    ) -> Option<Arc<Connection>> {
        let connections = self.connections.get_mut(&client)?;
        let connection = find(connections).map(|at| connections.swap_remove(at));
        if connections.is_empty() {
            self.connections.remove(&client);
        }
        connection
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.connection.leave();
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
