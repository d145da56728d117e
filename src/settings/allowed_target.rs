use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::kernel::SecretUrl;

/// Longest host name, as DNS has it.
const MAX_HOST_NAME_BYTES: usize = 253;

/// One entry of `OUTBOUND_ALLOW`: what may be called although it is not public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedTarget {
    /// This host, in lower case.
    Name(String),
    /// Every host below this name, but not the name itself: `*.internal`.
    Subdomains(String),
    /// The addresses that begin with the first `prefix` bits of `network`; all bits for a single address.
    Range {
        /// Any address of the range.
        network: IpAddr,
        /// How many leading bits count.
        prefix: u32,
    },
}

impl AllowedTarget {
    /// Whether it names this host; `host` is in lower case and has no dot at its end.
    pub fn names(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => host == name,
            Self::Subdomains(name) => {
                host.strip_suffix(name.as_str()).and_then(|rest| rest.strip_suffix('.')).is_some_and(|s| !s.is_empty())
            }
            Self::Range { .. } => false,
        }
    }

    /// Whether it is of addresses, not of names.
    pub fn is_address(&self) -> bool {
        matches!(self, Self::Range { .. })
    }

    /// Whether the address is in its range. An IPv4 range holds IPv4 addresses only, also those written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        let Self::Range { network, prefix } = self else { return false };
        match (network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= *prefix
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()).leading_zeros() >= *prefix
            }
            _ => false,
        }
    }
}

impl FromStr for AllowedTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let parsed = match text.strip_prefix("*.") {
            Some(name) => host_name(name).map(Self::Subdomains),
            None => range(text).or_else(|| host_name(text).map(Self::Name)),
        };
        parsed.ok_or_else(|| {
            let shown: String = SecretUrl::new(text).to_string().chars().take(MAX_HOST_NAME_BYTES).collect();
            format!("{shown:?} should be a host name, an address or a range such as 10.0.0.0/8")
        })
    }
}

impl fmt::Display for AllowedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Subdomains(name) => write!(f, "*.{name}"),
            Self::Range { network, prefix } => write!(f, "{network}/{prefix}"),
        }
    }
}

/// `10.0.0.0/8`, `10.0.0.1`, `fd00::/8`, `[fd00::1]`. A range of IPv4 addresses written as IPv6 becomes one of IPv4.
fn range(text: &str) -> Option<AllowedTarget> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(address).parse().ok().filter(|it: &IpAddr| bare.is_none() || it.is_ipv6())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u32 = match prefix {
        // `parse` alone would take "+8" too.
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|n| *n <= bits)?,
        Some(_) => return None,
        None => bits,
    };
    let canonical = address.to_canonical();
    let (network, prefix) = match prefix.checked_sub(96) {
        Some(prefix) if address.is_ipv6() && canonical.is_ipv4() => (canonical, prefix),
        _ => (address, prefix),
    };
    Some(AllowedTarget::Range { network, prefix })
}

/// The name in lower case without its last dot. One that ends in a number is refused: it is an address badly written.
fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        matches!(label.len(), 1..=63)
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = |label: &str| {
        label.bytes().all(|b| b.is_ascii_digit())
            || label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    (name.len() <= MAX_HOST_NAME_BYTES && name.split('.').all(is_label) && !is_number(last)).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_entry_is_read() {
        let rows = [
            ("db", "db"),
            (" DB_1.Internal. ", "db_1.internal"),
            ("*.Internal", "*.internal"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.7", "10.0.0.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("[fd00::1]", "fd00::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ];
        for (text, expected) in rows {
            let target: AllowedTarget = text.parse().unwrap();
            assert_eq!(target.to_string(), expected, "{text}");
            assert_eq!(expected.parse(), Ok(target), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_and_quoted() {
        let refused = [
            "",
            "*",
            "*.",
            ".",
            "a..b",
            "-a",
            "a-",
            "*.*.a",
            "a b",
            "a/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "fd00::/129",
            "fd00::%eth0",
            "10.0.0",
            "10.0.0.256",
            "0x7f.1",
            "a.0x1f",
            "*.10.0.0.1",
            "[10.0.0.1]",
            "http://a",
            "a:80",
            "bücher.de",
        ];
        for text in refused {
            assert!(text.parse::<AllowedTarget>().is_err(), "{text}");
        }
        let error = "10.0.0.0/33".parse::<AllowedTarget>().unwrap_err().to_string();
        assert_eq!(error, "\"10.0.0.0/33\" should be a host name, an address or a range such as 10.0.0.0/8");
    }

    #[test]
    fn a_range_holds_its_own_family_only() {
        let holds =
            |range: &str, address: &str| range.parse::<AllowedTarget>().unwrap().contains(address.parse().unwrap());
        assert!(holds("10.1.2.3/8", "10.255.0.1") && holds("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.0") && !holds("10.0.0.0/31", "10.0.0.2") && !holds("db", "10.0.0.2"));
        assert!(holds("0.0.0.0/0", "255.1.1.1") && !holds("0.0.0.0/0", "fd00::1"));
        assert!(holds("::/0", "fd00::1") && !holds("::/0", "10.0.0.1") && !holds("::/0", "::ffff:10.0.0.1"));
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fc00::1"));
    }

    #[test]
    fn a_wildcard_names_what_is_below_only() {
        let below: AllowedTarget = "*.internal".parse().unwrap();
        assert!(below.names("a.internal") && below.names("a.b.internal"));
        assert!(!below.names("internal") && !below.names(".internal") && !below.names("ainternal"));
        let name: AllowedTarget = "db.internal".parse().unwrap();
        assert!(name.names("db.internal") && !name.names("x.db.internal") && !name.names("db.internal.evil"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-f0-9x:./*%+\\-\\[\\] é]{0,24}|\\PC{0,40}", address: [u8; 16]) {
            if let Ok(target) = text.parse::<AllowedTarget>() {
                target.contains(address.into());
                prop_assert_eq!(target.to_string().parse(), Ok(target));
            }
        }
    }
}
