//! Postgres: the pool with its limits of time, its schema, and how it is brought up to date after an absence.

mod address;
mod backend;
mod connection;
mod listener;

pub(super) use address::PostgresAddress;
pub(super) use backend::Postgres;
pub(super) use connection::{BACKGROUND_TIMEOUT, PostgresConnection, REQUEST_TIMEOUT, call, replace_nul};
pub(super) use listener::{PostgresChannel, listen};
