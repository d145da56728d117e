//! What the benchmarks of the whole server share: the server and a stand-in for an LLM server as processes of their own, people who
//! chat over connections that cost little, and what is made of the figures.

pub mod connection;
pub mod figures;
pub mod process;
pub mod report;
pub mod server;
pub mod stand_in;
pub mod talker;

pub use connection::Connection;
pub use figures::{median, quantile, ratio};
pub use process::{Helper, raise_open_files, resident};
pub use report::{Table, write_json};
pub use server::Server;
pub use talker::{Chat, StreamedChat, Talker};

/// A number that a variable gives, or what counts without it.
pub fn number(variable: &str, default: usize) -> usize {
    text(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// What a variable says.
#[expect(clippy::disallowed_methods, reason = "asks how the benchmark is run, not how a server is configured")]
pub fn text(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|text| !text.is_empty())
}
