//! Who calls, and what they may do: API keys, tokens, the table of what each operation needs, the audit log; `/api/auth`, `/api/audit`.
//!
//! The layer in `routes` recognises whoever makes a request, holds it against the table, and hands a [`crate::kernel::Caller`] to the
//! handler. To add an operation to the API: a line in `operations`.

mod api_key;
mod audit;
mod authenticator;
mod command_token;
mod key_draft;
mod key_ring;
mod operations;
pub mod routes;
mod service;
pub mod token;

pub use api_key::{KEY_LENGTH, KEY_PREFIX, MAX_LABEL_CHARS, NewApiKey, hash, label};
pub use audit::command_record;
pub use command_token::command_token;
pub use key_draft::{KeyDraft, MAX_KEY_DAYS};
pub use service::IdentityService;
