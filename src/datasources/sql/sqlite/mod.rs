//! SQLite files, opened for reading only, and never in this process: nothing interrupts SQLite while it works on one value, and
//! what it needs of memory it takes before a row can be looked at. Workers are processes that are killed when they are late, when
//! they ask for too much or when the caller leaves.

mod catalog;
mod engine;
mod worker;
mod worker_pool;

pub(super) use engine::{open, query};
pub(super) use worker::WorkerRequest;
pub use worker::read_sqlite;
pub(super) use worker_pool::{MAX_WORKERS, WorkerPool};
