//! Calls to the outside: the only room that knows reqwest.
//!
//! Every call goes through one [`HttpClient`], which bounds it: connect timeout, deadline, body cap, no redirects, and
//! [`AddressGuard`] on the host and on what it resolves to. [`Breakers`] spare an upstream that keeps failing. The one retry
//! policy is [`retry()`]. [`lines()`] and [`sse_events`] read streams. Modules with an upstream build a thin client on
//! this. To add a protocol reader: a file of its own that turns chunks of bytes into events, fed by [`lines()`].

mod address;
mod below;
mod breaker;
mod client;
mod error;
mod guard;
mod lines;
mod resolve;
mod retry;
mod sse;
mod tls;

pub use below::below;
pub use breaker::{BreakerState, Breakers};
pub use client::{Body, Call, HttpClient, Reply};
pub use error::{CallError, display_url};
pub use guard::AddressGuard;
pub use lines::lines;
pub use resolve::resolve;
pub use retry::{RetryPolicy, Verdict, retry, retry_after};
pub use sse::sse_events;
