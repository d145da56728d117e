//! What the server tells its operators: `/api/monitoring` and `/metrics`.
//!
//! Only `app` builds this room. `health`, `connectivity`, `status` and `machine` each find out one kind of thing, `fresh` keeps
//! many callers from asking at once, `routes` says it in JSON. To add something: find it out in a file of its own, and a route.

mod backends;
mod connectivity;
mod figures;
mod follow;
mod fresh;
mod health;
mod machine;
pub mod routes;
mod service;
mod sources;

pub use service::MonitoringService;
