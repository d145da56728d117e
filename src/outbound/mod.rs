//! Calls to the outside: the only room that knows reqwest.
//!
//! Every call goes through one [`HttpClient`], which bounds it: connect timeout, deadline, body cap, no redirects. The one
//! retry policy is [`retry()`]. [`lines()`] and [`sse_events`] read streams. Modules with an upstream build a thin client on
//! this. To add a protocol reader: a file of its own that turns chunks of bytes into events, fed by [`lines()`].

mod client;
mod error;
mod lines;
mod retry;
mod sse;
mod tls;

pub use client::{Call, HttpClient, Reply};
pub use error::{CallError, display_url};
pub use lines::lines;
pub use retry::{RetryPolicy, Verdict, retry, retry_after};
pub use sse::sse_events;
