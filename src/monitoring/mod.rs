//! What the server tells its operators: `/api/monitoring` and `/metrics`.
//!
//! Only `app` builds this room. `health`, `connectivity`, `status` and `system` each find out one kind of thing, `single_flight` keeps
//! many callers from asking at once, `routes` says it in JSON. To add something: find it out in a file of its own, and a route.

mod connectivity;
mod health;
mod log_tail;
mod prometheus;
pub mod routes;
mod service;
mod single_flight;
mod sources;
mod store_health;
mod system;

pub use service::MonitoringService;
