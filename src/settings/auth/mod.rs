//! Who may call: whether callers have to say who they are, and which tokens are believed.
//!
//! Nothing of it is required, and no secret is kept, while `AUTH_ENABLED` is false; rules between variables hold when it is true.

mod algorithm;
mod auth_settings;
mod strength;

pub use algorithm::TokenAlgorithm;
pub use auth_settings::AuthSettings;
