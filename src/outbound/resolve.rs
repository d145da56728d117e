use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{AddressGuard, CallError};

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
