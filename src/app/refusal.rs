use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::connections::ConnectionRefusal;
use crate::kernel::{Error, ErrorKind};
use crate::web::ApiError;

/// Connections that are told at once why they are not served; beyond that they are only closed.
const MAX_REPLIES: usize = 64;
/// How long a client may take to ask and to take the reply.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes of a request that are read so that the client sees the reply.
const MAX_READ_BYTES: u64 = 100_000;

/// Replies to connections that are not served: a bounded number, beside the accept loop, in almost no memory.
#[derive(Debug)]
pub(super) struct RefusalReplies {
    places: Arc<Semaphore>,
    server_full: Arc<str>,
    client_full: Arc<str>,
}

impl RefusalReplies {
    pub(super) fn new() -> Self {
        let server_full = "The server has all the connections that it may have (MAX_CONNECTIONS), and all are in use";
        let client_full =
            "This address has all the connections that it may have (MAX_CONNECTIONS_PER_ADDRESS), and all are in use";
        Self {
            places: Arc::new(Semaphore::new(MAX_REPLIES)),
            server_full: busy_reply(server_full),
            client_full: busy_reply(client_full),
        }
    }

    /// Tells the client why it is refused, unless too many are being told.
    pub(super) fn send(&self, stream: TcpStream, refusal: ConnectionRefusal, tasks: &TaskTracker) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let reply = Arc::clone(match refusal {
            ConnectionRefusal::ServerFull => &self.server_full,
            ConnectionRefusal::ClientFull => &self.client_full,
        });
        tasks.spawn(async move {
            reply_and_close(stream, &reply).await;
            drop(place);
        });
    }
}

/// Answers whatever is asked with this reply, and closes. What a client sends is read, since closing with bytes unread would take
/// the reply from it.
pub(super) async fn reply_and_close(mut stream: TcpStream, reply: &str) {
    let exchange = async {
        // Many clients take a reply that comes before they have asked for an error.
        stream.readable().await?;
        stream.write_all(reply.as_bytes()).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_READ_BYTES), &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = tokio::time::timeout(TIMEOUT, exchange).await {
        tracing::debug!(%error, "a refused client has left");
    }
}

/// A reply as it goes over the wire.
pub(super) fn plain_reply(status: &str, headers: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn busy_reply(detail: &str) -> Arc<str> {
    let error = ApiError::from(Error::new(ErrorKind::Busy, detail));
    let (status, body) = (error.status().to_string(), error.body().to_string());
    plain_reply(&status, "retry-after: 1\r\n", "application/json", &body).into()
}
