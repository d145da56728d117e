//! Credentials of a server that tells callers apart.

/// The first administrator's key.
pub const ADMIN: &str = "Vt7qYx2LmR9cZw4KpHs8NbJd3FgUa6Eo";
/// A secret that signs tokens.
pub const SECRET: &str = "Qm7Zt1kXvR4cN8yWb3Hs6LpDf0JgUa5E9oTiKe2MxBz";

/// The variables of a server that tells callers apart, and these.
pub fn with_authentication<'a>(others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [("AUTH_ENABLED", "true"), ("AUTH_SECRET_KEY", SECRET), ("AUTH_BOOTSTRAP_KEY", ADMIN)];
    own.into_iter().chain(others.iter().copied()).collect()
}
