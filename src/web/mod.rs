//! The axum plumbing that every module's routes share: state, extractors, replies, the error envelope, layers, OpenAPI's base.
//!
//! A handler reads through [`JsonBody`], [`QueryParams`] or [`PathUser`], makes one service call, and answers with [`JsonReply`] or
//! [`ApiError`]. To add an extractor: a file here whose rejection is an [`ApiError`].

mod body;
mod caller;
mod client_address;
mod connectivity_test;
mod docs;
mod error;
mod event_stream;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod layers;
mod list;
mod log_line;
pub mod openapi;
mod origin_guard;
mod oversized;
mod path;
mod precondition;
mod python_json;
mod query;
mod rate_limit;
mod reply;
mod resource;
mod state;
mod system;

pub use body::{JsonBody, OptionalBody};
pub use client_address::PeerAddress;
pub use connectivity_test::ConnectivityTestQuery;
pub use docs::docs_router;
pub use error::{ApiError, BodyErrors, ErrorBody, ReadErrors};
pub use event_stream::{LastEventId, accepts_event_stream, event_stream};
pub use layers::{ReplySize, normalize_path, with_layers};
pub use list::ListQuery;
pub use path::{PathFunction, PathId, PathName, PathRevision, PathSpeaker, PathStep, PathUser, REVISIONS};
pub use precondition::{IfMatch, IfNoneMatch};
pub use query::QueryParams;
pub use rate_limit::rate_limit_headers;
use reply::not_modified;
pub use reply::{JsonReply, JsonText};
pub(crate) use resource::resource_routes;
pub use resource::{list_reply, show_reply};
pub use state::AppState;
pub use system::system_router;

use crate::kernel::Fields;

/// A request's fields as one type, each read by the original's lenient rules, with every problem reported at once.
pub trait FromFields: Sized {
    /// Reads the fields; problems are collected in `fields`.
    fn read(fields: &mut Fields<'_>) -> Self;
}
