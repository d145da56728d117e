use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::copy;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use super::client::CONNECT_TIMEOUT;
use super::resolve::resolve;
use super::{AddressGuard, CallError};
use crate::kernel::{BackgroundTask, count_panics, new_id};

/// Pause after a connection that could not be taken, as when there are no more descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A way to one upstream for drivers that connect by themselves: an abstract socket of Linux that only this process may use, and
/// that leads to addresses the guard has judged. Once this is dropped, nobody is taken across; who is on the way, stays.
#[derive(Debug)]
pub struct Bridge {
    socket: PathBuf,
    route: Arc<BridgeRoute>,
    _accepting: BackgroundTask,
}

#[derive(Debug)]
struct BridgeRoute {
    guard: AddressGuard,
    host: String,
    port: u16,
    /// Why the last connection did not come about; none if it did.
    failure: Mutex<Option<CallError>>,
}

impl Bridge {
    /// Leads to this host. `name` is what the driver takes a socket to be called, in a folder that is the bridge's own.
    pub fn open(guard: AddressGuard, host: &str, port: u16, name: &str) -> io::Result<Self> {
        let socket = PathBuf::from(format!("\0orchestrator-studio/{}/{name}", new_id()));
        let listener = Arc::new(UnixListener::bind(&socket)?);
        let route = Arc::new(BridgeRoute { guard, host: host.to_owned(), port, failure: Mutex::default() });
        let served = route.clone();
        let accepting = BackgroundTask::spawn("bridge", move || serve(listener.clone(), served.clone()));
        Ok(Self { socket, route, _accepting: accepting })
    }

    /// Where a driver is to connect to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Why the last connection did not come about.
    pub fn failure(&self) -> Option<CallError> {
        self.route.failure.lock().clone()
    }
}

async fn serve(listener: Arc<UnixListener>, route: Arc<BridgeRoute>) {
    loop {
        match listener.accept().await {
            Ok((near, _)) if is_own(&near) => drop(tokio::spawn(count_panics("bridge", relay(near, route.clone())))),
            Ok(_) => tracing::warn!("another process was refused at a socket of this server's own"),
            Err(error) => {
                tracing::warn!(%error, "a connection to a data source could not be taken");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn is_own(near: &UnixStream) -> bool {
    let process = near.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok());
    process == Some(std::process::id())
}

/// Both ends live as long as each other: a server sees that its client has left.
async fn relay(mut near: UnixStream, route: Arc<BridgeRoute>) {
    let far = route.connect().await;
    *route.failure.lock() = far.as_ref().err().cloned();
    let Ok(mut far) = far else { return };
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (near.split(), far.split());
    let ended = tokio::select! {
        ended = copy(&mut from_near, &mut to_far) => ended,
        ended = copy(&mut from_far, &mut to_near) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to a data source broke");
    }
}

impl BridgeRoute {
    /// Connects to the first of the allowed addresses that answers.
    async fn connect(&self) -> Result<TcpStream, CallError> {
        let mut failure = CallError::Refused;
        for address in resolve(&self.guard, &self.host, self.port).await? {
            failure = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                // What the driver sends is whole messages already.
                Ok(Ok(stream)) if stream.set_nodelay(true).is_ok() => return Ok(stream),
                Ok(Ok(_)) => CallError::Refused,
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => CallError::Refused,
                Ok(Err(error)) => CallError::Unreachable(error.to_string()),
                Err(_) => CallError::Unreachable("no connection within 5 seconds".to_owned()),
            };
        }
        Err(failure)
    }
}
