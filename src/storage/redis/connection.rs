use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError};
use tokio::time::{Instant, timeout};

use crate::kernel::Error;
use crate::storage::failover::Failure;

/// How long a request waits for Redis.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_millis(200);
/// How long background work waits for it, which may send a lot at once.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(5);

/// All commands go over one connection, each with its own answer.
pub(crate) type RedisConnection = MultiplexedConnection;

/// Waits for an answer, but not longer than `limit`.
pub(crate) async fn call<T>(
    limit: Duration,
    command: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, Failure> {
    match timeout(limit, command).await {
        Ok(outcome) => classify(outcome),
        Err(_) => Err(Failure::Timeout(format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// Whether an error lies with the operation or with Redis.
pub(crate) fn classify<T>(outcome: Result<T, RedisError>) -> Result<T, Failure> {
    outcome.map_err(|error| {
        // It lies with the data if a key holds something else than it should. Everything else may pass.
        if error.to_string().contains("WRONGTYPE") {
            let text = "Redis has a value of another type under a key of this server, such as conversation:USER; rename or delete it";
            return Failure::Rejected(Error::internal_public(text, error));
        }
        if error.kind() == ErrorKind::UnexpectedReturnType {
            return Failure::Rejected(Error::internal_public("Redis gave a reply that can't be read", error));
        }
        Failure::Unavailable(error.to_string())
    })
}

/// Asks for a sign of life; says how long that took.
pub(super) async fn round_trip(connection: &RedisConnection, limit: Duration) -> Result<Duration, Failure> {
    let started = Instant::now();
    call(limit, redis::cmd("PING").query_async::<()>(&mut connection.clone())).await?;
    Ok(started.elapsed())
}
