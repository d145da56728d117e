//! Sources of data: their endpoints are under `/api/datasources`; chat queries them through [`DataSourceService`].
//!
//! `service` keeps the catalog, tests and queries, and picks the protocol. `rest` speaks the original's own protocol,
//! `cube` that of Cube, `sql` those of PostgreSQL, MySQL/MariaDB and SQLite, behind a guard that lets only queries through.
//! To add a protocol: a file like `cube.rs`, a variant of `settings::Protocol`, its arms in `service`.

mod cube;
mod error;
mod health;
mod http;
mod query;
mod rest;
pub mod routes;
mod rows;
mod sample;
mod schema;
mod service;
mod source;
mod sql;
mod stack_traces;
mod values;

pub use error::{DataError, Outage};
pub use health::{CheckReport, SourceHealth};
pub use query::{QueryRequest, QueryResult};
pub use sample::write_sample_database;
pub use service::DataSourceService;
pub use source::Source;
pub use sql::{check_readable, read_sqlite};
