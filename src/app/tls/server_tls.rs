use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::handshake::{TlsHandshakeError, shake_hands};
use super::pem_files::{PemFiles, TlsFileError};
use crate::kernel::Clock;
use crate::settings::TlsSettings;

/// How often the files are looked at.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// What tells one state of the files from another.
type FilesState = Result<[u8; 32], TlsFileError>;

/// The certificate that new connections are made with. Another one in its files takes its place, with sessions of its own, so that
/// nobody resumes what the last one vouched for.
#[derive(Debug)]
pub(in crate::app) struct ServerTls {
    settings: TlsSettings,
    clock: Clock,
    current: RwLock<Arc<ServerConfig>>,
    /// The state of the files that was last made use of, or found of no use.
    tried: Mutex<FilesState>,
}

impl ServerTls {
    /// Reads the files.
    pub(in crate::app) async fn open(settings: &TlsSettings, clock: Clock) -> Result<Self, TlsFileError> {
        let files = PemFiles::read(settings).await?;
        let config = Arc::new(files.server_config(settings)?);
        let (current, tried) = (RwLock::new(config), Mutex::new(Ok(files.digest())));
        let opened = Self { settings: settings.clone(), clock, current, tried };
        opened.log(&files, "TLS is on");
        Ok(opened)
    }

    /// Looks for all that would keep a server from using the files; else tells what an operator may not expect of them.
    pub(in crate::app) async fn check(settings: &TlsSettings, clock: &Clock) -> Result<Vec<String>, TlsFileError> {
        let files = PemFiles::read(settings).await?;
        files.server_config(settings)?;
        Ok(files.warnings(settings, clock.now_ms()))
    }

    /// The handshake with a client, by the certificate of this moment, over what `wrap` makes of the socket.
    pub(in crate::app) async fn accept<S>(
        &self,
        stream: TcpStream,
        wrap: impl FnOnce(TcpStream) -> S,
    ) -> Result<TlsStream<S>, TlsHandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = Arc::clone(&self.current.read());
        shake_hands(config, stream, wrap).await
    }

    /// Goes on with what is new in the files, for as long as it is polled. They are read, since neither times nor links tell
    /// everything; what has only just changed is left alone until the next time, when all of it will have been written.
    pub(in crate::app) async fn follow_files(self: Arc<Self>) {
        let mut before = None;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let found = PemFiles::read(&self.settings).await;
            let state = found.as_ref().map(PemFiles::digest).map_err(Clone::clone);
            let is_settled = before.as_ref() == Some(&state);
            if is_settled && *self.tried.lock() != state {
                *self.tried.lock() = state.clone();
                self.replace(found);
            }
            before = Some(state);
        }
    }

    fn replace(&self, found: Result<PemFiles, TlsFileError>) {
        let usable = found.and_then(|files| Ok((files.server_config(&self.settings)?, files)));
        match usable {
            Ok((config, files)) => {
                *self.current.write() = Arc::new(config);
                self.log(&files, "new connections get the new TLS certificate");
            }
            Err(error) => {
                tracing::error!(%error, "the new TLS certificate can't be used; the server goes on with the last one")
            }
        }
    }

    fn log(&self, files: &PemFiles, what: &str) {
        tracing::info!(valid_until = files.valid_until(), "{what}");
        for warning in files.warnings(&self.settings, self.clock.now_ms()) {
            tracing::warn!("{warning}");
        }
    }
}
