//! Redis: the connection with its limits of time, and how it is brought up to date after an absence.

mod backend;
mod connection;
mod inspect;

pub(super) use backend::{RUN_ID, Redis};
pub(super) use connection::{BACKGROUND_TIMEOUT, REQUEST_TIMEOUT, RedisConnection, call, classify};
pub(super) use inspect::{find_keys, used_memory};
