use std::path::PathBuf;

use futures_util::StreamExt;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::DataError;
use super::client::DataSourceClient;
use super::health::SourceHealth;
use super::query::{Query, QueryRequest, QueryResult};
use super::schema::{SourceSchema, SourceTable};
use super::source::{Source, max_rows, source_failed};
use crate::kernel::{Deadline, Error, ResourceName};
use crate::outbound::{AddressGuard, BreakerState, HttpClient};
use crate::settings::{DataSourceSettings, Precondition, Settings, SharedSettings};
use crate::storage::{ConfigRepository, ConfigStore};

/// How many sources are looked at at once.
const MAX_CONCURRENT_CHECKS: usize = 256;

/// Keeps, tests and queries data sources. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DataSourceService {
    config: ConfigRepository,
    client: DataSourceClient,
}

impl DataSourceService {
    /// A service on these settings, whose changes go to `store`. `guard` watches the connections that are not HTTP; `program` is
    /// this program's own file, which is run with `read-sqlite` to read files.
    pub fn new(
        settings: SharedSettings,
        store: ConfigStore,
        http: HttpClient,
        guard: AddressGuard,
        program: PathBuf,
    ) -> Self {
        Self { config: ConfigRepository::new(settings, store), client: DataSourceClient::new(http, guard, program) }
    }

    pub(super) fn config(&self) -> &ConfigRepository {
        &self.config
    }

    /// The settings as they are now: a request takes them once.
    pub fn snapshot(&self) -> Settings {
        self.config.snapshot()
    }

    /// Replaces a source; a connection to what it was is closed.
    pub(super) async fn update(
        &self,
        name: &ResourceName,
        expected: Precondition,
        body: Map<String, Value>,
    ) -> Result<Source, Error> {
        let source = self.config.update(name.to_string(), expected, body).await?;
        self.client.evict(name.as_str());
        Ok(source)
    }

    /// Removes a source and closes the connections to it.
    pub(super) async fn remove(&self, name: &ResourceName, expected: Precondition) -> Result<(), Error> {
        self.config.remove::<DataSourceSettings>(name.to_string(), expected).await?;
        self.client.evict(name.as_str());
        Ok(())
    }

    /// Runs a query, before `deadline` and within the source's own timeout.
    pub async fn query(
        &self,
        source: &Source,
        request: &QueryRequest,
        deadline: Deadline,
    ) -> Result<QueryResult, DataError> {
        let query = Query {
            text: &request.query,
            parameters: &request.parameters,
            max_rows: max_rows(source, request.max_rows),
            deadline: deadline.at_most(source.effective.timeout()),
        };
        enabled(source)?;
        self.client.query(source, query).await
    }

    /// The schema, in the source's own form.
    pub async fn schema(&self, source: &Source, deadline: Deadline) -> Result<SourceSchema, DataError> {
        enabled(source)?;
        self.client.schema(source, deadline.at_most(source.effective.timeout())).await
    }

    /// The list of tables, in the source's own form.
    pub(super) async fn tables(&self, source: &Source, deadline: Deadline) -> Result<Vec<SourceTable>, DataError> {
        enabled(source)?;
        self.client.tables(source, deadline.at_most(source.effective.timeout())).await
    }

    /// Looks at one source, within its own timeout and before `deadline`; `None` if it is disabled.
    pub(super) async fn check_health(&self, source: &Source, deadline: Deadline) -> Option<SourceHealth> {
        if !source.effective.enabled {
            return None;
        }
        let started = Instant::now();
        let outcome = self.client.check(source, deadline.at_most(source.effective.timeout())).await;
        let response_time_ms = started.elapsed().as_secs_f64() * 1000.0;
        Some(SourceHealth { outcome, response_time_ms, breaker: self.client.breaker(source) })
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
        settings.datasources.iter().map(|source| self.client.breaker(source)).collect()
    }
}

fn enabled(source: &Source) -> Result<(), DataError> {
    match source.effective.enabled {
        true => Ok(()),
        false => Err(source_failed(source, "is disabled")),
    }
}
