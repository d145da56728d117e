use tokio::sync::OwnedRwLockReadGuard;

use super::outbox::Outbox;
use super::remote::{Failure, RemoteBackend};
use super::state::{Failover, Handle};
use crate::kernel::Error;

/// Where an operation goes.
enum Route<C> {
    Remote(Handle<C>),
    /// To the embedded store and the outbox.
    Outbox(OwnedRwLockReadGuard<()>),
}

/// What the service says; None if there is none, or it is away. An operation that it rejects is the caller's error.
pub(crate) async fn try_remote<B: RemoteBackend, T>(
    failover: Option<&Failover<B>>,
    operation: impl AsyncFnOnce(B::Connection) -> Result<T, Failure>,
) -> Result<Option<T>, Error> {
    let Some((failover, handle)) = failover.and_then(|failover| Some((failover, failover.handle()?))) else {
        return Ok(None);
    };
    match operation(handle.connection.clone()).await {
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

/// Writes to the service. While it is away, `stand_in` writes to the embedded store and, in the same transaction, to the outbox
/// that it is given. It is given none if there is no service.
pub(crate) async fn write<'a, B: RemoteBackend, T, F: Future<Output = Result<T, Error>>>(
    failover: Option<&'a Failover<B>>,
    operation: impl AsyncFnOnce(B::Connection) -> Result<T, Failure>,
    stand_in: impl FnOnce(Option<&'a Outbox>) -> F,
) -> Result<T, Error> {
    let Some(failover) = failover else { return stand_in(None).await };
    let queue = match route(failover).await {
        Route::Remote(handle) => match operation(handle.connection.clone()).await {
            Ok(done) => return Ok(done),
            Err(failure) => fail_over(failover, &handle, failure).await?,
        },
        Route::Outbox(queue) => queue,
    };
    let done = stand_in(Some(&failover.outbox)).await?;
    failover.enqueued();
    drop(queue);
    Ok(done)
}

async fn route<B: RemoteBackend>(failover: &Failover<B>) -> Route<B::Connection> {
    if let Some(handle) = failover.handle() {
        return Route::Remote(handle);
    }
    let queue = failover.queue().await;
    match failover.handle() {
        Some(handle) => Route::Remote(handle),
        None => Route::Outbox(queue),
    }
}

/// Sends a failed write to the outbox. Even if the service is back already, it is left alone until the write is written back.
async fn fail_over<B: RemoteBackend>(
    failover: &Failover<B>,
    handle: &Handle<B::Connection>,
    failure: Failure,
) -> Result<OwnedRwLockReadGuard<()>, Error> {
    failover.report_failure(handle, failure)?;
    let queue = failover.queue().await;
    failover.mark_down();
    Ok(queue)
}
