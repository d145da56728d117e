use serde::{Deserialize, Serialize};

use super::DataError;
use crate::outbound::BreakerState;

/// How a source is.
#[derive(Clone, Debug)]
pub struct SourceHealth {
    /// What was found, or why nothing was.
    pub outcome: Result<CheckReport, DataError>,
    /// How long that took.
    pub response_time_ms: f64,
    /// Whether queries go through to it.
    pub breaker: BreakerState,
}

/// What a check of a source found that could be reached.
#[derive(Clone, Debug)]
pub enum CheckReport {
    /// A service over HTTP.
    Service {
        /// The status of its health endpoint.
        status: u16,
        /// What came of the credential.
        authentication: Authentication,
        /// Whether it is known to take no writes.
        read_only: Option<bool>,
        /// How many cubes it has, if it is Cube.
        cubes: Option<usize>,
    },
    /// A database server.
    Server(AccountReport),
    /// A SQLite file.
    File(FileReport),
}

/// What a service makes of the credential that it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Taken.
    Accepted,
    /// Not objected to, by an endpoint that may not look at it.
    Unverified,
    /// Not taken.
    Refused,
    /// Nothing is known.
    Unknown,
}

/// What a database server says of the account that it is asked with.
#[derive(Clone, Debug)]
pub struct AccountReport {
    /// Name and version of the server.
    pub version: String,
    /// The account's name.
    pub user: String,
    /// Whether the account may do everything.
    pub is_superuser: bool,
    /// Whether the account may change data.
    pub may_write: bool,
    pub read_only: bool,
    /// Whether the source is told who asks for nothing, since no policy on rows holds the account.
    pub bypasses_row_security: bool,
}

/// What SQLite says of a file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct FileReport {
    /// Name and version of the library.
    pub version: String,
    pub read_only: bool,
    /// How many tables and views the file has.
    pub tables: i64,
}

impl CheckReport {
    /// The status of the health endpoint, if it has one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Service { status, .. } => Some(*status),
            Self::Server(_) | Self::File(_) => None,
        }
    }

    /// Whether the source may be relied on.
    pub fn is_ok(&self) -> bool {
        match self {
            Self::Service { status, .. } => *status == 200,
            Self::Server(account) => account.read_only,
            Self::File(file) => file.read_only,
        }
    }
}

impl AccountReport {
    /// What to say where only this server stands between a query and a write.
    pub(super) fn warning(&self) -> Option<&'static str> {
        if self.bypasses_row_security {
            return Some(
                "Row-level security does not hold the account, so config.session limits nobody; give this source an account that \
                 is no superuser, has no BYPASSRLS and owns no table that does not FORCE its policies",
            );
        }
        match (self.is_superuser, self.may_write) {
            (true, _) => Some("The account is a superuser; give this source an account that may only SELECT"),
            (_, true) => Some("The account may write; give this source an account that may only SELECT"),
            _ => None,
        }
    }
}

impl SourceHealth {
    /// Whether the source may be relied on.
    pub fn is_healthy(&self) -> bool {
        self.outcome.as_ref().is_ok_and(CheckReport::is_ok)
    }

    /// Whether the source is there, but does not let this server in.
    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self.outcome, Ok(CheckReport::Service { authentication: Authentication::Refused, .. }))
    }

    /// In the original's words.
    pub fn message(&self) -> &'static str {
        match &self.outcome {
            Ok(report) if report.is_ok() => "Datasource is reachable",
            Ok(_) => "Datasource returned non-200 status",
            Err(DataError::Failed { timed_out: true, .. }) => "Datasource did not respond within timeout period",
            Err(_) => "Failed to connect to datasource",
        }
    }
}
