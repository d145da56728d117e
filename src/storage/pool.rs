use sqlx::{Database, Pool};

/// How a pool of connections is used.
#[derive(Clone, Debug)]
pub struct PoolStatus {
    /// Which pool it is.
    pub name: &'static str,
    /// Connections that are open.
    pub connections: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
    /// Connections that may be open.
    pub limit: u32,
}

impl PoolStatus {
    pub(super) fn of<D: Database>(name: &'static str, pool: &Pool<D>) -> Self {
        Self {
            name,
            connections: pool.size(),
            idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX),
            limit: pool.options().get_max_connections(),
        }
    }
}
