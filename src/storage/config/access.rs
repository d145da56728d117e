use crate::kernel::{Error, ErrorKind};
use crate::storage::failover::{Failover, Failure, try_remote};
use crate::storage::postgres::{Postgres, PostgresConnection};

/// How Postgres is reached.
#[derive(Clone, Debug)]
pub(super) enum ConfigAccess {
    /// By a server, which goes on without it.
    Server(Box<Failover<Postgres>>),
    /// By a sub-command, which does not.
    Beside(PostgresConnection),
}

impl ConfigAccess {
    /// Closes the connection of a sub-command.
    pub(super) async fn close(&self) {
        if let Self::Beside(connection) = self {
            connection.pool.close().await;
        }
    }

    /// What Postgres says; `None` if it is away.
    pub(super) async fn ask<T>(
        &self,
        operation: impl AsyncFnOnce(PostgresConnection) -> Result<T, Failure>,
    ) -> Result<Option<T>, Error> {
        match self {
            Self::Server(failover) => try_remote(Some(failover), operation).await,
            Self::Beside(connection) => match operation(connection.clone()).await {
                Ok(answer) => Ok(Some(answer)),
                Err(Failure::Rejected(error)) => Err(error),
                Err(failure) => Err(Error::internal_public("Postgres can't be used", failure.to_string())),
            },
        }
    }
}

/// Nothing was changed, since Postgres is away.
pub(super) fn away() -> Error {
    let text = "Postgres is away, where the configuration is kept, so nothing was changed; please try again later";
    Error::new(ErrorKind::NotConfigured, text)
}

/// Nobody knows whether something was changed.
pub(super) fn unconfirmed() -> Error {
    let text = "Postgres has not confirmed the change, which may have been made or not; please read it again";
    Error::new(ErrorKind::NotConfigured, text)
}
