use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::app::refusal::{plain_reply, reply_and_close};

/// How long a client may take for the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The first byte of every TLS connection: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub(in crate::app) enum TlsHandshakeError {
    #[error("no TLS handshake within {} seconds", TIMEOUT.as_secs())]
    Timeout,
    #[error("the client speaks HTTP without TLS")]
    PlainHttp,
    #[error("the TLS handshake failed: {0}")]
    Failed(#[from] io::Error),
}

/// The handshake, over what `wrap` makes of the socket. A client that speaks HTTP instead of TLS is told so.
pub(super) async fn shake_hands<S>(
    config: Arc<ServerConfig>,
    stream: TcpStream,
    wrap: impl FnOnce(TcpStream) -> S,
) -> Result<TlsStream<S>, TlsHandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = async {
        let stream = expect_tls(stream).await?;
        Ok(TlsAcceptor::from(config).accept(wrap(stream)).await?)
    };
    tokio::time::timeout(TIMEOUT, handshake).await.unwrap_or(Err(TlsHandshakeError::Timeout))
}

/// Waits until the client speaks.
async fn expect_tls(stream: TcpStream) -> Result<TcpStream, TlsHandshakeError> {
    let mut first = [0];
    if stream.peek(&mut first).await? > 0 && first != [HANDSHAKE_RECORD] {
        let body = "This server speaks HTTPS only: its addresses begin with https://\n";
        reply_and_close(stream, &plain_reply("400 Bad Request", "", "text/plain", body)).await;
        return Err(TlsHandshakeError::PlainHttp);
    }
    Ok(stream)
}
