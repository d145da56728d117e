use crate::kernel::Secret;
use crate::settings::Settings;

/// How a store outside this process is. `None` where there is no such thing to say.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    /// What it is called.
    pub(super) name: &'static str,
    /// Where it is, if it is configured. Without credentials.
    pub(super) url: Option<String>,
    /// Whether it answers; none if it is not used.
    pub(super) connected: Option<bool>,
    /// Why it does not answer.
    pub(super) error: Option<String>,
    /// How long it took to answer.
    pub(super) latency_ms: Option<f64>,
}

/// Redis and Postgres. This version keeps all state in the embedded store, so neither is asked.
pub(super) async fn look_at(settings: &Settings) -> [Backend; 2] {
    let storage = &settings.storage;
    [unused("redis", storage.redis_url.as_ref()), unused("postgres", storage.postgres_dsn.as_ref())]
}

fn unused(name: &'static str, url: Option<&Secret>) -> Backend {
    Backend { name, url: url.map(shown), connected: None, error: None, latency_ms: None }
}

/// An address without user, password and parameters: the latter may be credentials too.
fn shown(url: &Secret) -> String {
    let Ok(parsed) = url::Url::parse(url.expose()) else { return String::new() };
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", parsed.scheme(), parsed.host_str().unwrap_or_default(), parsed.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_credentials() {
        let cases = [
            ("redis://:pw@cache:6379/0", "redis://cache:6379/0"),
            ("postgres://u:p%40w@db/x?password=y#z", "postgres://db/x"),
            ("rediss://user@[::1]:7", "rediss://[::1]:7"),
        ];
        for (url, expected) in cases {
            assert_eq!(shown(&Secret::new(url)), expected);
        }
    }
}
