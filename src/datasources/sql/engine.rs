//! What the engines share: their errors, time limits, and how a driver describes a connection and a column.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde_json::Value;
use sqlx::{Column, Database, Row, TypeInfo};

use crate::datasources::rows::RowCollector;
use crate::datasources::source::{Source, source_error, source_label};
use crate::datasources::{DataError, Outage};
use crate::kernel::Deadline;
use crate::settings::{DatabaseUrl, UrlReach};

/// Why an engine gave no data.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) enum EngineError {
    /// What a driver reports.
    Driver(#[from] sqlx::Error),
    /// Anything else.
    Data(#[from] DataError),
}

impl EngineError {
    /// The error as callers of this source read it.
    pub(super) fn of(self, source: &Source) -> DataError {
        match self {
            Self::Driver(error) => driver_error(source, &error),
            Self::Data(error) => error,
        }
    }
}

/// What a driver reports. A connection that breaks may have met an outage, or a query that was too much.
pub(super) fn driver_error(source: &Source, error: &sqlx::Error) -> DataError {
    const TIMEOUT_MESSAGES: [&str; 3] = ["statement timeout", "max_statement_time", "maximum statement execution time"];
    /// Codes with which a server turns clients away that starts or stops: PostgreSQL's, and that of MySQL for all of these.
    const SHUTDOWN_CODES: &[&str] = &["57P01", "57P02", "57P03", "08S01"];
    let (text, outage) = match error {
        sqlx::Error::Database(objection) => {
            let is_leaving = objection.code().is_some_and(|code| SHUTDOWN_CODES.contains(&&*code));
            (objection.message().to_owned(), if is_leaving { Outage::Perhaps } else { Outage::No })
        }
        sqlx::Error::Io(cause) => (format!("the connection failed: {cause}"), Outage::Perhaps),
        sqlx::Error::Tls(cause) => (format!("TLS failed: {cause}"), Outage::Perhaps),
        sqlx::Error::Protocol(_) => (error.to_string(), Outage::Perhaps),
        other => (other.to_string(), Outage::No),
    };
    let timed_out = TIMEOUT_MESSAGES.iter().any(|sign| text.contains(sign));
    DataError::Failed { text: format!("{}: {text}", source_label(source)), timed_out, outage }
}

/// Time limit of a statement. It ends before the deadline, so that the database itself objects, which costs no connection.
pub(super) fn statement_timeout(deadline: Deadline) -> Duration {
    let left = deadline.remaining();
    left - (left / 5).min(Duration::from_secs(1))
}

/// Name and type of a column, as a driver describes it.
pub(super) fn column_of<C: Column>(column: &C) -> (String, String) {
    (column.name().to_owned(), column.type_info().name().to_lowercase())
}

/// Collects rows up to the limits, and the columns from the first row unless they are known; whether all rows were read.
pub(super) async fn collect<R: Row>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    collector: &mut RowCollector,
    column_of: impl Fn(&R, &<R::Database as Database>::Column) -> (String, String),
    value: impl Fn(&R, usize) -> Value,
) -> Result<bool, sqlx::Error> {
    while let Some(row) = rows.next().await {
        let row = row?;
        if !collector.has_columns() {
            collector.set_columns(row.columns().iter().map(|column| column_of(&row, column)));
        }
        if !collector.push((0..row.len()).map(|at| value(&row, at))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the URL of a source says. A password in it counts; the token is the password where it has none.
pub(super) fn server_url(source: &Source) -> Result<DatabaseUrl, DataError> {
    let settings = &source.effective;
    let url = DatabaseUrl::read(&settings.url, UrlReach::Network);
    let mut url = url.map_err(|expected| source_error(source, format_args!("its URL can't be used: {expected}")))?;
    if let Some(unused) = url.unused() {
        tracing::warn!(source = %source.name, "{unused}");
    }
    let token = || settings.auth_token.as_ref().map(|token| token.expose().to_owned());
    url.password = url.password.or_else(token);
    Ok(url)
}

/// The error of a URL that can't be used.
pub(super) fn url_error(source: &Source, what: &str) -> DataError {
    source_error(source, format_args!("its URL {what}"))
}
