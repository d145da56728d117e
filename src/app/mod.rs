//! The composition root, which knows all other rooms. To mount a module: its service in `modules`, its router in `router`.

mod background;
mod build;
mod config;
mod connections;
pub mod demo;
mod evaluate;
mod exposure;
mod healthcheck;
mod keys;
mod migrate;
mod modules;
mod open_files;
mod preflight;
mod refusal;
mod router;
mod serve;
mod tls;
mod write_timeout;

pub use build::{App, Platform, StartError, load_settings};
pub use config::{export_config, import_config, rotate_secrets};
pub use evaluate::evaluate;
pub use healthcheck::healthcheck;
pub use keys::{CreatedKey, create_key, list_keys, revoke_key};
pub use migrate::migrate;
pub use preflight::check;
pub use router::openapi_document;
pub use serve::{bind, bind_chat_page, serve, stop_signal};

pub use crate::datasources::read_sqlite;
pub use crate::outbound::NameResolver;

#[cfg(test)]
mod snapshot_count;
#[cfg(test)]
mod tests;
