//! How the server is set up, and the services of this run's own that it takes.

use std::path::Path;
use std::process::Command;

use crate::common::postgres::PostgresServer;
use crate::common::redis::RedisServer;

#[derive(Clone, Copy, PartialEq)]
pub enum Setup {
    Embedded,
    MemoryOff,
    Redis,
    RedisPostgres,
}

impl Setup {
    pub const ALL: [Self; 4] = [Self::Embedded, Self::MemoryOff, Self::Redis, Self::RedisPostgres];

    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::MemoryOff => "memory-off",
            Self::Redis => "redis",
            Self::RedisPostgres => "redis-postgres",
        }
    }

    /// The program that it takes and that is not there.
    pub fn missing(self) -> Option<&'static str> {
        let has_redis = || runs("redis-server");
        let has_postgres = || Path::new("/usr/lib/postgresql").exists() || runs("initdb");
        match self {
            Self::Redis | Self::RedisPostgres if !has_redis() => Some("redis-server"),
            Self::RedisPostgres if !has_postgres() => Some("PostgreSQL"),
            _ => None,
        }
    }
}

fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// What runs beside the server, to be ended with it.
pub struct Services {
    redis: Option<(RedisServer, String)>,
    postgres: Option<(PostgresServer, String)>,
    has_memory: bool,
}

impl Services {
    pub fn start(setup: Setup) -> Self {
        let redis = matches!(setup, Setup::Redis | Setup::RedisPostgres).then(RedisServer::start);
        let postgres = (setup == Setup::RedisPostgres).then(PostgresServer::start);
        Self {
            redis: redis.map(|redis| (redis.url(), redis)).map(|(url, redis)| (redis, url)),
            postgres: postgres.map(|postgres| (postgres.url(), postgres)).map(|(url, postgres)| (postgres, url)),
            has_memory: setup != Setup::MemoryOff,
        }
    }

    /// What tells the server of them.
    pub fn variables(&self) -> Vec<(&str, &str)> {
        let redis = self.redis.iter().map(|(_, url)| ("REDIS_URL", url.as_str()));
        let postgres = self.postgres.iter().map(|(_, url)| ("POSTGRES_DSN", url.as_str()));
        redis.chain(postgres).chain([("MEMORY_ENABLED", if self.has_memory { "true" } else { "false" })]).collect()
    }
}
