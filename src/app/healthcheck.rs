use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::kernel::{Deadline, Error, ErrorKind, JsonReader};
use crate::outbound::{AddressGuard, Call, HttpClient};
use crate::settings::{Environment, ServerSettings};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the server that these settings describe whether it is ready.
pub async fn healthcheck(settings: &ServerSettings) -> Result<(), Error> {
    let url = format!("http://{}/readyz", reachable(settings.address));
    let failed = |cause: String| Error::new(ErrorKind::Upstream, format!("{url} {cause}"));
    let reply = HttpClient::new(&Environment::default(), AddressGuard::new(false, &[]), JsonReader::embedded())?
        .send(&Call::get(&url), Deadline::after(TIMEOUT))
        .await;
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
