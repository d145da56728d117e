use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower::util::MapRequestLayer;

use super::App;
use super::patience::Patient;
use crate::kernel::Error;
use crate::web::normalize_path;

/// Connections served at once; further ones wait in the backlog.
const MOST_CONNECTIONS: usize = 10_000;
/// How long a client may take to send the head of a request, or keep an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// Pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for background work once requests have ended.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Listens on `address`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::internal_public(format!("can't listen on {address} (API_HOST, API_PORT)"), error))
}

/// Serves until `stop` is done, then lets requests under way finish for `SHUTDOWN_GRACE_SECONDS`, and closes the app.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()> + Send) {
    let grace = app.state.settings.snapshot().server.shutdown_grace;
    let service = TowerToHyperService::new(MapRequestLayer::new(normalize_path).layer(app.router.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let (mut connections, stopping) = (JoinSet::new(), CancellationToken::new());
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, slot) = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let stream = TokioIo::new(Patient::new(stream, stopping.clone()));
        let connection = graceful.watch(http.serve_connection(stream, service.clone()));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    stopping.cancel();
    app.stop();
    tracing::info!(grace_seconds = grace.as_secs(), "stopping: finishing what is under way");
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("the grace period is over; what is still under way is cut off");
    }
    connections.shutdown().await;
    app.close(CLOSE_PATIENCE).await;
}

/// The next connection, once there is a slot for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a permit.
    let slot = slots.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without this, small frames of a stream wait for the acknowledgement of the one before.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY could not be set");
                }
                return (stream, slot);
            }
            Err(error) => {
                // Out of file descriptors, or a client that has gone already: neither ends the server.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Done at the first SIGTERM or SIGINT. A second one ends the process at once, as is usual for a terminal.
pub async fn stop_signal() {
    let wait = async || -> io::Result<()> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        Ok(())
    };
    if let Err(error) = wait().await {
        tracing::error!(%error, "can't wait for stop signals");
        std::future::pending::<()>().await;
    }
    tokio::spawn(async move {
        if wait().await.is_ok() {
            exit_at_once();
        }
    });
}

#[expect(clippy::exit, reason = "asked for twice: what is under way is given up")]
fn exit_at_once() -> ! {
    std::process::exit(130)
}
