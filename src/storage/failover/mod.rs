//! Remote services that may be slow or gone: Redis and Postgres, with the embedded store standing in.
//!
//! [`Failover`] holds the connection to one of them. A store reads through [`prefer_remote`] and writes through [`write`]: while the
//! service is away, the embedded store answers, and what is written goes to the outbox of the embedded database as well.
//! `reconnect` connects, watches and drains the outbox in the background, so no request ever waits for a connection. To add a
//! service: implement [`RemoteBackend`], and dispatch to it in a store.

mod dispatch;
mod outbox;
mod reconnect;
mod remote;
mod state;

pub(super) use dispatch::{prefer_remote, try_remote, write};
pub(super) use outbox::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Outbox, OutboxEntry};
pub(super) use remote::{Failure, RemoteBackend, timeout_for};
pub use state::BackendStatus;
pub(super) use state::Failover;
