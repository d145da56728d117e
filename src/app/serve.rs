use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::ServiceExt;
use axum::extract::Request;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower::util::MapRequestLayer;

use super::App;
use crate::kernel::Error;
use crate::web::normalize_path;

/// Longest wait for background work once requests have ended.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Listens on `address`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::internal_public(format!("can't listen on {address} (API_HOST, API_PORT)"), error))
}

/// Serves until `stop` is done, then lets requests under way finish for `SHUTDOWN_GRACE_SECONDS`, and closes the app.
pub async fn serve(listener: TcpListener, app: App, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let grace = app.state.settings.snapshot().server.shutdown_grace;
    let stopping = CancellationToken::new();
    let announce = stopping.clone();
    let stop = async move {
        stop.await;
        tracing::info!(grace_seconds = grace.as_secs(), "stopping: finishing what is under way");
        announce.cancel();
    };
    let listener = listener.tap_io(|stream| {
        // Without this, small frames of a stream wait for the acknowledgement of the one before.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let service = MapRequestLayer::new(normalize_path).layer(app.router.clone());
    let serving = axum::serve(listener, ServiceExt::<Request>::into_make_service(service)).with_graceful_shutdown(stop);
    let out_of_time = async {
        stopping.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    let outcome = tokio::select! {
        outcome = serving.into_future() => outcome,
        () = out_of_time => {
            tracing::warn!("the grace period is over; what is still under way is cut off");
            Ok(())
        }
    };
    app.close(CLOSE_PATIENCE).await;
    outcome
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
            std::process::abort();
        }
    });
}
