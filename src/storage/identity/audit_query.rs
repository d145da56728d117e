//! The query for a page of the audit log, which both databases understand.

use std::fmt::Write;

use super::audit_record::{AuditCursor, AuditFilter};
use super::audit_rows::audit_columns;
use crate::storage::postgres::replace_nul;
use crate::storage::sqlite::int;

/// A value of the query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AuditValue {
    Text(String),
    Number(i64),
}

/// A query and its values, in the order of their numbers. Each combination of conditions has a text of its own, so that each has its
/// index.
#[derive(Debug, Default)]
pub(super) struct AuditQuery {
    pub(super) sql: String,
    pub(super) values: Vec<AuditValue>,
}

impl AuditQuery {
    /// The newest records that the filter lets through, at most so many.
    pub(super) fn page(filter: &AuditFilter, limit: usize) -> Self {
        let mut query = Self::default();
        match &filter.actor {
            None => query.select(filter, None, limit),
            Some(actor) => {
                // A user may be called like a key, and each has an index.
                query.sql.push_str(concat!("SELECT ", audit_columns!(), " FROM (SELECT * FROM ("));
                query.select(filter, Some(("actor_user", actor)), limit);
                query.sql.push_str(") AS of_user UNION SELECT * FROM (");
                query.select(filter, Some(("actor_key", actor)), limit);
                query.sql.push_str(") AS of_key) AS found");
                query.order(limit);
            }
        }
        query
    }

    fn select(&mut self, filter: &AuditFilter, actor: Option<(&str, &String)>, limit: usize) {
        self.sql.push_str(concat!("SELECT ", audit_columns!(), " FROM audit_entry WHERE true"));
        let equal = [("operation", &filter.operation), ("outcome", &filter.outcome), ("target", &filter.target)];
        let equal = equal.into_iter().filter_map(|(column, text)| Some((column, text.as_ref()?)));
        for (column, text) in actor.into_iter().chain(equal) {
            self.condition(&format!("{column} ="), AuditValue::Text(replace_nul(text).into_owned()));
        }
        let times = [("at >=", filter.since_ms), ("at <", filter.until_ms)];
        for (condition, time) in times.into_iter().filter_map(|(condition, time)| Some((condition, time?))) {
            self.condition(condition, AuditValue::Number(time));
        }
        if let Some(AuditCursor { at_ms, id }) = &filter.before {
            let (at, id) = (self.value(AuditValue::Number(*at_ms)), self.value(AuditValue::Text(id.clone())));
            self.push(format_args!(" AND (at, id) < (${at}, ${id})"));
        }
        self.order(limit);
    }

    fn order(&mut self, limit: usize) {
        let limit = self.value(AuditValue::Number(int(limit)));
        self.push(format_args!(" ORDER BY at DESC, id DESC LIMIT ${limit}"));
    }

    fn condition(&mut self, condition: &str, value: AuditValue) {
        let number = self.value(value);
        self.push(format_args!(" AND {condition} ${number}"));
    }

    /// The number of a value.
    fn value(&mut self, value: AuditValue) -> usize {
        self.values.push(value);
        self.values.len()
    }

    fn push(&mut self, sql: std::fmt::Arguments<'_>) {
        // A text takes whatever is written to it.
        self.sql.write_fmt(sql).ok();
    }
}
