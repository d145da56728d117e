//! The common vocabulary: errors, secrets, lenient field reading, time, ids and names.
//!
//! Every room may import this one; it imports none. A thing belongs here only when rooms of different levels
//! need the same word for it. To add one more: a file of its own, a re-export below, no dependency on a service.

mod access;
mod backoff;
mod clock;
mod credential_origin;
mod deadline;
mod encryption_key;
mod error;
mod excerpt;
mod field_issue;
mod fields;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod ids;
mod issue_text;
mod json;
mod lenient;
mod limit;
mod mask;
mod near_json;
mod properties;
mod recorded_change;
mod redaction;
mod resource_name;
mod role;
mod secret;
mod secret_screen;
mod secret_url;
mod secret_variants;
mod stopwatch;
mod supervisor;
mod text;
mod token_key;
mod url_origin;
mod user_id;

pub use access::{AccessRole, Caller, CallerFact, Grants, Identity, NobodysThings, Permission};
pub use backoff::Backoff;
pub use clock::Clock;
pub use credential_origin::{CredentialOrigin, check_credential_origin};
pub use deadline::Deadline;
pub use encryption_key::{EncryptionKey, encrypted_by};
pub use error::{Error, ErrorKind, UpstreamCause};
pub use field_issue::{FieldIssue, Segment, prefixed};
pub use fields::Fields;
pub use ids::{new_id, version_of};
pub use json::{JsonError, JsonReader, ObjectLimits, ValueCounter, json_depth};
pub use lenient::{Lenient, LenientResult, read_word};
pub use limit::{LimitReached, LimitStatus, whole_seconds};
pub use mask::{MASK, is_credential_name};
pub(crate) use properties::assignment_before_mask;
pub use properties::{Properties, unmask};
pub use recorded_change::{RecordedChange, RequestOrigin, RequestTrail};
pub use redaction::{Redaction, StreamRedactor};
pub use resource_name::ResourceName;
pub use role::Role;
pub use secret::Secret;
pub use secret_url::SecretUrl;
pub(crate) use secret_url::looks_like_url;
pub use stopwatch::{Stopwatch, WaitGuard};
pub use supervisor::{BackgroundTask, background_panics, count_panics, supervise_thread};
pub use text::{constant_regex, fit_chars, media_type, one_line, quoted, truncate_bytes, truncate_chars};
pub use token_key::TokenKey;
pub use user_id::UserId;
