//! What the existing React GUI calls beyond the documented API, page by page, in the shapes that its pages read. Thin over the
//! services: nothing here decides how anything is done.
//!
//! `chat_page` is the chat page with its conversations; `connection` the form of the LLM page; `topology` what is configured as a
//! graph, and executions that it follows; `routes` the wire of all pages but chat. To add a page: a file in `routes`.

pub mod chat_page;
mod connection;
pub mod routes;
mod topology;

pub use topology::{TopologyService, TopologyServices};
