//! What the server tells its operators: `/api/monitoring` and `/metrics`.
//!
//! `service` puts the probes together, each of which finds out one kind of thing; `single_flight` keeps many callers from asking
//! at once, `routes` says it in JSON. To add something: a probe in a file of its own, and a route.

mod connectivity;
mod health;
mod log_tail;
mod prometheus;
pub mod routes;
mod service;
mod single_flight;
mod store_health;
mod system;

pub use service::MonitoringService;
