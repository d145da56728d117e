//! TLS of the server itself: the files that it shows who it is with, the handshake, and the next certificate while it runs.

mod handshake;
mod pem_files;
mod server_tls;

pub(super) use handshake::TlsHandshakeError;
pub(super) use server_tls::ServerTls;
