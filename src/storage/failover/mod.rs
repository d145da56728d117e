//! Remote services that may be slow or gone: Redis and Postgres, with the embedded store standing in.
//!
//! A store reads through [`prefer_remote`] and writes through [`write()`], which without the service writes to the outbox too;
//! `reconnect` drains it, so no request waits for a connection. To add a service: implement [`RemoteBackend`].

mod dispatch;
mod outbox;
mod reconnect;
mod remote;
mod state;

pub(super) use dispatch::{find, prefer_remote, try_remote, write};
pub(super) use outbox::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, OutboxEntry, OutboxTicket};
pub(super) use remote::{Failure, RemoteBackend, timeout_for};
pub use state::BackendStatus;
pub(super) use state::Failover;
