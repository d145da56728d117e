use url::Url;

/// The URL of an upstream's endpoint, which must lie at or below the upstream's own: its credential goes along.
pub fn join_url(base: &str, endpoint: &str) -> Result<String, String> {
    const EXPECTED: &str = "Input should be a path below the URL that it belongs to, such as /execute";
    let refused = |why: &str| Err(format!("{EXPECTED}: {why}"));
    let path = endpoint.split('?').next().unwrap_or_default();
    if endpoint.starts_with("//") || path.contains("://") {
        return refused("it should name no host");
    }
    if endpoint.chars().any(|c| c.is_control() || c == '\\' || c == '#') {
        return refused("it should have no backslash, '#' or control character");
    }
    if has_dot_dot(path) {
        return refused("it should not contain '..'");
    }
    let joined = format!("{}/{}", base.trim_end_matches('/'), endpoint.trim_start_matches('/'));
    // What was checked above is checked again on the result, the way the client will read it.
    match (Url::parse(base), Url::parse(&joined)) {
        (Ok(home), Ok(url))
            if url.origin() == home.origin() && url.path().starts_with(home.path().trim_end_matches('/')) =>
        {
            Ok(joined)
        }
        _ => refused("it leads elsewhere"),
    }
}

/// Whether a segment is `..` in any spelling that a server might decode.
fn has_dot_dot(path: &str) -> bool {
    let mut text = path.to_ascii_lowercase();
    // Twice: some servers decode twice.
    for _ in 0..2 {
        text = text.replace("%25", "%").replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    }
    text.split(['/', '\\', ';']).any(|segment| segment.trim() == "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_endpoint_lies_below_the_url_it_belongs_to() {
        let joined = [
            ("http://a", "/execute", "http://a/execute"),
            ("http://a/", "execute", "http://a/execute"),
            ("http://a/base/", "/run/it?x=1&y=..", "http://a/base/run/it?x=1&y=.."),
            ("http://a/base", "", "http://a/base/"),
            ("http://a", "/v1:run", "http://a/v1:run"),
            ("http://a", "/a..b", "http://a/a..b"),
            ("http://a", "/x?to=http://b", "http://a/x?to=http://b"),
        ];
        for (base, endpoint, expected) in joined {
            assert_eq!(join_url(base, endpoint).as_deref(), Ok(expected), "{endpoint}");
        }
        let refused = [
            "//evil",
            "///evil",
            "http://evil/x",
            "/http://evil",
            "..",
            "/../x",
            "/a/../../x",
            "/%2e%2e/x",
            "/%2E./x",
            "/a%2f..%2fx",
            "/%252e%252e/x",
            "/..%5cx",
            "\\\\evil",
            "/a\\..\\b",
            "/x#f",
            "/a\nb",
            "/..;/x",
            "/ .. /x",
        ];
        for endpoint in refused {
            assert!(join_url("http://a/base", endpoint).is_err(), "{endpoint:?}");
        }
    }

    proptest! {
        #[test]
        fn no_endpoint_leaves_its_upstream(endpoint in "[a-z./\\\\%2eEfF5cC:@?#; ]{0,24}") {
            if let Ok(url) = join_url("http://agent:1/base", &endpoint) {
                let url = Url::parse(&url).unwrap();
                prop_assert_eq!((url.host_str(), url.port()), (Some("agent"), Some(1)));
                prop_assert!(url.path().starts_with("/base"), "{}", url);
            }
        }
    }
}
