//! Sources of data: their endpoints are under `/api/datasources`; chat queries them through [`DataSourceService`].
//!
//! `service` keeps the catalog, tests and queries; `client` picks the protocol. `rest` speaks the original's own protocol,
//! `cube` that of Cube, `sql` those of PostgreSQL, MySQL/MariaDB and SQLite, behind a guard that lets only queries through.
//! To add a protocol: a file like `cube.rs`, a variant of `settings::Protocol`, its arms in `client`.

mod client;
mod cube;
mod error;
mod rest;
pub mod routes;
mod rows;
mod sample;
mod service;
mod sql;
mod stack_traces;

pub use client::Source;
pub use error::{DataError, Outage};
pub use rows::QueryResult;
pub use sample::write_sample_database;
pub use service::{DataSourceService, QueryRequest, SourceHealth};
pub use sql::read_sqlite;

use crate::settings::Protocol;

/// Whether a query only reads, for services that have no guard of their own. Judged as PostgreSQL's SQL.
pub async fn check_readable(query: &str) -> Result<(), DataError> {
    sql::check_sql(query, Protocol::Rest, Vec::new()).await.map(|_| ())
}
