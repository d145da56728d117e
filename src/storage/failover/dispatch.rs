use super::outbox::OutboxTicket;
use super::remote::{Failure, RemoteBackend};
use super::state::{Failover, Handle};
use crate::kernel::{Error, ErrorKind};

/// Where an operation goes.
enum Route<C> {
    Remote(Handle<C>),
    /// To the embedded store and the outbox.
    Outbox(OutboxTicket),
}

/// What the service says; None if there is none, or it is away. An operation that it rejects is the caller's error.
pub(crate) async fn try_remote<B: RemoteBackend, T>(
    failover: Option<&Failover<B>>,
    operation: impl AsyncFnOnce(B::Connection) -> Result<T, Failure>,
) -> Result<Option<T>, Error> {
    let Some((failover, handle)) = failover.and_then(|failover| Some((failover, failover.handle()?))) else {
        return Ok(None);
    };
    match Box::pin(operation(handle.connection.clone())).await {
        Ok(answer) => Ok(Some(answer)),
        Err(failure) => failover.report_failure(&handle, failure).map(|()| None),
    }
}

/// What the service says, or `stand_in` if there is none, or it is away.
pub(crate) async fn prefer_remote<B: RemoteBackend, T>(
    failover: Option<&Failover<B>>,
    operation: impl AsyncFnOnce(B::Connection) -> Result<T, Failure>,
    stand_in: impl AsyncFnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    match try_remote(failover, operation).await? {
        Some(answer) => Ok(answer),
        None => stand_in().await,
    }
}

/// One thing: the service's, or the embedded store's, which has what is from before the service was used. If it is not there and the
/// service is away, nobody can tell: `away` says so.
pub(crate) async fn find<B: RemoteBackend, T>(
    failover: Option<&Failover<B>>,
    operation: impl AsyncFnOnce(B::Connection) -> Result<Option<T>, Failure>,
    embedded: impl AsyncFnOnce() -> Result<Option<T>, Error>,
    away: impl FnOnce() -> String,
) -> Result<Option<T>, Error> {
    let remote = try_remote(failover, operation).await?;
    let is_certain = remote.is_some() || failover.is_none();
    if let Some(found) = remote.flatten() {
        return Ok(Some(found));
    }
    match embedded().await? {
        None if !is_certain => Err(Error::new(ErrorKind::NotConfigured, away())),
        found => Ok(found),
    }
}

/// Writes to the service. While it is away, `stand_in` writes to the embedded store and, in the same transaction, to the outbox
/// that it is given a ticket for. It is given none if there is no service.
pub(crate) async fn write<B: RemoteBackend, T, F: Future<Output = Result<T, Error>>>(
    failover: Option<&Failover<B>>,
    operation: impl AsyncFnOnce(B::Connection) -> Result<T, Failure>,
    stand_in: impl FnOnce(Option<OutboxTicket>) -> F,
) -> Result<T, Error> {
    match failover {
        None => stand_in(None).await,
        // Apart, so that who has no service does not carry its future around.
        Some(failover) => Box::pin(write_remotely(failover, operation, stand_in)).await,
    }
}

async fn write_remotely<B: RemoteBackend, T, F: Future<Output = Result<T, Error>>>(
    failover: &Failover<B>,
    operation: impl AsyncFnOnce(B::Connection) -> Result<T, Failure>,
    stand_in: impl FnOnce(Option<OutboxTicket>) -> F,
) -> Result<T, Error> {
    let ticket = match route(failover).await {
        Route::Outbox(ticket) => ticket,
        Route::Remote(handle) => {
            match operation(handle.connection.clone()).await {
                Ok(done) => return Ok(done),
                Err(failure) => failover.report_failure(&handle, failure)?,
            }
            let ticket = failover.ticket().await;
            // Even if the service is back already, it is left alone until this is written back.
            failover.mark_down();
            ticket
        }
    };
    stand_in(Some(ticket)).await
}

async fn route<B: RemoteBackend>(failover: &Failover<B>) -> Route<B::Connection> {
    if let Some(handle) = failover.handle() {
        return Route::Remote(handle);
    }
    let ticket = failover.ticket().await;
    match failover.handle() {
        Some(handle) => Route::Remote(handle),
        None => Route::Outbox(ticket),
    }
}
