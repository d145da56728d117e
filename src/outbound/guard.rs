use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use url::{Host, Url};

use super::NameResolver;
use super::address::{Class, class, embedded_addresses};
use crate::settings::{AllowedTarget, OutboundPolicy, OutboundSettings};

/// Longest host name, as DNS has it.
const MAX_HOST_CHARS: usize = 253;

/// Names of services that hand out a machine's credentials, whose addresses are not the same everywhere.
const METADATA_NAMES: &[&str] =
    &["metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"];

/// Which addresses may be called. A URL is judged twice: by [`Self::check_url`], since no resolver sees literal addresses, and
/// by [`Self::allowed`], whose addresses alone may be connected to. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AddressGuard {
    public_only: bool,
    allow: Arc<[AllowedTarget]>,
    pub(super) names: NameResolver,
}

/// Why an address or a host may not be called: a whole sentence that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressDenied {
    /// Whatever the settings say.
    #[error("{what} is {kind}, which is never called")]
    Never { what: String, kind: &'static str },
    /// By the settings.
    #[error("{what} is {kind}, which OUTBOUND_POLICY=public_only does not allow")]
    Policy { what: String, kind: &'static str },
    /// It is no host.
    #[error("'{0}' is not a host that can be called")]
    NotAHost(String),
    /// It has no address.
    #[error("{0} has no address")]
    NoAddress(String),
}

impl AddressGuard {
    /// A guard that never lets a link-local, metadata, multicast or reserved address be called. With `public_only`,
    /// loopback and private ranges are refused too unless `allow` names them.
    pub fn new(public_only: bool, allow: &[AllowedTarget]) -> Self {
        Self { public_only, allow: allow.into(), names: NameResolver::default() }
    }

    /// The guard that these settings want.
    pub fn of(settings: &OutboundSettings) -> Self {
        Self::new(settings.policy == OutboundPolicy::PublicOnly, &settings.allow)
    }

    /// With the addresses of names from there.
    pub fn with_names(self, names: NameResolver) -> Self {
        Self { names, ..self }
    }

    /// Checks the host of a URL as far as it can be without asking DNS: literal addresses in every spelling, and names
    /// that are never allowed. To be called for every URL that is followed, that of a redirect included.
    pub fn check_url(&self, url: &Url) -> Result<(), AddressDenied> {
        // Through the text, since `url` normalises the hosts of http and https only.
        self.check_host(url.host_str().unwrap_or_default())
    }

    /// The same for a host as written in a connection string: `db`, `127.0.0.1`, `[::1]`, `::1`, `0x7f.1`.
    pub fn check_host(&self, host: &str) -> Result<(), AddressDenied> {
        match parse(host)? {
            Host::Domain(name) => self.check_name(&name),
            Host::Ipv4(address) => self.check_class(None, address.into()),
            Host::Ipv6(address) => self.check_class(None, address.into()),
        }
    }

    /// Checks one address that `host` has resolved to.
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), AddressDenied> {
        match parse(host)? {
            Host::Domain(name) if is_metadata(&name) => self.check_name(&name),
            Host::Domain(name) => self.check_class(Some(&name), address),
            Host::Ipv4(_) | Host::Ipv6(_) => self.check_class(None, address),
        }
    }

    /// Those of the addresses of `host` that may be connected to, in their order; at least one. Others are dropped.
    pub fn allowed(
        &self,
        host: &str,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, AddressDenied> {
        let mut denied = None;
        let mut allowed = Vec::new();
        for address in addresses {
            match self.check_address(host, address.ip()) {
                Ok(()) => allowed.push(address),
                Err(error) => denied = denied.or(Some(error)),
            }
        }
        if allowed.is_empty() {
            Err(denied.unwrap_or_else(|| AddressDenied::NoAddress(shown(host))))
        } else {
            Ok(allowed)
        }
    }

    fn check_name(&self, name: &str) -> Result<(), AddressDenied> {
        if is_metadata(name) {
            return Err(AddressDenied::Never { what: shown(name), kind: "the name of a metadata service" });
        }
        let is_loopback = name == "localhost" || name.ends_with(".localhost");
        // An allowed loopback address is meant to be reached by its name too; which one that is, the resolver tells.
        let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        if is_loopback && self.public_only && !loopback.into_iter().any(|address| self.names(Some(name), address)) {
            return Err(AddressDenied::Policy { what: shown(name), kind: "a loopback name" });
        }
        Ok(())
    }

    fn check_class(&self, name: Option<&str>, address: IpAddr) -> Result<(), AddressDenied> {
        let what = || name.map_or_else(|| address.to_string(), |name| format!("{address} ({name})"));
        for meant in embedded_addresses(address) {
            match class(meant) {
                Class::Never(kind) => return Err(AddressDenied::Never { what: what(), kind }),
                Class::Local(kind) if self.public_only && !self.names(name, meant) => {
                    return Err(AddressDenied::Policy { what: what(), kind });
                }
                Class::Local(_) | Class::Public => {}
            }
        }
        Ok(())
    }

    fn names(&self, name: Option<&str>, address: IpAddr) -> bool {
        self.allow.iter().any(|target| target.contains(address) || name.is_some_and(|name| target.names(name)))
    }
}

/// What a caller sent, which may be anything: cut, and its control characters escaped.
fn shown(host: &str) -> String {
    host.chars().take(MAX_HOST_CHARS).flat_map(char::escape_debug).collect()
}

/// Reads a host as browsers and the C library do: `0x7f.1`, `2130706433` and full-width digits are addresses. A name comes
/// back in lower case and without dots at its end. An IPv6 zone is refused: only link-local addresses have one.
fn parse(host: &str) -> Result<Host<String>, AddressDenied> {
    let invalid = || AddressDenied::NotAHost(shown(host));
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let parsed = match bare.or_else(|| host.contains(':').then_some(host)) {
        Some(bare) => Host::parse(&format!("[{bare}]")),
        None => Host::parse(host),
    };
    match parsed.map_err(|_| invalid())? {
        Host::Domain(name) => match name.trim_end_matches('.') {
            name if name.is_empty() || name.len() > MAX_HOST_CHARS => Err(invalid()),
            name => Ok(Host::Domain(name.to_owned())),
        },
        address => Ok(address),
    }
}

fn is_metadata(name: &str) -> bool {
    METADATA_NAMES.contains(&name)
}

#[cfg(test)]
mod tests;
