//! API keys and the audit log: in Postgres if there is one, else in the embedded database.
//!
//! Keys are changed where the truth is, or not at all: with Postgres, the embedded database has a copy that a server goes by while
//! Postgres is away. Audit records are taken at any time: those that the embedded database has are moved to Postgres once it is there.

mod audit;
mod audit_query;
mod audit_record;
mod audit_rows;
mod background;
mod embedded;
mod embedded_audit;
mod postgres;
mod postgres_audit;
mod record;
mod rows;
mod standalone;
mod store;

pub use audit_record::{AuditCursor, AuditFilter, AuditRecord};
pub(super) use embedded::EmbeddedIdentity;
pub use record::{ApiKeyRecord, KeysRevision};
pub use standalone::StandaloneKeys;
pub use store::IdentityStore;
