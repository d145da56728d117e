//! What the server says about itself: the log and its latest lines, the request at hand, and the figures for Prometheus.
//!
//! Every line is redacted, and carries the ids of its [`RequestContext`]. What others said (a server, a model, a database, a
//! process) goes into a field `untrusted`, left out unless `LOG_CONTENT` allows it. To add a figure: a family in [`metrics`].

mod context;
mod entry;
mod exposition;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
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
pub use level::{LEVEL_INPUT_NAMES, LEVEL_OUTPUT_NAMES, check_level};
#[cfg(test)]
pub(crate) use log::init_for_tests;
pub use log::{flush, init, logs, print_fatal, redact_secrets_of};
pub use ring::{LogFilter, LogRing};
pub use writer::FlushGuard;
