use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that a packet to this one may end at, IPv4 ones within it included. All of them have to be harmless.
pub(super) fn embedded_addresses(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = address else { return vec![address] };
    if v6.is_unspecified() || v6.is_loopback() {
        return vec![address];
    }
    let v4 = |bytes: [u8; 4]| IpAddr::from(bytes);
    match v6.octets() {
        // IPv4-compatible, IPv4-mapped, IPv4-translated, NAT64.
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
        | [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, a, b, c, d]
        | [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]
        // 6to4.
        | [0x20, 0x02, a, b, c, d, ..] => vec![v4([a, b, c, d])],
        // Teredo: its server, and the client with all bits turned.
        [0x20, 0x01, 0, 0, s, e, r, v, _, _, _, _, a, b, c, d] => vec![v4([s, e, r, v]), v4([!a, !b, !c, !d])],
        // NAT64 of a local network, which chooses one of four places (RFC 6052); those it did not choose read as zeros.
        [0, 0x64, 0xff, 0x9b, 0, 1, a, b, _, c, d, e, f, g, h, i] => {
            let places = [[a, b, c, d], [b, c, d, e], [c, d, e, f], [f, g, h, i]];
            let chosen: Vec<_> = places.into_iter().filter(|[first, ..]| *first != 0).map(v4).collect();
            if chosen.is_empty() { vec![v4([f, g, h, i])] } else { chosen }
        }
        // ISATAP, below any prefix.
        [.., 0 | 2, 0, 0x5e, 0xfe, a, b, c, d] => vec![address, v4([a, b, c, d])],
        _ => vec![address],
    }
}

/// What may be done with an address, and what kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Never called, whatever the settings say.
    Never(&'static str),
    /// Called if the settings say so.
    Local(&'static str),
    /// Called.
    Public,
}

const UNSPECIFIED: Class = Class::Never("an unspecified address");
const LINK_LOCAL: Class = Class::Never("a link-local address");
const METADATA: Class = Class::Never("the address of a metadata service");
const MULTICAST: Class = Class::Never("a multicast address");
const DOCUMENTATION: Class = Class::Never("a documentation address");
const RESERVED: Class = Class::Never("a reserved address");
const LOOPBACK: Class = Class::Local("a loopback address");
const PRIVATE: Class = Class::Local("a private address");

/// The first range that holds an address decides.
const V4: &[(Ipv4Addr, u32, Class)] = &[
    (Ipv4Addr::new(100, 100, 100, 200), 32, METADATA), // Alibaba
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),   // Azure
    (Ipv4Addr::new(192, 0, 0, 192), 32, METADATA),     // Oracle
    (Ipv4Addr::new(0, 0, 0, 0), 8, UNSPECIFIED),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL), // AWS, ECS, Google, Azure and more
    (Ipv4Addr::new(192, 0, 2, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(198, 51, 100, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(203, 0, 113, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::BROADCAST, 32, Class::Never("the broadcast address")),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),
    (Ipv4Addr::new(10, 0, 0, 0), 8, PRIVATE),
    (Ipv4Addr::new(172, 16, 0, 0), 12, PRIVATE),
    (Ipv4Addr::new(192, 168, 0, 0), 16, PRIVATE),
    (Ipv4Addr::new(100, 64, 0, 0), 10, PRIVATE), // carriers
    (Ipv4Addr::new(192, 0, 0, 0), 24, PRIVATE),  // protocols
    (Ipv4Addr::new(198, 18, 0, 0), 15, PRIVATE), // benchmarks
    (Ipv4Addr::UNSPECIFIED, 0, Class::Public),
];

/// The same for IPv6, where nothing beyond 2000::/3 is public.
const V6: &[(Ipv6Addr, u32, Class)] = &[
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, METADATA), // AWS
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23), 128, METADATA),  // AWS, for pods
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, METADATA),  // Google
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, METADATA), // Oracle
    (Ipv6Addr::UNSPECIFIED, 128, UNSPECIFIED),
    (Ipv6Addr::LOCALHOST, 128, LOOPBACK),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, DOCUMENTATION),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, DOCUMENTATION),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, PRIVATE),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, PRIVATE), // site-local, deprecated
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, PRIVATE), // benchmarks
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, RESERVED), // protocols
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Class::Public),
];

/// The class of an address as it stands; see [`embedded_addresses`].
pub(super) fn class(address: IpAddr) -> Class {
    fn find<A>(ranges: &[(A, u32, Class)], shared_bits: impl Fn(&A) -> u32) -> Option<Class> {
        ranges.iter().find(|(net, prefix, _)| shared_bits(net) >= *prefix).map(|(_, _, class)| *class)
    }
    let found = match address {
        IpAddr::V4(v4) => find(V4, |net| (net.to_bits() ^ v4.to_bits()).leading_zeros()),
        IpAddr::V6(v6) => find(V6, |net| (net.to_bits() ^ v6.to_bits()).leading_zeros()),
    };
    found.unwrap_or(RESERVED)
}
