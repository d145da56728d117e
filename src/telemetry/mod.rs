//! What the server says about itself: the log and its latest lines, the request at hand, and the figures for Prometheus.
//!
//! Set up once by `app`. Every line is redacted before it is written or kept, and carries the ids of its [`Request`]; no line
//! holds a prompt or an answer unless `LOG_CONTENT` allows it: whatever others said (a server, a model, a database, a process)
//! goes into a field called `words`, which is left out, and never into the message or another field. Rooms count what they do through the typed functions of
//! [`metrics`]. To add a figure: a family there, and a function that records it.

mod entry;
mod exposition;
mod log;
pub mod metrics;
mod names;
mod redact;
mod request;
mod ring;
mod writer;

pub use entry::LogEntry;
pub use exposition::{Sample, exposition};
pub use log::{LogLevel, check_level, init, last_words, logs, lost_lines, redact_secrets_of};
pub use request::{Request, carried, request_id, within};
pub use ring::{LogFilter, LogRing};
pub use writer::Flush;
