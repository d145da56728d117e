use sqlx::postgres::PgPool;

use super::server_lease::ServerLease;

/// A pool whose schema is ours.
#[derive(Clone, Debug)]
pub(crate) struct PostgresConnection {
    pub(crate) pool: PgPool,
    /// One more, to find out how Postgres is while those of the pool are all in use.
    pub(super) watch: PgPool,
    /// One more, which is made when somebody listens to what Postgres tells of its own accord.
    pub(crate) notices: PgPool,
    /// That this server is alive, and under which name, which stand in what it records.
    pub(crate) lease: ServerLease,
}
