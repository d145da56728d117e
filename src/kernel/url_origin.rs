use std::net::IpAddr;

use url::Url;

use super::MASK;
use super::mask::is_credential_name;

/// Where a URL leads and how, as far as that decides on who gets a credential that goes there. Paths below an HTTP service
/// don't count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UrlOrigin {
    place: UrlPlace,
    protection: Protection,
}

#[derive(Debug, PartialEq, Eq)]
enum UrlPlace {
    /// A server.
    Server {
        /// What it speaks, whatever the scheme is called and with or without TLS.
        protocol: String,
        user: String,
        host: String,
        /// `None` for the protocol's usual one.
        port: Option<u16>,
        database: String,
        /// All parameters but harmless ones; most drivers have some that decide on the transport.
        parameters: Vec<(String, String)>,
    },
    /// A text in another form, with its secrets masked.
    Unknown(String),
}

/// How well a connection is protected, in the words of PostgreSQL's `sslmode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protection {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

use Protection::{Allow, Disable, Prefer, Require, VerifyCa, VerifyFull};

/// Scheme, protocol, usual port, and the protection unless a parameter says otherwise.
const SCHEMES: [(&str, &str, u16, Protection); 20] = [
    ("http", "http", 80, Disable),
    ("https", "http", 443, VerifyFull),
    ("ws", "ws", 80, Disable),
    ("wss", "ws", 443, VerifyFull),
    ("postgres", "postgres", 5432, Prefer),
    ("postgresql", "postgres", 5432, Prefer),
    ("mysql", "mysql", 3306, Prefer),
    ("mariadb", "mysql", 3306, Prefer),
    ("redis", "redis", 6379, Disable),
    ("rediss", "redis", 6379, VerifyFull),
    ("valkey", "redis", 6379, Disable),
    ("valkeys", "redis", 6379, VerifyFull),
    ("amqp", "amqp", 5672, Disable),
    ("amqps", "amqp", 5671, VerifyFull),
    ("mqtt", "mqtt", 1883, Disable),
    ("mqtts", "mqtt", 8883, VerifyFull),
    ("ldap", "ldap", 389, Disable),
    ("ldaps", "ldap", 636, VerifyFull),
    ("ftp", "ftp", 21, Disable),
    ("ftps", "ftp", 990, VerifyFull),
];

/// Parameters without a part in where a credential goes.
const IGNORED_PARAMETERS: [&str; 5] = ["application_name", "charset", "collation", "timezone", "connect_timeout"];

impl UrlOrigin {
    /// Takes a URL apart whose password is masked. One that names no server counts as a whole, as it is `shown`.
    pub(super) fn new(text: &str, shown: impl Fn() -> String) -> Self {
        let unknown = || Self { place: UrlPlace::Unknown(shown()), protection: Disable };
        Self::parse(text).unwrap_or_else(unknown)
    }

    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?.to_ascii_lowercase();
        let known = SCHEMES.into_iter().find(|(scheme, ..)| *scheme == url.scheme());
        let (_, protocol, usual, mut protection) = known.unwrap_or((url.scheme(), url.scheme(), 0, Disable));
        let mut parameters = Vec::new();
        for (name, value) in url.query_pairs().filter(|(name, _)| !IGNORED_PARAMETERS.contains(&name.as_ref())) {
            match mode(&name, &value).filter(|_| matches!(protocol, "postgres" | "mysql")) {
                // Drivers take the last one.
                Some(mode) => protection = mode,
                None if is_credential_name(&name) => parameters.push((name.into_owned(), MASK.to_owned())),
                None => parameters.push((name.into_owned(), value.into_owned())),
            }
        }
        let has_database = !matches!(protocol, "http" | "ws");
        let place = UrlPlace::Server {
            protocol: protocol.to_owned(),
            user: url.username().to_owned(),
            host,
            port: url.port().filter(|port| *port != usual),
            database: if has_database { url.path().trim_matches('/').to_owned() } else { String::new() },
            parameters,
        };
        Some(Self { place, protection })
    }

    /// Whether its server is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let UrlPlace::Server { host, .. } = &self.place else { return false };
        let name = host.trim_end_matches('.');
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// Whether it is the same server, whatever is spoken there, and on behalf of whom.
    pub(super) fn is_same_server(&self, other: &Self) -> bool {
        match (&self.place, &other.place) {
            (UrlPlace::Server { host, port, .. }, UrlPlace::Server { host: other_host, port: other_port, .. }) => {
                (host, port) == (other_host, other_port)
            }
            (place, other) => place == other,
        }
    }

    /// Whether a credential that was stored for `stored` may go here: the same place, no less protected on the way.
    pub(super) fn accepts_credential_of(&self, stored: &Self) -> bool {
        self.place == stored.place && self.protection >= stored.protection
    }
}

/// What `sslmode`, and MySQL's `ssl-mode`, ask for.
fn mode(name: &str, value: &str) -> Option<Protection> {
    if !matches!(name, "sslmode" | "ssl-mode") {
        return None;
    }
    match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Some(Disable),
        "allow" => Some(Allow),
        "prefer" | "preferred" => Some(Prefer),
        "require" | "required" => Some(Require),
        "verify-ca" => Some(VerifyCa),
        "verify-full" | "verify-identity" => Some(VerifyFull),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps(stored: &str, given: &str) -> bool {
        let origin = |text: &str| UrlOrigin::new(text, || text.to_owned());
        origin(given).accepts_credential_of(&origin(stored))
    }

    #[test]
    fn a_credential_stays_with_its_server_account_and_database() {
        let postgres = "postgres://reader:********@db/crm?sslmode=require";
        for same in [
            "postgres://reader:********@DB:5432/crm?sslmode=require",
            "postgresql://reader:********@db/crm?application_name=x&sslmode=require",
        ] {
            assert!(keeps(postgres, same), "{same}");
        }
        for other in [
            "postgres://reader:********@evil/crm?sslmode=require",
            "postgres://reader:********@db:5433/crm?sslmode=require",
            "postgres://owner:********@db/crm?sslmode=require",
            "postgres://reader:********@db/hr?sslmode=require",
            "mysql://reader:********@db/crm?sslmode=require",
            "http://reader:********@db/crm?sslmode=require",
            "postgres://reader:********@db/crm?sslmode=require&options=-c%20x%3Dy",
            "postgres://reader:********@db/crm?sslmode=require&target_session_attrs=any",
            "postgres://reader:********@db/crm?sslmode=require&hostaddr=10.0.0.1",
            "postgres://reader:********@a,b/crm?sslmode=require",
            "nonsense",
        ] {
            assert!(!keeps(postgres, other), "{other}");
        }
        assert!(keeps("http://h/a", "http://h:80/b") && keeps("nonsense", "nonsense"));
        assert!(keeps("http://h/?api_key=a", "http://h/?api_key=b"), "the secret itself decides on nothing");
        assert!(!keeps("http://h/?api_key=a", "http://h/?token=a"));
    }

    #[test]
    fn protection_may_grow_but_not_shrink() {
        let modes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
        for (nth, stored) in modes.iter().enumerate() {
            for (other, given) in modes.iter().enumerate() {
                let url = |mode: &str| format!("postgres://u:********@h/x?sslmode={mode}");
                assert_eq!(keeps(&url(stored), &url(given)), nth <= other, "{stored} -> {given}");
            }
        }
        let rows = [
            ("postgres://u@h/x", "postgres://u@h/x?sslmode=prefer", true),
            ("postgres://u@h/x?sslmode=require", "postgres://u@h/x", false),
            ("postgres://u@h/x?sslmode=require", "postgres://u@h/x?sslmode=require&sslmode=disable", false),
            ("postgres://u@h/x?sslmode=require", "postgres://u@h/x?sslmode=nonsense", false),
            ("mysql://u@h/x?ssl-mode=VERIFY_IDENTITY", "mysql://u@h/x?ssl-mode=REQUIRED", false),
            ("mysql://u@h/x?ssl-mode=PREFERRED", "mysql://u@h/x?ssl-mode=verify_ca", true),
            ("https://h/x", "http://h/x", false),
            ("https://h/x", "http://h/x?sslmode=verify-full", false),
            ("http://h/x", "https://h/x", true),
            ("http://h:8080", "https://h:8080", true),
            ("http://h:8080", "https://h", false),
            ("rediss://:********@h/0", "redis://:********@h/0", false),
            ("redis://:********@h/0", "rediss://:********@h/0", true),
            ("mongodb://u@h/x?tls=true", "mongodb://u@h/x?tls=false", false),
            ("mysql://u@h/x", "mysql://u@h/x?allowPublicKeyRetrieval=true", false),
        ];
        for (stored, given, kept) in rows {
            assert_eq!(keeps(stored, given), kept, "{stored} -> {given}");
        }
    }
}
