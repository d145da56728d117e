use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::future::join_all;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::App;
use super::connections::{Admission, BodySide, ClientConnection, Connections, TrackedBody};
use super::open_files::room_for_connections;
use super::refusal::RefusalReplies;
use super::tls::{ServerTls, TlsHandshakeError};
use super::write_timeout::WriteTimeoutStream;
use crate::kernel::Error;
use crate::settings::ServerSettings;
use crate::telemetry;
use crate::web::{PeerAddress, ReplySize, normalize_path};

/// Largest head of a request, and about what is kept of a stream whose client does not read.
const MAX_BUFFER_BYTES: usize = 128 * 1024;
/// How long a client may take to send the head of a request, or keep an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// Connections that wait to be accepted: hundreds come at once when clients come back. The system has a bound of its own (somaxconn).
const BACKLOG: u32 = 4096;
/// How long a connection that is open when the server stops may take for its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after a failure to accept.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// Longest wait for background work once requests have ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Listens on `address`.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    listen(address, "API_HOST, API_PORT")
}

/// Listens on the second port for the chat page, if there is to be one.
pub fn bind_chat_page(settings: &ServerSettings) -> Result<Option<TcpListener>, Error> {
    let Some(port) = settings.chat_ui_port else { return Ok(None) };
    listen(SocketAddr::new(settings.address.ip(), port), "API_HOST, CHAT_UI_PORT").map(Some)
}

fn listen(address: SocketAddr, variables: &str) -> Result<TcpListener, Error> {
    open_listener(address)
        .map_err(|error| Error::internal_public(format!("can't listen on {address} ({variables})"), error))
}

fn open_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port that the last server had just now is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves on all of these until `stop` is done, then lets requests under way finish for `SHUTDOWN_GRACE_SECONDS`, and closes the app.
pub async fn serve(listeners: Vec<TcpListener>, app: App, stop: impl Future<Output = ()> + Send) {
    let settings = app.state.settings.snapshot().server;
    let connections = Connections::new(&settings, room_for_connections(settings.max_connections));
    let serving = HttpServer::new(app.router.clone(), app.tls.clone());
    tokio::select! {
        () = stop => {}
        _ = join_all(listeners.iter().map(|listener| serving.accept_all(listener, &connections))) => {}
    }
    let waiting = listeners.into_iter().map(|listener| serving.accept_waiting(listener, &connections));
    drop(tokio::time::timeout(FIRST_REQUEST_TIMEOUT, join_all(waiting)).await);
    // A connection without a request would be closed, one that is on its way or not.
    connections.first_requests(FIRST_REQUEST_TIMEOUT).await;
    serving.stopping.cancel();
    app.monitoring.stop();
    let grace = settings.shutdown_grace;
    tracing::info!(grace_seconds = grace.as_secs(), "stopping: finishing what is under way");
    let (requests, executions) = (serving.graceful.shutdown(), app.topology.finished());
    if tokio::time::timeout(grace, async { tokio::join!(requests, executions) }).await.is_err() {
        tracing::warn!("the grace period is over; what is still under way is cut off");
    }
    serving.cut.cancel();
    serving.tasks.close();
    serving.tasks.wait().await;
    app.close(CLOSE_TIMEOUT).await;
}

/// What all connections have in common.
struct HttpServer {
    router: Router,
    http: http1::Builder,
    tls: Option<Arc<ServerTls>>,
    refusals: RefusalReplies,
    graceful: GracefulShutdown,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// Ends connections at once.
    cut: CancellationToken,
}

impl HttpServer {
    fn new(router: Router, tls: Option<Arc<ServerTls>>) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_BUFFER_BYTES);
        Self {
            router,
            http,
            tls,
            refusals: RefusalReplies::new(),
            graceful: GracefulShutdown::new(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    async fn accept_all(&self, listener: &TcpListener, connections: &Connections) {
        loop {
            let (stream, address) = accept(listener).await;
            self.admit(stream, address, connections).await;
        }
    }

    /// Accepts the connections that wait for it, and no more. To their clients they are open already, with a request sent perhaps, which
    /// would be lost with the listener.
    async fn accept_waiting(&self, listener: TcpListener, connections: &Connections) {
        // Asked itself, the system knows of each; the runtime only of those that it was told of.
        let Ok(listener) = listener.into_std() else { return };
        // Not for ever, if there are always more.
        for _ in 0..BACKLOG {
            let accepted = listener.accept().and_then(|(stream, address)| {
                stream.set_nonblocking(true)?;
                Ok((TcpStream::from_std(stream)?, address))
            });
            match accepted {
                Ok((stream, address)) => self.admit(without_delay(stream), address, connections).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => tracing::debug!(%error, "a connection could not be accepted"),
            }
        }
    }

    async fn admit(&self, stream: TcpStream, address: SocketAddr, connections: &Connections) {
        let close = self.cut.child_token();
        match connections.admit(address.ip(), close.clone()).await {
            Ok(admission) => self.serve(stream, PeerAddress(address.ip()), admission, close),
            // A handshake would be more work than the request that is refused.
            Err(_) if self.tls.is_some() => {}
            Err(refusal) => self.refusals.send(stream, refusal, &self.tasks),
        }
    }

    fn serve(&self, stream: TcpStream, peer: PeerAddress, admission: Admission, close: CancellationToken) {
        if let Some(tls) = self.tls.clone() {
            return self.serve_with_tls(tls, stream, peer, admission, close);
        }
        let (router, connection) = (self.router.clone(), Arc::clone(&admission.connection));
        let stream = WriteTimeoutStream::new(stream, Arc::clone(&connection), self.stopping.clone());
        let service = service_fn(move |request| answer(router.clone(), request, peer, Arc::clone(&connection)));
        let serving = self.http.serve_connection(TokioIo::new(stream), service);
        self.run(self.graceful.watch(serving), admission, close);
    }

    fn serve_with_tls(
        &self,
        tls: Arc<ServerTls>,
        stream: TcpStream,
        peer: PeerAddress,
        admission: Admission,
        close: CancellationToken,
    ) {
        let (router, connection) = (self.router.clone(), Arc::clone(&admission.connection));
        let (http, watcher, stopping) = (self.http.clone(), self.graceful.watcher(), self.stopping.clone());
        let serving = async move {
            let with_timeout = |stream| WriteTimeoutStream::new(stream, Arc::clone(&connection), stopping.clone());
            let stream = tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                accepted = tls.accept(stream, with_timeout) => accepted?,
            };
            connection.handshake_ended();
            let service = service_fn(move |request| answer(router.clone(), request, peer, Arc::clone(&connection)));
            watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await?;
            Ok::<_, ConnectionError>(())
        };
        self.run(serving, admission, close);
    }

    /// Lets a connection go on to its end, or until it is told to close.
    fn run<E: Display>(
        &self,
        serving: impl Future<Output = Result<(), E>> + Send + 'static,
        admission: Admission,
        close: CancellationToken,
    ) {
        self.tasks.spawn(async move {
            tokio::select! {
                () = close.cancelled() => tracing::debug!("a connection was closed to make room"),
                ended = serving => if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            drop(admission);
        });
    }
}

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Handshake(#[from] TlsHandshakeError),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// Has the router answer a request, and has the connection follow both bodies.
async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: PeerAddress,
    connection: Arc<ClientConnection>,
) -> Result<Response<TrackedBody<Body>>, Infallible> {
    connection.request_started(!request.body().is_end_stream());
    let (reading, side) = (Arc::clone(&connection), BodySide::Request);
    let mut request = normalize_path(request);
    request.extensions_mut().insert(peer);
    let request = request.map(|body| TrackedBody { body, connection: reading, side });
    let reply = router.oneshot(request).await?;
    connection.reply_started(reply.extensions().get().map(|ReplySize(size)| *size));
    Ok(reply.map(|body| TrackedBody { body, connection, side: BodySide::Reply }))
}

/// Small frames of a stream would wait for the acknowledgement of the one before.
fn without_delay(stream: TcpStream) -> TcpStream {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    stream
}

/// The next connection.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (without_delay(stream), address),
            Err(error) => {
                // Out of file descriptors, or a client that has gone already: neither ends the server.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
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
            telemetry::flush();
            #[expect(clippy::exit, reason = "asked for twice: what is under way is given up")]
            std::process::exit(130);
        }
    });
}
