//! What the server says about itself: the log, and the id of the request at hand.
//!
//! Set up once by `app`. A log line carries the request id through its span; [`request_id`] gives it to code that writes a
//! reply. Nothing logged may hold a prompt, an answer or a secret.

mod log;
mod request;

pub use log::{check_level, init};
pub use request::{request_id, with_request_id};
