//! What the server says about itself: the log and its latest lines, the request at hand, and the figures for Prometheus.
//!
//! Set up once by `app`. Every line is redacted before it is written or kept, and carries the ids of its [`RequestContext`]; no line
//! holds a prompt or an answer unless `LOG_CONTENT` allows it: whatever others said (a server, a model, a database, a process)
//! goes into a field called `untrusted`, which is left out, and never into the message or another field. Rooms count what they do through the typed functions of
//! [`metrics`]. To add a figure: a family there, and a function that records it.

mod context;
mod entry;
mod exposition;
mod label_limiter;
mod level;
mod log;
pub mod metrics;
mod redact;
mod ring;
mod writer;

pub use context::{RequestContext, in_timed_context, request_id};
pub use entry::LogEntry;
pub use exposition::{Sample, exposition};
pub use level::{LogLevel, check_level};
#[cfg(test)]
pub(crate) use log::init_for_tests;
pub use log::{init, logs, lost_lines, print_fatal, redact_secrets_of};
pub use ring::{LogFilter, LogRing};
pub use writer::FlushGuard;
