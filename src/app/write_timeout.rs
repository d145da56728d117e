use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::connections::ClientConnection;

/// How long a client may take nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// The same once the server stops.
const STOPPING_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that ends when its client does not read, instead of keeping memory for it.
pub(super) struct WriteTimeoutStream<S> {
    stream: S,
    connection: Arc<ClientConnection>,
    stopping: CancellationToken,
    /// Done when patience is over; None while the client takes what it gets.
    timeout: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> WriteTimeoutStream<S> {
    pub(super) fn new(stream: S, connection: Arc<ClientConnection>, stopping: CancellationToken) -> Self {
        Self { stream, connection, stopping, timeout: None }
    }

    fn watch(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.timeout = None;
            return written;
        }
        let stopping = self.stopping.clone();
        let timeout = self.timeout.get_or_insert_with(|| Box::pin(write_timeout(stopping)));
        ready!(timeout.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

async fn write_timeout(stopping: CancellationToken) {
    let at_the_end = async {
        stopping.cancelled().await;
        tokio::time::sleep(STOPPING_WRITE_TIMEOUT).await;
    };
    drop(tokio::time::timeout(WRITE_TIMEOUT, at_the_end).await);
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeoutStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = to.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, to);
        let bytes = to.filled().len() - before;
        if bytes > 0 {
            self.connection.received(bytes);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeoutStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The HTTP server flushes only when it has nothing left to write.
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if let Poll::Ready(Ok(())) = flushed {
            self.connection.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::app::connections::Connections;
    use crate::settings::{Environment, load};

    async fn stream_of<S>(stream: S, stopping: CancellationToken) -> WriteTimeoutStream<S> {
        let settings = load(Environment::default()).unwrap().settings.server;
        let connections = Connections::new(&settings, 1);
        let admission = connections.admit(IpAddr::from([127, 0, 0, 1]), CancellationToken::new()).await.unwrap();
        WriteTimeoutStream::new(stream, Arc::clone(&admission.connection), stopping)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_read_slowly_but_must_read() {
        let (ours, mut client) = duplex(10);
        let mut stream = stream_of(ours, CancellationToken::new()).await;
        let started = Instant::now();
        let read = async {
            for _ in 0..4 {
                tokio::time::sleep(WRITE_TIMEOUT / 2).await;
                client.read_exact(&mut [0; 10]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[1; 100]), read);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 3 * WRITE_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_server_stops_it_has_less_patience() {
        let (ours, _client) = duplex(10);
        let stopping = CancellationToken::new();
        let mut stream = stream_of(ours, stopping.clone()).await;
        stopping.cancel();
        let started = Instant::now();
        stream.write_all(&[1; 100]).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), STOPPING_WRITE_TIMEOUT.as_secs());
    }
}
