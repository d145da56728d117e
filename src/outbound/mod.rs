//! Calls to the outside: the only room that knows reqwest.
//!
//! Every call goes through one [`HttpClient`], which bounds it, and whose [`AddressGuard`] judges hosts and addresses; a
//! [`Bridge`] does so for drivers. To add a protocol reader: a file that turns chunks of bytes into events, fed by [`read_lines`].

mod address;
mod breaker;
mod bridge;
mod checked_urls;
mod client;
mod error;
mod error_body;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod guard;
mod join_url;
mod line_reader;
mod name_resolver;
mod redirect;
mod resolve;
mod retry;
mod sse;
mod tls;

pub use breaker::{BreakerState, Breakers, Permit};
pub use bridge::Bridge;
pub use client::{Body, Call, HttpClient, Reply};
pub use error::{CallError, display_url};
pub use error_body::{ReportedError, error_message, reported_error};
pub use guard::AddressGuard;
pub use join_url::join_url;
pub use line_reader::read_lines;
pub use name_resolver::NameResolver;
pub use retry::{RetryDecision, RetryPolicy, retry, retry_after};
pub use sse::{SseEvent, SseLimits, sse_events};
