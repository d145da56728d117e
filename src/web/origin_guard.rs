use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use url::{Host, Url};

use super::ApiError;
use crate::kernel::{Error, ErrorKind};
use crate::settings::ServerSettings;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Which requests come in at all: those that call the server by one of its names, and are not made by a browser for a page of
/// another origin: such a page gets no reply to see, but what it asks for would be done.
#[derive(Clone, Debug)]
pub(super) struct OriginGuard(pub(super) Arc<ServerSettings>);

impl OriginGuard {
    /// Why a request is refused, before its body is read; `None` if it may come in.
    pub(super) fn refusal(&self, request: &Request) -> Option<ApiError> {
        if is_of_local_program(request) {
            return None;
        }
        let Some((authority, host)) = authority(request) else {
            let text = "Host: there should be exactly one, a name or an address, with or without a port";
            return Some(Error::new(ErrorKind::BadRequest, text).into());
        };
        if !self.answers_to(&authority, host) {
            let text = "Host: this server does not go by that name; ALLOWED_HOSTS can name it";
            return Some(ApiError::http(StatusCode::MISDIRECTED_REQUEST, "misdirected_request", text));
        }
        if is_guarded(request) && !self.admits_page(request.headers(), &authority) {
            let text = "Pages of other origins may not ask for this; CORS_ORIGINS can name those that may";
            return Some(ApiError::http(StatusCode::FORBIDDEN, "cross_origin", text));
        }
        None
    }

    fn answers_to(&self, authority: &Authority, host: Host<String>) -> bool {
        let (port, own) = (authority.port_u16(), self.0.address.ip());
        let (any_host, hosts) = (self.0.accepts_any_host(), &self.0.allowed_hosts);
        let address = match host {
            Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                return any_host || name == "localhost" || hosts.iter().any(|host| host.names(name, port));
            }
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address).to_canonical(),
        };
        let is_own = address == own && !address.is_unspecified();
        any_host || is_own || address.is_loopback() || hosts.iter().any(|host| host.contains(address, port))
    }

    /// Whether the page that asks, if it is one, is of the server's own origin or of one that may call. Behind a proxy the
    /// server can't know the scheme that its clients use, but the browser does, and says if the two are not the same origin.
    fn admits_page(&self, headers: &HeaderMap, own: &Authority) -> bool {
        let is_allowed = |origin: &str| self.0.cors_origins.iter().any(|allowed| allowed == origin);
        if is_allowed("*") {
            return true;
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        if let Some(origin) = origins.next() {
            let Some(origin) = origin.to_str().ok().filter(|_| origins.next().is_none()) else { return false };
            if is_allowed(origin) {
                return true;
            }
            if !self.is_own_origin(own, origin) {
                return false;
            }
        }
        let is_own_site = |site: &[u8]| site == b"same-origin" || site == b"none";
        headers.get_all(FETCH_SITE).iter().all(|site| is_own_site(site.as_bytes()))
    }

    /// A server that speaks TLS itself has no page without it; before any other there may be a proxy that does.
    fn is_own_origin(&self, own: &Authority, origin: &str) -> bool {
        let schemes: &[_] = if self.0.tls.is_some() { &["https"] } else { &["http", "https"] };
        schemes.iter().any(|scheme| {
            let url = Url::parse(&format!("{scheme}://{own}"));
            url.is_ok_and(|url| url.origin().ascii_serialization() == origin)
        })
    }
}

/// Whether the request is the commonest: no browser's, to one of the names that this machine always has. Nothing else of it counts.
fn is_of_local_program(request: &Request) -> bool {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none()).map(|host| host.as_bytes());
    request.uri().authority().is_none()
        && host.is_some_and(is_local)
        && !headers.contains_key(header::ORIGIN)
        && !headers.contains_key(FETCH_SITE)
}

/// Whether a host is written `localhost:8000` or `127.0.0.1:8000`, or like that without a port.
fn is_local(host: &[u8]) -> bool {
    let port = [b"localhost".as_slice(), b"127.0.0.1", b"[::1]"].iter().find_map(|name| host.strip_prefix(*name));
    port.is_some_and(|port| match port.strip_prefix(b":") {
        Some(digits) => is_port(digits),
        None => port.is_empty(),
    })
}

fn is_port(digits: &[u8]) -> bool {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    text.is_some_and(|text| text.parse::<u16>().is_ok())
}

/// What the client takes the server for: its only `Host`, readable, or instead the host of the target (RFC 9112, 3.2.2). With its
/// host, read.
fn authority(request: &Request) -> Option<(Authority, Host<String>)> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    let host = Authority::try_from(host.as_bytes()).ok()?;
    let of_header = readable_host(&host)?;
    match request.uri().authority() {
        Some(target) => Some((target.clone(), readable_host(target)?)),
        None => Some((host, of_header)),
    }
}

fn readable_host(authority: &Authority) -> Option<Host<String>> {
    let rest = authority.as_str().strip_prefix(authority.host());
    let is_port = |rest: &str| rest.is_empty() || rest == ":" || authority.port_u16().is_some();
    rest.filter(|rest| is_port(rest)).and_then(|_| Host::parse(authority.host()).ok())
}

/// Whether the page would have to be of an allowed origin: for all that may change something, and for what a page loads into
/// itself (an image, a frame, what a script fetches), since reading has effects upstream. Links are followed.
fn is_guarded(request: &Request) -> bool {
    let headers = request.headers();
    match *request.method() {
        Method::OPTIONS => false,
        Method::GET | Method::HEAD => headers
            .get(FETCH_MODE)
            .is_some_and(|mode| mode != "navigate" || headers.get(FETCH_DEST).is_some_and(|dest| dest != "document")),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::settings::{Environment, load};

    fn guard(variables: &[(&str, &str)]) -> OriginGuard {
        let loaded = load(Environment::from_pairs(variables.iter().copied())).unwrap();
        OriginGuard(loaded.settings.server)
    }

    fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request {
        let request = Request::builder().method(method).uri(target);
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(Body::empty())
            .unwrap()
    }

    fn status(guard: &OriginGuard, request: &Request) -> u16 {
        guard.refusal(request).map_or(200, |refusal| refusal.status().as_u16())
    }

    #[test]
    fn a_server_on_loopback_goes_by_loopback_names() {
        let guard = guard(&[("ALLOWED_HOSTS", "studio.example,*.example.org:8443,10.0.0.0/8")]);
        let taken = "localhost LOCALHOST localhost. localhost:8000 localhost: 127.0.0.1 127.0.0.1:1 127.9.9.9 127.1 [::1] \
            [::1]:8000 [::ffff:127.0.0.1] studio.example STUDIO.example.:80 a.example.org:8443 10.1.2.3:9";
        for host in taken.split_whitespace() {
            assert_eq!(status(&guard, &request("GET", "/", &[("host", host)])), 200, "{host}");
        }
        let foreign = "evil.example x localhost.evil.example 127.0.0.1.evil.example 0.0.0.0:8000 [::] 192.168.0.1 \
            example.org:8443 a.example.org a.localhost b.studio.example 2130706434.example";
        for host in foreign.split_whitespace() {
            assert_eq!(status(&guard, &request("GET", "/", &[("host", host)])), 421, "{host}");
        }
        for host in
            ["", ":80", "a b", "a@localhost", "localhost/", "localhost:x", "localhost:99999", "a, b", "[::1", "ü"]
        {
            assert_eq!(status(&guard, &request("GET", "/", &[("host", host)])), 400, "{host}");
        }
    }

    #[test]
    fn a_host_is_given_exactly_once_and_gives_way_to_that_of_the_target() {
        let guard = guard(&[]);
        assert_eq!(status(&guard, &request("GET", "/", &[])), 400);
        assert_eq!(status(&guard, &request("GET", "/", &[("host", "localhost"), ("host", "localhost")])), 400);
        assert_eq!(status(&guard, &request("GET", "http://localhost:8000/", &[])), 400);
        assert_eq!(status(&guard, &request("GET", "http://localhost:8000/", &[("host", "evil.example")])), 200);
        assert_eq!(status(&guard, &request("GET", "http://evil.example/", &[("host", "localhost")])), 421);
        assert_eq!(status(&guard, &request("CONNECT", "evil.example:80", &[("host", "localhost")])), 421);
        assert_eq!(status(&guard, &request("GET", "http://a@localhost/", &[("host", "localhost")])), 400);
    }

    #[test]
    fn a_server_that_listens_wider_goes_by_what_it_is_told_or_any_name() {
        let any = guard(&[("API_HOST", "0.0.0.0")]);
        assert_eq!(status(&any, &request("GET", "/", &[("host", "evil.example")])), 200);
        assert_eq!(status(&any, &request("GET", "/", &[])), 400);
        let named = guard(&[("API_HOST", "192.168.7.7"), ("ALLOWED_HOSTS", "studio.example")]);
        for (host, expected) in [
            ("studio.example", 200),
            ("localhost:8000", 200),
            ("192.168.7.7:8000", 200),
            ("192.168.7.8", 421),
            ("x", 421),
        ] {
            assert_eq!(status(&named, &request("GET", "/", &[("host", host)])), expected, "{host}");
        }
    }

    #[test]
    fn a_page_changes_something_only_if_it_is_of_an_allowed_origin() {
        let guard = guard(&[("API_HOST", "0.0.0.0"), ("CORS_ORIGINS", "https://gui.example")]);
        let asked = |host: &str, headers: &[(&str, &str)]| {
            let headers: Vec<_> = [("host", host)].into_iter().chain(headers.iter().copied()).collect();
            status(&guard, &request("POST", "/v1/chat", &headers))
        };
        let cross = ("sec-fetch-site", "cross-site");
        assert_eq!(asked("localhost:8000", &[]), 200, "no browser");
        assert_eq!(
            asked("localhost:8000", &[("origin", "http://localhost:8000"), ("sec-fetch-site", "same-origin")]),
            200
        );
        assert_eq!(asked("Studio.example:443", &[("origin", "https://studio.example")]), 200, "behind TLS");
        assert_eq!(asked("studio.example", &[("origin", "https://studio.example")]), 200);
        assert_eq!(asked("a", &[("origin", "https://gui.example"), cross]), 200);
        let foreign = "null http://localhost:8001 http://127.0.0.1:8000 https://gui.example:444 http://gui.example \
            https://gui.example.evil.example http://localhost ftp://localhost:8000 http://localhost:8000/ localhost:8000";
        for origin in foreign.split_whitespace() {
            assert_eq!(asked("localhost:8000", &[("origin", origin)]), 403, "{origin}");
        }
        for headers in [
            &[cross][..],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none"), cross],
            &[("origin", "http://studio.example"), cross],
            &[("origin", "https://gui.example"), ("origin", "https://gui.example")],
            &[("origin", "")],
        ] {
            assert_eq!(asked("studio.example", headers), 403, "{headers:?}");
        }
    }

    #[test]
    fn a_server_that_speaks_tls_has_no_page_without_it() {
        let guard = guard(&[("TLS_CERT", "tls.crt"), ("TLS_KEY", "tls.key"), ("ALLOWED_HOSTS", "studio.example")]);
        let asked = |origin: &str| {
            status(&guard, &request("POST", "/v1/chat", &[("host", "studio.example:8443"), ("origin", origin)]))
        };
        assert_eq!(asked("https://studio.example:8443"), 200);
        assert_eq!(asked("http://studio.example:8443"), 403);
    }

    #[test]
    fn a_page_of_another_origin_loads_nothing_into_itself_but_links_are_followed() {
        let guard = guard(&[("CORS_ORIGINS", "https://gui.example")]);
        let asked = |method: &str, mode: &str, dest: &str, origin: Option<&str>| {
            let mut headers = vec![
                ("host", "localhost"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
            ];
            headers.extend(origin.map(|origin| ("origin", origin)));
            status(&guard, &request(method, "/api/llm/models", &headers))
        };
        assert_eq!(asked("GET", "navigate", "document", None), 200);
        assert_eq!(asked("GET", "no-cors", "image", None), 403);
        assert_eq!(asked("HEAD", "no-cors", "empty", None), 403);
        assert_eq!(asked("GET", "navigate", "iframe", None), 403);
        assert_eq!(asked("GET", "cors", "empty", Some("http://evil.example")), 403);
        assert_eq!(asked("GET", "cors", "empty", Some("https://gui.example")), 200);
        assert_eq!(asked("OPTIONS", "cors", "empty", Some("http://evil.example")), 200);
        assert_eq!(asked("POST", "navigate", "document", Some("null")), 403);
    }
}
