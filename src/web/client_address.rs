use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName};

use crate::settings::AllowedTarget;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whose connection a request came over. An extension of the request.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub IpAddr);

impl PeerAddress {
    /// Who made the request: whoever the nearest of `trusted` proxies has it from that is none of them. What others wrote before that
    /// counts for nothing.
    pub fn client(self, headers: &HeaderMap, trusted: &[AllowedTarget]) -> IpAddr {
        let is_proxy = |address: &IpAddr| trusted.iter().any(|proxy| proxy.contains(address.to_canonical()));
        let mut client = self.0;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev().map(|line| line.to_str().unwrap_or_default());
        for hop in lines.flat_map(|line| line.rsplit(',')) {
            if !is_proxy(&client) {
                break;
            }
            match read_address(hop.trim()) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }
}

/// An address, as proxies write it: some with a port, those of IPv6 some in brackets.
fn read_address(text: &str) -> Option<IpAddr> {
    let plain = text.trim_start_matches('[').split(']').next().unwrap_or(text);
    plain.parse().ok().or_else(|| plain.rsplit_once(':').and_then(|(address, _)| address.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<_> = trusted.iter().map(|proxy| proxy.parse().unwrap()).collect();
        PeerAddress(peer.parse().unwrap()).client(&headers, &trusted).to_string()
    }

    #[test]
    fn what_a_proxy_says_counts_only_if_it_is_trusted() {
        assert_eq!(client("9.9.9.9", &["1.2.3.4"], &[]), "9.9.9.9");
        assert_eq!(client("9.9.9.9", &["1.2.3.4"], &["10.0.0.0/8"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["1.2.3.4"], &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &[], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["1.2.3.4"], &["10.0.0.0/8"]), "1.2.3.4");
    }

    #[test]
    fn what_the_client_itself_wrote_is_behind_what_the_proxies_saw() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], &trusted), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4", "10.0.0.2"], &trusted), "1.2.3.4", "as two lines");
        assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &trusted), "10.0.0.3", "all are proxies");
        assert_eq!(client("10.0.0.1", &["1.2.3.4, unknown"], &trusted), "10.0.0.1", "what can't be read ends it");
        assert_eq!(client("10.0.0.1", &["1.2.3.4:5678"], &trusted), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:5678"], &trusted), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["2001:db8::1"], &trusted), "2001:db8::1");
    }
}
