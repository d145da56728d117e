//! Data sources: REST, Cube and SQL databases behind the guard.

mod catalog;
mod costly_queries;
mod cube;
mod database_urls;
mod rest;
mod sql;
mod sql_attacks;
mod sql_functions;
mod sql_guard_differential;
mod sql_legitimate_queries;
mod sql_round_trips;
mod sql_types;
mod verified;
