//! Running the server: configuration, the process, logs, monitoring, metrics.

mod configuration;
mod demo;
mod deploy;
mod log_privacy;
mod logs;
mod metrics;
mod monitoring;
mod process;
mod store_health;
