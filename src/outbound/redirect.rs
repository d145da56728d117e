use reqwest::Method;
use url::Url;

/// Redirects of one call that are followed.
pub(super) const MAX_REDIRECTS: usize = 3;

/// Where a redirect of a call leads, if the same call may be made there: on the same server (scheme, host and port), so that its
/// credentials may go along, and with the same method and body. After 301, 302 and 303 clients drop a body, so those count without one.
pub(super) fn next_url(from: &Url, method: &Method, status: u16, location: &str) -> Option<Url> {
    let keeps_call = match status {
        307 | 308 => true,
        301..=303 => matches!(*method, Method::GET | Method::HEAD),
        _ => false,
    };
    let mut to = from.join(location).ok().filter(|to| keeps_call && to.origin() == from.origin())?;
    let names_account = !to.username().is_empty() || to.password().is_some();
    if names_account && (to.username(), to.password()) != (from.username(), from.password()) {
        return None;
    }
    to.set_username(from.username()).ok()?;
    to.set_password(from.password()).ok()?;
    to.set_fragment(None);
    Some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(method: &Method, status: u16, location: &str) -> Option<String> {
        let from = Url::parse("http://u:p@host:80/mcp?key=1").unwrap();
        next_url(&from, method, status, location).map(String::from)
    }

    #[test]
    fn a_redirect_is_followed_on_the_same_server_with_the_same_call() {
        let rows = [
            ("/mcp/", "http://u:p@host/mcp/"),
            ("mcp/", "http://u:p@host/mcp/"),
            ("//host/mcp/", "http://u:p@host/mcp/"),
            ("http://HOST:80/a?b=c#d", "http://u:p@host/a?b=c"),
            ("http://u:p@host/a", "http://u:p@host/a"),
            ("?key=2", "http://u:p@host/mcp?key=2"),
        ];
        for (location, expected) in rows {
            for status in [307, 308] {
                assert_eq!(followed(&Method::POST, status, location).as_deref(), Some(expected), "{location}");
            }
            for status in [301, 302, 303, 307, 308] {
                assert_eq!(followed(&Method::GET, status, location).as_deref(), Some(expected), "{location}");
            }
        }
    }

    #[test]
    fn no_redirect_leads_to_another_server_or_changes_the_call() {
        let elsewhere = [
            "https://host/mcp/",
            "http://host:8080/mcp/",
            "http://other/mcp/",
            "//other/mcp/",
            "http://host.other/",
            "http://x:y@host/mcp/",
            "http://host@other/",
            "file:///etc/passwd",
            "http://",
        ];
        for location in elsewhere {
            assert_eq!(followed(&Method::GET, 307, location), None, "{location}");
        }
        for status in [301, 302, 303] {
            assert_eq!(followed(&Method::POST, status, "/mcp/"), None, "{status}");
        }
        for status in [200, 300, 304, 305, 400] {
            assert_eq!(followed(&Method::GET, status, "/mcp/"), None, "{status}");
        }
    }
}
