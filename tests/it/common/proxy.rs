//! A way to a server that can be held up, cut, and opened again.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProxyMode {
    /// Everything goes through.
    Open,
    /// Nothing goes through, and nobody is told; what was sent arrives when the way is open again.
    Held,
    /// Connections are closed, and new ones at once.
    Cut,
}

pub struct Proxy {
    address: SocketAddr,
    way: Arc<watch::Sender<ProxyMode>>,
}

impl Proxy {
    /// A way to `target`, open or not.
    pub async fn to(target: SocketAddr, way: ProxyMode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { address: listener.local_addr().unwrap(), way: Arc::new(watch::Sender::new(way)) };
        let way = proxy.way.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *way.borrow() == ProxyMode::Cut {
                    continue;
                }
                let Ok(server) = TcpStream::connect(target).await else { continue };
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, way.subscribe()));
                tokio::spawn(carry(from_server, to_client, way.subscribe()));
            }
        });
        proxy
    }

    /// The same URL, but through the proxy.
    pub fn url(&self, url: &str) -> String {
        let mut url: url::Url = url.parse().unwrap();
        url.set_ip_host(self.address.ip()).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    pub fn set(&self, way: ProxyMode) {
        self.way.send_replace(way);
    }
}

/// Where the server of a URL is.
pub fn address_of(url: &str) -> SocketAddr {
    let url: url::Url = url.parse().unwrap();
    url.socket_addrs(|| None).unwrap()[0]
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<ProxyMode>) {
    let mut buffer = vec![0; 16_384];
    loop {
        let read = tokio::select! {
            _ = way.wait_for(|way| *way == ProxyMode::Cut) => return,
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        let now = *way.wait_for(|way| *way != ProxyMode::Held).await.unwrap();
        if read == 0 || now == ProxyMode::Cut || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
