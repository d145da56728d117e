//! Postgres: the pool with its limits of time, its schema, and how it is brought up to date after an absence.

mod address;
mod backend;
mod call;
mod connection;
mod listener;
mod server_lease;
mod work_claim;

pub(super) use address::PostgresAddress;
pub(super) use backend::Postgres;
pub(super) use call::{BACKGROUND_TIMEOUT, REQUEST_TIMEOUT, call, replace_nul};
pub(super) use connection::PostgresConnection;
pub(super) use listener::{PostgresChannel, listen};
#[cfg(test)]
pub(super) use server_lease::LEASE;
pub(super) use server_lease::{RENEWAL_INTERVAL, ServerLease, end_expired};
pub(super) use work_claim::WorkClaim;
