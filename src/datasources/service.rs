use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::cube::CubeClient;
use super::health::{CheckReport, SourceHealth};
use super::query::{Query, QueryRequest, QueryResult};
use super::rows::{DEFAULT_ROWS, MAX_ROWS};
use super::schema::{SourceSchema, SourceTable, SourceTables, TableCatalog, TableSchema};
use super::source::{Source, call_error, configured_limit, protocol_of, source_failed, source_label};
use super::sql::SqlClient;
use super::{DataError, Outage, outline, rest, sample_values};
use crate::kernel::{Caller, Clock, Deadline, Stopwatch};
use crate::outbound::{AddressGuard, BreakerState, Breakers, CallError, HttpClient, Permit};
use crate::settings::{Protocol, Settings};
use crate::storage::{ConfigRepository, ConfigService};
use crate::telemetry::metrics::{self, Callee};

/// How many sources are looked at at once.
const MAX_CONCURRENT_CHECKS: usize = 256;

/// Keeps, tests and queries data sources, whatever their protocol. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DataSourceService {
    config: ConfigRepository,
    http: HttpClient,
    sql: SqlClient,
    breakers: Breakers,
    clock: Clock,
}

impl ConfigService for DataSourceService {
    fn config(&self) -> &ConfigRepository {
        &self.config
    }

    fn close_stale(&self, settings: &Settings) {
        let is_current =
            |name: &str, version: &str| settings.datasources.get(name).is_some_and(|source| source.version == version);
        self.sql.retain(is_current);
    }
}

impl DataSourceService {
    /// `guard` watches the connections that are not HTTP; `program`, this program's own file, reads SQLite files.
    pub fn new(
        config: ConfigRepository,
        http: HttpClient,
        guard: AddressGuard,
        program: PathBuf,
        clock: Clock,
    ) -> Self {
        let sql = SqlClient::new(guard, program);
        Self { config, http, sql, breakers: Breakers::default(), clock }
    }

    /// The time, as RFC 3339 writes it.
    pub(super) fn now(&self) -> String {
        Clock::rfc3339(self.clock.now_ms())
    }

    /// Runs a query of `caller` that the source's guard lets through, before `deadline` and within the source's own timeout.
    pub async fn query(
        &self,
        source: &Source,
        caller: &Caller,
        request: &QueryRequest,
        deadline: Deadline,
    ) -> Result<QueryResult, DataError> {
        let max_rows = request.max_rows.or_else(|| configured_limit(source, "max_rows"));
        let (max_rows, parameters) = (max_rows.unwrap_or(DEFAULT_ROWS).min(MAX_ROWS), &request.parameters);
        let work = |protocol, deadline| async move {
            let query = &Query { text: &request.query, caller, parameters, max_rows, deadline };
            match protocol {
                Protocol::Rest => rest::query(&self.http, source, query).await,
                Protocol::Cube => self.cube(source, caller, deadline).query(query).await,
                Protocol::Postgres | Protocol::MySql | Protocol::Sqlite => self.sql.query(source, query).await,
            }
        };
        self.with_breaker(source, deadline, work).await
    }

    /// Has the source plan a query without running it; the error is what is wrong with the query. A query that can't be planned
    /// alone passes: what is wrong with it shows when it runs.
    pub async fn explain(
        &self,
        source: &Source,
        caller: &Caller,
        query: &str,
        deadline: Deadline,
    ) -> Result<(), DataError> {
        let lead = match protocol_of(source)? {
            Protocol::Postgres | Protocol::MySql => "EXPLAIN",
            Protocol::Sqlite => "EXPLAIN QUERY PLAN",
            Protocol::Cube => {
                let work = |_, deadline| async move { self.cube(source, caller, deadline).dry_run(query).await };
                return self.with_breaker(source, deadline, work).await;
            }
            Protocol::Rest => return Ok(()),
        };
        let request = QueryRequest { query: format!("{lead} {query}"), ..QueryRequest::default() };
        match self.query(source, caller, &request, deadline).await {
            Err(error @ DataError::Failed { .. }) => Err(error),
            Ok(_) | Err(DataError::Refused { .. }) => Ok(()),
        }
    }

    /// The schema as `caller` is shown it, in the source's own form.
    pub async fn schema(
        &self,
        source: &Source,
        caller: &Caller,
        deadline: Deadline,
    ) -> Result<SourceSchema, DataError> {
        let work = |protocol, deadline| async move {
            match protocol {
                Protocol::Rest => rest::schema(&self.http, source, deadline).await.map(SourceSchema::Service),
                Protocol::Cube => self.cube(source, caller, deadline).schema().await.map(SourceSchema::Service),
                Protocol::Postgres | Protocol::MySql | Protocol::Sqlite => {
                    self.sql.schema(source, caller, deadline).await.map(SourceSchema::Database)
                }
            }
        };
        self.with_breaker(source, deadline, work).await
    }

    /// The tables of a source of any kind, as one that nobody asks shows them. Cubes count as tables, measures and dimensions as their
    /// columns.
    pub async fn outline(&self, source: &Source, deadline: Deadline) -> Result<TableCatalog, DataError> {
        let protocol = protocol_of(source)?;
        Ok(match self.schema(source, &Caller::unrestricted(), deadline).await? {
            SourceSchema::Database(catalog) => catalog,
            SourceSchema::Service(meta) if protocol == Protocol::Cube => outline::cubes(&meta),
            SourceSchema::Service(schema) => outline::tables(&schema),
        })
    }

    /// Reads values of the text columns that have few into the tables of a database, as far as there is time: those in rows that
    /// are nobody's in particular.
    pub async fn read_values(
        &self,
        source: &Source,
        mut tables: Vec<TableSchema>,
        deadline: Deadline,
    ) -> Result<Vec<TableSchema>, DataError> {
        let work = |protocol, deadline| async move {
            if matches!(protocol, Protocol::Postgres | Protocol::MySql | Protocol::Sqlite) {
                sample_values::read(&self.sql, source, protocol, &mut tables, deadline).await;
            }
            Ok(tables)
        };
        self.with_breaker(source, deadline, work).await
    }

    /// The list of tables as `caller` is shown it, in the source's own form.
    pub(super) async fn tables(
        &self,
        source: &Source,
        caller: &Caller,
        deadline: Deadline,
    ) -> Result<SourceTables, DataError> {
        let work = |protocol, deadline| async move {
            let tables = match protocol {
                Protocol::Rest => rest::tables(&self.http, source, deadline).await?,
                Protocol::Cube => self.cube(source, caller, deadline).tables().await?,
                Protocol::Postgres | Protocol::MySql | Protocol::Sqlite => {
                    let catalog = self.sql.schema(source, caller, deadline).await?;
                    let without_columns = |table| SourceTable::Database(TableSchema { columns: Vec::new(), ..table });
                    let tables = catalog.tables.into_iter().map(without_columns).collect();
                    return Ok(SourceTables { tables, warnings: catalog.warnings });
                }
            };
            let tables = tables.into_iter().map(SourceTable::Service).collect();
            Ok(SourceTables { tables, warnings: Vec::new() })
        };
        self.with_breaker(source, deadline, work).await
    }

    /// Looks at one source, whatever its breaker says: one found well closes it. `None` if it is disabled.
    pub async fn check_health(&self, source: &Source, deadline: Deadline) -> Option<SourceHealth> {
        if !source.effective.enabled {
            return None;
        }
        let started = Instant::now();
        let outcome = self.check(source, deadline.at_most(source.effective.timeout())).await;
        if outcome.as_ref().is_ok_and(CheckReport::is_ok) {
            self.breakers.reset(&breaker_key(source));
        }
        let response_time_ms = started.elapsed().as_secs_f64() * 1000.0;
        Some(SourceHealth { outcome, response_time_ms, breaker: self.breaker(source) })
    }

    /// Looks at all sources at once, each as [`DataSourceService::check_health`] does; the order is that of the catalog.
    pub async fn check_all(&self, settings: &Settings, deadline: Deadline) -> Vec<(Source, Option<SourceHealth>)> {
        let sources: Vec<_> = settings.datasources.iter().cloned().collect();
        let check = |source: Source| async move {
            let health = self.check_health(&source, deadline).await;
            (source, health)
        };
        futures_util::stream::iter(sources).map(check).buffered(MAX_CONCURRENT_CHECKS).collect().await
    }

    /// The states of all sources' breakers.
    pub fn breakers(&self, settings: &Settings) -> Vec<BreakerState> {
        settings.datasources.iter().map(|source| self.breaker(source)).collect()
    }

    async fn check(&self, source: &Source, deadline: Deadline) -> Result<CheckReport, DataError> {
        let work = async {
            match protocol_of(source)? {
                Protocol::Rest => rest::check(&self.http, source, deadline).await,
                Protocol::Cube => self.cube(source, &Caller::unrestricted(), deadline).check().await,
                Protocol::Postgres | Protocol::MySql | Protocol::Sqlite => self.sql.check(source, deadline).await,
            }
        };
        with_deadline(source, deadline, work.boxed()).await.map_err(|error| redacted(source, error))
    }

    fn cube<'a>(&'a self, source: &'a Source, caller: &Caller, deadline: Deadline) -> CubeClient<'a> {
        CubeClient::new(&self.http, source, caller, self.clock.now_ms(), deadline)
    }

    fn breaker(&self, source: &Source) -> BreakerState {
        self.breakers.state(&breaker_key(source))
    }

    /// Within the deadline, unless the source keeps failing; what it says is redacted.
    async fn with_breaker<T, F: Future<Output = Result<T, DataError>> + Send>(
        &self,
        source: &Source,
        deadline: Deadline,
        work: impl FnOnce(Protocol, Deadline) -> F,
    ) -> Result<T, DataError> {
        if !source.effective.enabled {
            return Err(source_failed(source, "is disabled"));
        }
        let (protocol, deadline) = (protocol_of(source)?, deadline.at_most(source.effective.timeout()));
        let permit = self.breakers.admit(&breaker_key(source)).map_err(|wait| {
            let (label, seconds) = (source_label(source), wait.as_secs().max(1));
            let text = format!("{label} keeps failing; it is not asked again for {seconds} s");
            DataError::Failed { text, timed_out: false, outage: Outage::Yes }
        })?;
        let is_cut_short = deadline.is_shorter_than(source.effective.timeout());
        let started = Instant::now();
        let outcome = with_deadline(source, deadline, work(protocol, deadline).boxed()).await;
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
        let (service, source) = (self.clone(), Arc::clone(source));
        permit.probe(async move {
            let deadline = Deadline::after(source.effective.timeout().min(Permit::PROBE_TIMEOUT));
            match service.check(&source, deadline).await {
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
    let _wait = Stopwatch::wait();
    timeout_at(deadline.instant(), work).await.unwrap_or_else(|_| Err(call_error(source, &CallError::Timeout)))
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

fn redacted(source: &Source, mut error: DataError) -> DataError {
    if let DataError::Failed { text, .. } = &mut error {
        *text = source.redaction().text(text);
    }
    error
}

/// A source that moves starts with a clean record.
fn breaker_key(source: &Source) -> String {
    format!("data source {} at {}", source.name, source.effective.url)
}
