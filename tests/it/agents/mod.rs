//! External agents: how they are tested and called.

mod calls;
mod health;
mod replies;
