//! How much callers may use: requests per minute, chats at the same time, tokens per day and month, by key, user and role. Every path that
//! calls a model goes through [`Limiter::reserve_tokens`]; who is not told apart (`AUTH_ENABLED=false`, the server's own work) is not limited.
//! To add a limit: a kind in `settings::limits`, its window in `window`.

mod limiter;
mod report;
mod subject;
mod window;

pub use limiter::{ChatPermit, Limiter, TokenReservation};
pub use report::{LimitUse, UsageReport};
