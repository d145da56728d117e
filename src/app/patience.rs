use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// How long a client may take nothing of what is sent to it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The same once the server stops.
const PATIENCE_AT_THE_END: Duration = Duration::from_secs(2);

/// A connection that ends when its client does not read. What waits for it takes memory here, and a stream without an end would
/// wait for good.
pub(super) struct Patient<S> {
    stream: S,
    stopping: CancellationToken,
    /// Done when patience is over; None while the client takes what it gets.
    over: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, stopping: CancellationToken) -> Self {
        Self { stream, stopping, over: None }
    }

    fn watch(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.over = None;
            return written;
        }
        let stopping = self.stopping.clone();
        let over = self.over.get_or_insert_with(|| Box::pin(patience(stopping)));
        over.as_mut().poll(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

async fn patience(stopping: CancellationToken) {
    let at_the_end = async {
        stopping.cancelled().await;
        tokio::time::sleep(PATIENCE_AT_THE_END).await;
    };
    tokio::select! {
        () = tokio::time::sleep(PATIENCE) => {}
        () = at_the_end => {}
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
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
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_may_read_slowly_but_must_read() {
        let (ours, mut client) = duplex(10);
        let mut patient = Patient::new(ours, CancellationToken::new());
        let started = Instant::now();
        let read = async {
            for _ in 0..4 {
                tokio::time::sleep(PATIENCE / 2).await;
                client.read_exact(&mut [0; 10]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(patient.write_all(&[1; 100]), read);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed().as_secs(), 3 * PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_server_stops_it_has_less_patience() {
        let (ours, _client) = duplex(10);
        let stopping = CancellationToken::new();
        let mut patient = Patient::new(ours, stopping.clone());
        stopping.cancel();
        let started = Instant::now();
        patient.write_all(&[1; 100]).await.unwrap_err();
        assert_eq!(started.elapsed().as_secs(), PATIENCE_AT_THE_END.as_secs());
    }
}
