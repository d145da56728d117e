use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::kernel::{Deadline, Error, ErrorKind};
use crate::outbound::{Call, HttpClient};
use crate::settings::ServerSettings;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the server that these settings describe whether it is ready.
pub async fn healthcheck(settings: &ServerSettings) -> Result<(), Error> {
    let address = reachable(settings.address);
    let url = format!("{}://{address}/readyz", settings.scheme());
    let failed = |cause: String| Error::new(ErrorKind::Upstream, format!("{url} {cause}"));
    let reply = HttpClient::to_own_server(address.ip())?.send(&Call::get(&url), Deadline::after(TIMEOUT)).await;
    match reply.map_err(|error| failed(error.to_string()))?.status() {
        200 => Ok(()),
        status => Err(failed(format!("answered {status}"))),
    }
}

/// A server that listens everywhere is reached through loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
