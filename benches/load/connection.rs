//! A kept connection that speaks just enough of HTTP/1.1: the machine's processors are for the servers, not for their client.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

pub struct Connection {
    stream: TcpStream,
    address: String,
    received: Vec<u8>,
    rest: Rest,
}

/// What is still to come of the body.
enum Rest {
    Bytes(usize),
    Chunks,
    Nothing,
}

/// A complete reply.
pub struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address: address.to_owned(), received: Vec::new(), rest: Rest::Nothing })
    }

    /// Sends a request and reads its whole reply.
    pub async fn send(&mut self, method: &str, path: &str, body: &str) -> io::Result<Reply> {
        let (status, mut whole) = (self.begin(method, path, body).await?, Vec::new());
        while let Some(piece) = self.piece().await? {
            whole.extend(piece);
        }
        Ok(Reply { status, body: whole })
    }

    /// Sends a request; the status of the reply, whose body is to be read with [`Connection::piece`] to its end.
    pub async fn begin(&mut self, method: &str, path: &str, body: &str) -> io::Result<u16> {
        let host = &self.address;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let head = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        self.rest = match (field("content-length:"), field("transfer-encoding:")) {
            (Some(length), _) => Rest::Bytes(length.parse().map_err(io::Error::other)?),
            (None, Some("chunked")) => Rest::Chunks,
            (None, _) => return Err(io::Error::other("a reply without a length")),
        };
        let status = head.split(' ').nth(1).ok_or_else(|| io::Error::other("a reply without a status"))?;
        status.parse().map_err(io::Error::other)
    }

    /// The next part of the body, as it came; none at its end.
    pub async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.rest {
            Rest::Nothing | Rest::Bytes(0) => Ok(None),
            Rest::Bytes(left) => {
                if self.received.is_empty() {
                    self.fill().await?;
                }
                let piece: Vec<u8> = self.received.drain(..left.min(self.received.len())).collect();
                self.rest = Rest::Bytes(left - piece.len());
                Ok(Some(piece))
            }
            Rest::Chunks => self.chunk().await,
        }
    }

    async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.until(b"\r\n").await?;
        let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).map_err(io::Error::other)?;
        while self.received.len() < size + 2 {
            self.fill().await?;
        }
        let mut chunk: Vec<u8> = self.received.drain(..size + 2).collect();
        chunk.truncate(size);
        if size == 0 {
            self.rest = Rest::Nothing;
            return Ok(None);
        }
        Ok(Some(chunk))
    }

    /// What comes up to the end of `mark`.
    async fn until(&mut self, mark: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.received.windows(mark.len()).position(|bytes| bytes == mark) {
                return Ok(self.received.drain(..at + mark.len()).collect());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        self.received.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
