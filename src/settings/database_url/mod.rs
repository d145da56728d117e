//! Addresses of database servers, in the forms in which hosters, ORMs and drivers hand them out. Data sources and this server's own
//! stores are read by the same code, so that one address means the same everywhere.
//!
//! Each parameter is honoured, or changes nothing here and is named, or is refused. To add one: `parameters`.

mod parameters;
mod redis_url;
mod scheme;
mod search_path;
mod server_url;
mod ssl_mode;

pub use redis_url::RedisUrl;
pub use scheme::DatabaseEngine;
pub use server_url::{DatabaseUrl, UrlReach};
pub use ssl_mode::SslMode;

/// What to say of parameters that change nothing here; nothing if there are none.
fn unused_sentence(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| format!("Parameters of the URL that change nothing here: {}", names.join(", ")))
}
