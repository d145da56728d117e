use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::AllowedTarget;
use crate::kernel::SecretUrl;

/// One entry of `ALLOWED_HOSTS`: a name that clients may call the server by. Without a port it holds for every port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    target: AllowedTarget,
    port: Option<u16>,
}

impl AllowedHost {
    /// Whether it names this host, which is in lower case and has no dot at its end.
    pub fn names(&self, name: &str, port: Option<u16>) -> bool {
        self.target.names(name) && self.accepts_port(port)
    }

    /// Whether it holds this address.
    pub fn contains(&self, address: IpAddr, port: Option<u16>) -> bool {
        self.target.contains(address) && self.accepts_port(port)
    }

    /// A client leaves out the port that its scheme implies, and behind a proxy that may be the one of TLS.
    fn accepts_port(&self, port: Option<u16>) -> bool {
        match (self.port, port) {
            (Some(wanted), Some(port)) => wanted == port,
            (Some(wanted), None) => matches!(wanted, 80 | 443),
            (None, _) => true,
        }
    }
}

impl FromStr for AllowedHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || {
            let shown: String = SecretUrl::new(text).to_string().chars().take(300).collect();
            format!("{shown:?} should be a host such as studio.example, *.example.org, 10.0.0.7 or studio.example:8000")
        };
        let (target, port) = match text.rsplit_once(':') {
            // The colons of an address without brackets are its own.
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
                (host, Some(port.parse().ok().filter(|_| is_number).ok_or_else(invalid)?))
            }
            _ => (text, None),
        };
        Ok(Self { target: target.parse().map_err(|_: String| invalid())?, port })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> AllowedHost {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_holds_for_every_port_unless_it_has_one() {
        assert!(host("Studio.Example.").names("studio.example", Some(8000)) && host("a").names("a", None));
        assert!(host("a:8000").names("a", Some(8000)) && !host("a:8000").names("a", Some(8001)));
        assert!(!host("a:8000").names("a", None) && host("a:443").names("a", None));
        assert!(host("*.a.org").names("b.a.org", None) && !host("*.a.org").names("a.org", None));
        assert!(!host("a").names("a.evil.example", None) && !host("a").names("b.a", None));
    }

    #[test]
    fn an_address_may_be_one_of_a_range() {
        let (four, six) = ("10.0.0.7".parse().unwrap(), "fd00::1".parse().unwrap());
        assert!(host("10.0.0.0/8").contains(four, None) && !host("10.0.0.0/8").contains(six, None));
        assert!(host("fd00::1").contains(six, Some(1)) && host("[fd00::1]:80").contains(six, None));
        assert!(host("10.0.0.7:80").contains(four, Some(80)) && !host("10.0.0.7:80").contains(four, Some(81)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "*", "a:", "a:b", "a:+1", "a:65536", ":80", "http://a", "a/b", "a b", "a:80:80", "[fd00::1]:"]
        {
            assert!(text.parse::<AllowedHost>().is_err(), "{text}");
        }
    }
}
