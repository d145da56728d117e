//! The composition root, which knows all other rooms. To mount a module: its service in `build`, its router in `router`.

mod build;
mod connections;
pub mod demo;
mod healthcheck;
mod migrate;
mod open_files;
mod router;
mod serve;
mod write_timeout;

pub use build::{App, Platform, StartError, load_settings};
pub use healthcheck::healthcheck;
pub use migrate::migrate;
pub use router::openapi_document;
pub use serve::{bind, serve, stop_signal};

pub use crate::datasources::read_sqlite;
pub use crate::outbound::NameResolver;

#[cfg(test)]
mod snapshot_count;
#[cfg(test)]
mod tests;
