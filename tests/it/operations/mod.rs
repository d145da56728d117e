//! Running the server: configuration, the process, logs, monitoring, metrics.

mod configuration;
mod demo;
mod deploy;
mod disk;
mod dotenv;
mod keys;
mod log_privacy;
mod logs;
mod metrics;
mod monitoring;
mod process;
mod secret_files;
mod store_health;
