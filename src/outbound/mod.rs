//! Calls to the outside: the only room that knows reqwest.
//!
//! Every call goes through one [`HttpClient`], which bounds it: connect timeout, deadline, body cap, no redirects, and
//! [`AddressGuard`] on the host and on what it resolves to. A [`Bridge`] gives the same to drivers that connect by themselves. [`Breakers`] spare an upstream that keeps failing. The one retry
//! policy is [`retry()`]. [`read_lines`] and [`sse_events`] read streams. Modules with an upstream build a thin client on
//! this. To add a protocol reader: a file of its own that turns chunks of bytes into events, fed by [`read_lines`].

mod address;
mod breaker;
mod bridge;
mod client;
mod error;
mod error_body;
mod guard;
mod join_url;
mod line_reader;
mod name_resolver;
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
