//! SQL databases: a guard that lets only queries through, a pool per source, and one file per engine that connects, binds,
//! decodes and reads the catalogs. SQLite, which is no server, works in processes of its own: `sqlite`.
//!
//! To add an engine: a file like `mysql.rs`, a variant of `client::SourcePool`, its arms in [`SqlClient`].

mod bind;
mod client;
mod database_pool;
mod dialect;
mod engine;
mod functions;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guard;
mod keywords;
mod mysql;
mod mysql_catalog;
mod mysql_functions;
mod parameters;
mod postgres;
mod postgres_catalog;
mod postgres_functions;
mod postgres_literal;
mod postgres_session;
mod postgres_statement;
mod postgres_time;
mod postgres_types;
mod postgres_value;
mod references;
mod refusal;
mod relations;
mod rewrite;
mod sqlite;
mod statements;
mod tokens;
mod visitor;

#[cfg(test)]
mod function_attacks;
#[cfg(test)]
mod guard_attacks;
#[cfg(test)]
mod guard_tests;

pub(super) use client::SqlClient;
pub use guard::check_readable;
pub(super) use guard::{check_sql, describe_sql};
pub use sqlite::read_sqlite;
