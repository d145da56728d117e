//! What callers use of their limits: counters of what was used, pools of what is in use. They are in Redis where there is one, so that all
//! servers count together; else, and while it is away, in this process, which keeps what outlives it in the embedded database.

mod demand;
mod local;
mod pending;
mod redis;
mod store;

pub use demand::{LimitCheck, LimitCounter, LimitDemand, LimitEffect, LimitLevel, PreviousWindow};
pub use store::{LimitHold, LimitStore};
