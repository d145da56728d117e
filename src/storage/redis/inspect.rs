use std::collections::BTreeSet;

use tokio::time::Instant;

use super::connection::{BACKGROUND_TIMEOUT, REQUEST_TIMEOUT, RedisConnection, call};

/// Keys that Redis looks at in one step: meanwhile it does nothing else.
const KEYS_PER_STEP: usize = 1000;
/// Keys that one search gives at most.
const MAX_KEYS: usize = 100_000;

/// What a search for keys has found.
#[derive(Debug, Default)]
pub(crate) struct FoundKeys {
    pub(crate) keys: BTreeSet<String>,
    /// Whether there are no others; false if the search was cut short.
    pub(crate) is_complete: bool,
}

/// The keys that match a pattern, within limits of number and time; `None` if Redis does not answer, or does not allow the search. That
/// is only logged: an account that may not search is no failure of Redis.
pub(crate) async fn find_keys(connection: &RedisConnection, pattern: &str) -> Option<FoundKeys> {
    let (mut connection, until) = (connection.clone(), Instant::now() + BACKGROUND_TIMEOUT);
    let (mut cursor, mut found) = (0_u64, FoundKeys::default());
    loop {
        let mut step = redis::cmd("SCAN");
        step.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(KEYS_PER_STEP);
        match call(REQUEST_TIMEOUT, step.query_async::<(u64, Vec<Vec<u8>>)>(&mut connection)).await {
            Ok((next, keys)) => {
                cursor = next;
                found.keys.extend(keys.into_iter().filter_map(|key| String::from_utf8(key).ok()));
            }
            Err(failure) => {
                tracing::warn!(error = failure.to_string(), "the keys of Redis could not be searched");
                return None;
            }
        }
        if cursor == 0 {
            return Some(FoundKeys { is_complete: true, ..found });
        }
        if found.keys.len() >= MAX_KEYS || Instant::now() >= until {
            return Some(found);
        }
    }
}

/// How much memory Redis uses, in its own words (`1.02M`); `None` if it does not say.
pub(crate) async fn used_memory(connection: &RedisConnection) -> Option<String> {
    let mut connection = connection.clone();
    let mut asking = redis::cmd("INFO");
    let info = call(REQUEST_TIMEOUT, asking.arg("memory").query_async::<String>(&mut connection)).await.ok()?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory_human:"))?;
    Some(used.trim().to_owned())
}
