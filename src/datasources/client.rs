use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};

use super::health::CheckReport;
use super::query::{Query, QueryResult};
use super::schema::{SourceSchema, SourceTable, TableSchema};
use super::source::{Source, call_error, protocol_of, source_label};
use super::sql::SqlClient;
use super::{DataError, Outage, cube, rest};
use crate::kernel::{Deadline, Stopwatch};
use crate::outbound::{AddressGuard, BreakerState, Breakers, CallError, HttpClient, Permit};
use crate::settings::Protocol;
use crate::telemetry::metrics::{self, Callee};

/// Asks data sources, whatever their protocol. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct DataSourceClient {
    http: HttpClient,
    sql: SqlClient,
    breakers: Breakers,
}

impl DataSourceClient {
    pub(super) fn new(http: HttpClient, guard: AddressGuard, program: PathBuf) -> Self {
        Self { http, sql: SqlClient::new(guard, program), breakers: Breakers::default() }
    }

    /// Runs a query that the source's guard lets through.
    pub(super) async fn query(&self, source: &Source, query: Query<'_>) -> Result<QueryResult, DataError> {
        let protocol = protocol_of(source)?;
        let work = async {
            match protocol {
                Protocol::Rest => rest::query(&self.http, source, &query).await,
                Protocol::Cube => cube::query(&self.http, source, &query).await,
                Protocol::Postgres | Protocol::MySql | Protocol::Sqlite => self.sql.query(source, &query).await,
            }
        };
        self.with_breaker(source, query.deadline, work.boxed()).await
    }

    /// The schema, in the source's own form.
    pub(super) async fn schema(&self, source: &Source, deadline: Deadline) -> Result<SourceSchema, DataError> {
        let protocol = protocol_of(source)?;
        let work = async {
            match protocol {
                Protocol::Rest => rest::schema(&self.http, source, deadline).await.map(SourceSchema::Service),
                Protocol::Cube => cube::schema(&self.http, source, deadline).await.map(SourceSchema::Service),
                Protocol::Postgres | Protocol::MySql | Protocol::Sqlite => {
                    Ok(SourceSchema::Database { tables: self.sql.schema(source, deadline).await? })
                }
            }
        };
        self.with_breaker(source, deadline, work.boxed()).await
    }

    /// The list of tables, in the source's own form.
    pub(super) async fn tables(&self, source: &Source, deadline: Deadline) -> Result<Vec<SourceTable>, DataError> {
        let protocol = protocol_of(source)?;
        let work = async {
            let tables = match protocol {
                Protocol::Rest => rest::tables(&self.http, source, deadline).await?,
                Protocol::Cube => cube::tables(&self.http, source, deadline).await?,
                Protocol::Postgres | Protocol::MySql | Protocol::Sqlite => {
                    let tables = self.sql.schema(source, deadline).await?.into_iter();
                    return Ok(tables.map(TableSchema::without_columns).map(SourceTable::Database).collect());
                }
            };
            Ok(tables.into_iter().map(SourceTable::Service).collect())
        };
        self.with_breaker(source, deadline, work.boxed()).await
    }

    /// Looks at the source itself, whatever its breaker says; a source found well closes it.
    pub(super) async fn check(&self, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
        let report = self.check_now(source, deadline).await?;
        if report.is_ok() {
            self.breakers.reset(&breaker_key(source));
        }
        Ok(report)
    }

    async fn check_now(&self, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
        let work = async {
            match protocol_of(source)? {
                Protocol::Rest => rest::check(&self.http, source, deadline).await,
                Protocol::Cube => cube::check(&self.http, source, deadline).await,
                Protocol::Postgres | Protocol::MySql | Protocol::Sqlite => self.sql.check(source, deadline).await,
            }
        };
        with_deadline(source, deadline, work.boxed()).await.map_err(|error| redacted(source, error))
    }

    /// Lets go of what is kept for a source of this name, which is no more.
    pub(super) fn evict(&self, name: &str) {
        self.sql.evict(name);
    }

    /// The state of a source's breaker.
    pub(super) fn breaker(&self, source: &Source) -> BreakerState {
        self.breakers.state(&breaker_key(source))
    }

    /// Within the deadline, unless the source keeps failing; what it says is redacted.
    async fn with_breaker<T>(
        &self,
        source: &Source,
        deadline: Deadline,
        work: BoxFuture<'_, Result<T, DataError>>,
    ) -> Result<T, DataError> {
        let permit = self.breakers.admit(&breaker_key(source)).map_err(|wait| {
            let (label, seconds) = (source_label(source), wait.as_secs().max(1));
            let text = format!("{label} keeps failing; it is not asked again for {seconds} s");
            DataError::Failed { text, timed_out: false, outage: Outage::Yes }
        })?;
        let is_cut_short = deadline.is_shorter_than(source.effective.timeout());
        let started = Instant::now();
        let outcome = with_deadline(source, deadline, work).await;
        metrics::call(Callee::DataSource, source.name.as_str(), outcome_label(&outcome), started.elapsed());
        match &outcome {
            // A caller with less patience than the source is given must not close it to others.
            Err(DataError::Failed { timed_out: true, .. }) if is_cut_short => drop(permit),
            Err(DataError::Failed { outage: Outage::Yes, .. }) => permit.failed(),
            Err(DataError::Failed { outage: Outage::Perhaps, .. }) => self.probe(source, permit),
            // Neither what was never sent nor what asks for much says anything of the source.
            Err(DataError::Refused { .. } | DataError::Failed { timed_out: true, .. }) => drop(permit),
            _ => permit.succeeded(),
        }
        outcome.map_err(|error| redacted(source, error))
    }

    /// A source that says nothing, or breaks off, shows by its own test that it is there.
    fn probe(&self, source: &Source, permit: Permit) {
        let (client, source) = (self.clone(), Arc::clone(source));
        permit.probe(async move {
            let deadline = Deadline::after(source.effective.timeout().min(Permit::PROBE_TIMEOUT));
            match client.check_now(&source, deadline).await {
                Ok(report) => matches!(report.status(), Some(502..=504)),
                Err(error) => matches!(error, DataError::Failed { outage: Outage::Yes | Outage::Perhaps, .. }),
            }
        });
    }
}

/// Work on a source comes here boxed: what drivers await nests too deeply for the state machines of those who call this.
async fn with_deadline<T>(
    source: &Source,
    deadline: Deadline,
    work: BoxFuture<'_, Result<T, DataError>>,
) -> Result<T, DataError> {
    let late = || call_error(source, &CallError::Timeout);
    let _wait = Stopwatch::wait();
    timeout_at(deadline.instant(), work).await.unwrap_or_else(|_| Err(late()))
}

/// How a request ended, for figures.
fn outcome_label<T>(outcome: &Result<T, DataError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(DataError::Refused { .. }) => "refused",
        Err(DataError::Failed { timed_out: true, .. }) => "timeout",
        Err(DataError::Failed { .. }) => "error",
    }
}

fn redacted(source: &Source, error: DataError) -> DataError {
    error.map_text(|text| source.redaction().text(text))
}

/// A source that moves starts with a clean record.
fn breaker_key(source: &Source) -> String {
    format!("data source {} at {}", source.name, source.effective.url)
}
