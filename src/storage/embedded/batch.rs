use std::collections::HashMap;

use serde::Serialize;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::statements::{COUNTS, LAST_PARAMETER, RowKind, STATEMENTS, TRIM, TRIM_SYSTEM};
use crate::storage::sqlite::int;

/// Commits, and gives a row that says so.
const COMMIT: &str = "COMMIT; SELECT '', -1;";
const COMMITTED: i64 = -1;

/// Messages that each conversation holds.
pub(super) type MessageCounts = HashMap<String, usize>;

/// How many messages a conversation may hold, and how many are added.
#[derive(Debug, Default)]
struct MessageLimit {
    max: usize,
    added: usize,
}

/// Rows that are written in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// By kind: what stands between the brackets of a JSON array.
    rows: [String; LAST_PARAMETER + 1],
    /// Of conversations that are written to.
    limits: HashMap<String, MessageLimit>,
}

impl Batch {
    /// Adds a row of this kind, behind those that are there.
    pub(super) fn add(&mut self, kind: RowKind, row: &impl Serialize) -> Result<(), sqlx::Error> {
        let row = serde_json::to_string(row).map_err(|error| sqlx::Error::Encode(error.into()))?;
        self.add_json(kind, &row);
        Ok(())
    }

    /// Adds rows that are JSON already, with commas between them.
    pub(super) fn add_json(&mut self, kind: RowKind, json: &str) {
        if let Some(rows) = self.rows.get_mut(kind as usize) {
            rows.push(if rows.is_empty() { '[' } else { ',' });
            rows.push_str(json);
        }
    }

    /// Keeps a conversation, to which so many messages are added, from holding more than this.
    pub(super) fn limit(&mut self, user: &str, added: usize, max_messages: usize) {
        let limit = self.limits.entry(user.to_owned()).or_default();
        limit.max = max_messages;
        limit.added += added;
    }

    /// Writes all rows or none; `held` says how many messages a conversation holds now, if that is known. After an error the connection is
    /// not to be used again: what its transaction has come to is not known.
    pub(super) async fn write(
        self,
        now_ms: i64,
        connection: &mut SqliteConnection,
        held: impl Fn(&str) -> Option<usize>,
    ) -> Result<MessageCounts, sqlx::Error> {
        let fits =
            |(user, limit): (&String, &MessageLimit)| held(user).is_some_and(|held| held + limit.added <= limit.max);
        let must_trim = !self.limits.iter().all(fits);
        self.write_rows(now_ms, connection, must_trim).await
    }

    async fn write_rows(
        mut self,
        now_ms: i64,
        connection: &mut SqliteConnection,
        must_trim: bool,
    ) -> Result<MessageCounts, sqlx::Error> {
        // All in one command: each would cost a hand-over to the thread of the database and back.
        let mut sql = String::from("BEGIN IMMEDIATE;");
        STATEMENTS.iter().filter(|(kind, _)| self.has(*kind)).for_each(|(_, statement)| sql.push_str(statement));
        sql.push_str(if self.has(RowKind::Conversation) { COUNTS } else { "" });
        sql.push_str(if must_trim { "" } else { COMMIT });
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(now_ms);
        for rows in self.rows.iter_mut().skip(RowKind::Conversation as usize) {
            query = query.bind(std::mem::take(rows) + "]");
        }
        let mut found: Vec<(String, i64)> = query.fetch_all(&mut *connection).await?;
        // A thread of the database that dies gives what it has, and no error.
        if !must_trim && found.pop().is_none_or(|(_, is_committed)| is_committed != COMMITTED) {
            return Err(sqlx::Error::WorkerCrashed);
        }
        let mut held = MessageCounts::with_capacity(found.len());
        for (user, count) in found {
            let count = usize::try_from(count).unwrap_or_default();
            let max = self.limits.get(&user).map_or(usize::MAX, |limit| limit.max);
            if count > max {
                trim(connection, &user, count - max).await?;
            }
            held.insert(user, count.min(max));
        }
        if must_trim {
            sqlx::query("COMMIT").execute(connection).await?;
        }
        Ok(held)
    }

    fn has(&self, kind: RowKind) -> bool {
        self.rows.get(kind as usize).is_some_and(|rows| !rows.is_empty())
    }
}

/// Deletes the oldest messages of a conversation, system messages last.
async fn trim(connection: &mut SqliteConnection, user: &str, count: usize) -> Result<(), sqlx::Error> {
    let deleting = sqlx::query(TRIM).bind(user).bind(int(count)).execute(&mut *connection).await?;
    let left = int(count).saturating_sub(int(deleting.rows_affected()));
    if left > 0 {
        sqlx::query(TRIM_SYSTEM).bind(user).bind(left).execute(connection).await?;
    }
    Ok(())
}
