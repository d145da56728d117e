//! Sources of data: their endpoints are under `/api/datasources`; chat queries them through [`DataSourceService`].
//!
//! `service` keeps the catalog, tests and queries, and picks the protocol. `rest` speaks the original's own protocol,
//! `cube` that of Cube, `sql` those of PostgreSQL, MySQL/MariaDB and SQLite, behind a guard that lets only queries through.
//! To add a protocol: a file like `cube.rs`, a variant of `settings::Protocol`, its arms in `service`.

mod cube;
mod cube_query;
mod cube_result;
mod cube_token;
mod cube_url;
mod describe;
mod drift;
mod error;
mod exact_numbers;
mod health;
mod http;
mod identifier;
mod outline;
mod query;
mod query_outline;
mod rest;
pub mod routes;
mod rows;
mod sample;
mod sample_values;
mod schema;
mod service;
mod source;
mod sql;
mod stack_traces;
mod table_collector;
mod values;
mod verified;
mod verified_draft;

pub use error::{DataError, Outage};
pub use health::{CheckReport, SourceHealth};
pub use identifier::written_identifier;
pub use query::{QueryRequest, QueryResult};
pub use sample::write_sample_database;
pub use schema::{ColumnSchema, TableSchema};
pub use service::DataSourceService;
pub use source::Source;
#[cfg(any(test, fuzzing))]
pub(crate) use sql::fuzz;
pub use sql::{check_readable, read_sqlite};
pub use verified_draft::{VerifiedDraft, is_parameter_value};
