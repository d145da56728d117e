//! Data sources: REST, Cube and SQL databases behind the guard.

mod costly_queries;
mod cube;
mod rest;
mod sql;
mod sql_attacks;
mod sql_functions;
mod sql_guard_differential;
mod sql_legitimate_queries;
mod sql_types;
