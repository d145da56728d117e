//! What is sent: conversations and functions in the form that the strictest server takes.
//!
//! `turns` puts messages in order, `tool_schema` writes schemas with the keywords that all providers know.

mod tool_schema;
mod turns;

pub(super) use tool_schema::{plain, portable};
pub(super) use turns::{SentCall, SentTurn, short_id, turns};
