//! What was configured through the API: in Postgres if there is one, so that all servers on it are configured alike, else in files.
//!
//! A change is checked against what is true for all servers, stored entry by entry, and live once it is stored. While Postgres is away, a
//! server goes by what it knew last, of which it keeps a copy on disk, and nothing can be changed. Each change is a revision, to which the
//! configuration can be put back; with files, the embedded database has them.

mod access;
mod document;
mod entries;
mod follower;
mod history;
mod in_files;
mod in_postgres;
mod place;
mod postgres;
mod postgres_renewal;
mod replica;
mod repository;
mod store;

pub use history::{ConfigChange, ConfigRevision, Renewal};
pub(super) use postgres::CHANNEL;
pub use repository::{ConfigRepository, ConfigService};
pub use store::ConfigStore;
