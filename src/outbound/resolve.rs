use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{AddressGuard, CallError};

/// Where the addresses of names are found. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct NameResolver(Arc<HashMap<String, Vec<IpAddr>>>);

impl NameResolver {
    /// What this machine knows: its files, and DNS.
    pub fn system() -> Self {
        Self::default()
    }

    /// These, and for all others what the machine knows.
    pub fn with(known: impl IntoIterator<Item = (String, Vec<IpAddr>)>) -> Self {
        Self(Arc::new(known.into_iter().collect()))
    }

    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self.0.get(host) {
            Some(known) => Ok(known.iter().map(|address| SocketAddr::new(*address, port)).collect()),
            None => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
        }
    }
}

/// The addresses of a host that may be connected to, for connections that don't go through [`super::HttpClient`].
pub(super) async fn resolve(guard: &AddressGuard, host: &str, port: u16) -> Result<Vec<SocketAddr>, CallError> {
    guard.check_host(host)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = guard.names.look_up(bare, port).await;
    let found = found.map_err(|error| CallError::Unreachable(format!("{host} could not be found: {error}")))?;
    Ok(guard.allowed(host, found)?)
}

/// Gives the HTTP client only what the guard lets through, so that what was checked is what is connected to.
pub(super) struct GuardedResolver(pub(super) AddressGuard);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.0.clone();
        Box::pin(async move {
            let found = guard.names.look_up(name.as_str(), 0).await?;
            let allowed: Addrs = Box::new(guard.allowed(name.as_str(), found)?.into_iter());
            Ok(allowed)
        })
    }
}
