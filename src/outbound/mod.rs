//! Calls to the outside: the only room that knows reqwest.
//!
//! Every call goes through one [`HttpClient`], which bounds it: connect timeout, deadline, body cap, no redirects, and
//! [`AddressGuard`] on the host and on what it resolves to. A [`Bridge`] gives the same to drivers that connect by themselves. [`Breakers`] spare an upstream that keeps failing. The one retry
//! policy is [`retry()`]. [`lines()`] and [`sse_events`] read streams. Modules with an upstream build a thin client on
//! this. To add a protocol reader: a file of its own that turns chunks of bytes into events, fed by [`lines()`].

mod address;
mod below;
mod breaker;
mod bridge;
mod client;
mod error;
mod guard;
mod lines;
mod reported;
mod resolve;
mod retry;
mod sse;
mod tls;

pub use below::below;
pub use breaker::{BreakerState, Breakers, Permit};
pub use bridge::Bridge;
pub use client::{Body, Call, HttpClient, Reply};
pub use error::{CallError, display_url};
pub use guard::AddressGuard;
pub use lines::lines;
pub use reported::{ReportedError, error_message, reported_error};
pub use resolve::Names;
pub use retry::{RetryPolicy, Verdict, retry, retry_after};
pub use sse::sse_events;
