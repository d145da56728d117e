use std::fmt;

use url::{Host, Url};

/// A server that a tool may call besides its own: `host` or `host:port`; `*.host` stands for every name below that one. Without
/// a port, the usual ones of http and https are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    host: Host<String>,
    subdomains: bool,
    port: Option<u16>,
}

impl HostPattern {
    /// The pattern that is written so, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (subdomains, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
            _ => (rest, None),
        };
        let is_plain = |c: char| c.is_alphanumeric() || "-._[]:".contains(c);
        let is_plain = host.chars().all(is_plain) && !host.starts_with(['-', '.']);
        let host = Host::parse(host).ok().filter(|_| is_plain)?;
        // No names lie below an address.
        (!subdomains || matches!(host, Host::Domain(_))).then_some(Self { host, subdomains, port })
    }

    /// Whether this URL leads there.
    pub fn matches(&self, url: &Url) -> bool {
        let is_host = match (&self.host, url.host()) {
            (Host::Domain(named), Some(Host::Domain(given))) if self.subdomains => {
                given.strip_suffix(named.as_str()).is_some_and(|start| start.len() > 1 && start.ends_with('.'))
            }
            (named, Some(given)) => *named == given.to_owned(),
            (_, None) => false,
        };
        let is_usual = url.port().is_none();
        is_host && self.port.map_or(is_usual, |port| url.port_or_known_default() == Some(port))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subdomains = if self.subdomains { "*." } else { "" };
        write!(f, "{subdomains}{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_its_host_and_port_and_nothing_that_looks_alike() {
        let matching = [
            ("api.example.com", "https://api.example.com/x"),
            ("API.example.com", "http://api.EXAMPLE.com:80/"),
            ("example.com:8443", "https://example.com:8443/"),
            ("example.com:443", "https://example.com/"),
            ("*.example.com", "https://a.b.example.com/"),
            ("127.0.0.1:9000", "http://127.0.0.1:9000/"),
            ("127.0.0.1:9000", "http://2130706433:9000/"),
            ("[::1]:9000", "http://[::1]:9000/"),
            ("[::1]", "http://[::1]/"),
        ];
        for (pattern, url) in matching {
            assert!(HostPattern::parse(pattern).unwrap().matches(&Url::parse(url).unwrap()), "{pattern} {url}");
        }
        let others = [
            ("example.com", "https://example.com:8443/"),
            ("example.com", "https://a.example.com/"),
            ("example.com", "https://example.com.evil.test/"),
            ("*.example.com", "https://example.com/"),
            ("*.example.com", "https://.example.com/"),
            ("*.example.com", "https://evilexample.com/"),
            ("*.example.com", "https://a.example.com:8443/"),
            ("example.com:443", "http://example.com/"),
            ("127.0.0.1:9000", "http://127.0.0.1:9001/"),
        ];
        for (pattern, url) in others {
            let Ok(url) = Url::parse(url) else { continue };
            assert!(!HostPattern::parse(pattern).unwrap().matches(&url), "{pattern} {url}");
        }
        let wrong = [
            "",
            "http://x y",
            "http://x",
            "a b",
            "x/",
            "x:0",
            "x:99999",
            "x:port",
            "*",
            "*.",
            "*.127.0.0.1",
            "u@x",
            "a*b",
            "-1",
            "..",
        ];
        for text in wrong {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
        assert_eq!(HostPattern::parse("*.Example.com:1").unwrap().to_string(), "*.example.com:1");
    }
}
