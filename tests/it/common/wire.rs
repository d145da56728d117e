//! Connections down to the bytes, with and without TLS, from addresses of this machine that stand for clients.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longest wait for something that takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes that a client takes without reading them.
const RECEIVE_BUFFER: u32 = 16_384;

/// A server to connect to.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub tls: Option<TlsConnector>,
}

/// Either kind of connection.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

impl Target {
    /// Where a URL such as `http://127.0.0.1:8000` leads, without TLS.
    pub fn of(url: &str) -> Self {
        let address = url.split_once("://").unwrap().1.trim_end_matches('/').parse().unwrap();
        Self { address, tls: None }
    }

    /// The same with TLS, for servers of these authorities.
    pub fn with_tls(self, authorities: RootCertStore) -> Self {
        self.with_config(client_config(authorities, rustls::DEFAULT_VERSIONS))
    }

    pub fn with_config(self, config: ClientConfig) -> Self {
        Self { tls: Some(TlsConnector::from(Arc::new(config))), ..self }
    }

    /// A connection without TLS.
    pub async fn tcp(&self, from: &str) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        // Thousands of connections have left their ports to be waited for.
        socket.set_reuseaddr(true)?;
        // What waits here does not wait in the server.
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.bind(format!("{from}:0").parse().unwrap())?;
        socket.connect(self.address).await
    }

    pub async fn shake_hands(&self, from: &str) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::from(self.address.ip());
        self.tls.as_ref().unwrap().connect(name, self.tcp(from).await?).await
    }

    pub async fn connect(&self, from: &str) -> io::Result<Box<dyn Wire>> {
        Ok(match self.tls {
            Some(_) => Box::new(self.shake_hands(from).await?),
            None => Box::new(self.tcp(from).await?),
        })
    }

    /// The whole reply to a request on a connection of its own.
    pub async fn ask(&self, from: &str, path: &str) -> io::Result<String> {
        let exchange = async {
            let mut wire = self.connect(from).await?;
            send(&mut wire, get(path).as_bytes()).await?;
            Ok(rest(&mut wire).await)
        };
        tokio::time::timeout(TIMEOUT, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// A client of these authorities that speaks these versions, and tells nobody what else it speaks.
pub fn client_config(
    authorities: RootCertStore,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let provider = rustls::crypto::ring::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into()).with_protocol_versions(versions).unwrap();
    builder.with_root_certificates(authorities).with_no_client_auth()
}

/// Sends all of it: what TLS has encrypted may still be waiting when a write is done.
pub async fn send(wire: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    wire.write_all(bytes).await?;
    wire.flush().await
}

/// A request after which the connection is closed.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

/// What comes until the connection ends, even if it is cut.
pub async fn rest(wire: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    drop(wire.read_to_end(&mut bytes).await);
    String::from_utf8_lossy(&bytes).into_owned()
}
