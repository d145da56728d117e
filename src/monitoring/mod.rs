//! What the server tells its operators: `/api/monitoring` and `/metrics`.
//!
//! `service` puts the probes together, of which many callers share one answer. To add something: a probe in a file, and a route.

mod connectivity;
mod disk;
mod health;
mod log_tail;
mod prometheus;
pub mod routes;
mod service;
mod single_flight;
mod store_health;
mod system;

pub use service::MonitoringService;
