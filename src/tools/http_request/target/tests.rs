use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::settings::HostPattern;

fn options(base: Option<&str>, hosts: &[&str]) -> HttpOptions {
    HttpOptions {
        base_url: base.map(SecretUrl::new),
        auth_token: None,
        headers: Vec::new(),
        allowed_hosts: hosts.iter().filter_map(|host| HostPattern::parse(host)).collect(),
        timeout: None,
    }
}

fn resolved(options: &HttpOptions, arguments: Value) -> Result<(String, bool), String> {
    resolve(options, arguments.as_object().unwrap()).map(|target| (target.url.to_string(), target.is_own))
}

#[test]
fn a_path_leads_below_the_base_url_and_a_whole_url_where_it_is_allowed() {
    let options = options(Some("https://api.test/v1"), &["other.test", "*.cdn.test:8443", "api.test"]);
    let rows = [
        ("", "https://api.test/v1", true),
        ("/items", "https://api.test/v1/items", true),
        ("items?x=1", "https://api.test/v1/items?x=1", true),
        (" /items#part ", "https://api.test/v1/items", true),
        ("/a b", "https://api.test/v1/a%20b", true),
        ("/v1:run", "https://api.test/v1/v1:run", true),
        ("https://api.test/v1/items", "https://api.test/v1/items", true),
        ("HTTPS://API.test:443/v1", "https://api.test/v1", true),
        ("http://other.test/a", "http://other.test/a", false),
        ("https://a.cdn.test:8443/", "https://a.cdn.test:8443/", false),
        // Beside the base URL of a server that is allowed as a whole: without the credentials.
        ("https://api.test/v2", "https://api.test/v2", false),
        ("https://api.test/v1/../v2", "https://api.test/v2", false),
        ("https://api.test/v1/%2e%2e/v2", "https://api.test/v2", false),
        ("https://api.test/v1/..%2fv2", "https://api.test/v1/..%2fv2", false),
        ("https://api.test/v10", "https://api.test/v10", false),
    ];
    for (url, expected, own) in rows {
        assert_eq!(resolved(&options, json!({"url": url})), Ok((expected.to_owned(), own)), "{url}");
    }
}

#[test]
fn what_leads_elsewhere_is_refused_and_told_where_it_may_lead() {
    let options = options(Some("https://api.test/v1"), &["other.test"]);
    let rows = [
        "//evil.test/",
        "https:evil.test",
        "https:/evil.test",
        "https:///evil.test",
        "https://evil.test/",
        "http://api.test/v1/items",
        "https://api.test:8443/v1/items",
        "https://api.test/v2",
        "https://api.test/v1/../v2",
        "https://api.test/v1/..%2fv2",
        "https://api.test/v10",
        "https://api.test.evil.test/v1",
        "https://api.test@evil.test/v1",
        "https://user:pw@api.test/v1",
        "https://evil.test\\@api.test/v1",
        "https://api.test/v1\n.evil.test",
        "ftp://api.test/v1",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,x",
        "../v2",
        "/%2e%2e/v2",
        "/..%5cv2",
        "https://other.test:8443/",
        "https://",
        "https://[::1",
    ];
    for url in rows {
        let refused = resolved(&options, json!({"url": url}));
        let why = refused.expect_err(url);
        assert!(why.starts_with("url: ") && why.len() < 400, "{url}: {why}");
        assert!(!why.contains("pw@"), "{why}");
    }
    let why = resolved(&options, json!({"url": "https://evil.test/?secret"})).unwrap_err();
    assert_eq!(why, "url: https://evil.test is not allowed; this tool calls https://api.test/v1 and other.test only");
}

#[test]
fn parameters_are_encoded_and_added_to_those_of_the_url() {
    let options = options(Some("http://a"), &[]);
    let params = json!({"q": "a&b=c d/é", "n": 5, "on": true, "tag": ["x", "y"], "none": [], "nil": null});
    let (url, _) = resolved(&options, json!({"url": "/s?first=1", "params": params})).unwrap();
    assert_eq!(url, "http://a/s?first=1&q=a%26b%3Dc+d%2F%C3%A9&n=5&on=true&tag=x&tag=y");
    assert_eq!(resolved(&options, json!({"url": "/s", "params": {}})), Ok(("http://a/s".to_owned(), true)));
    assert!(resolved(&options, json!({"url": "/s", "params": {"q": "x".repeat(9000)}})).is_err());
}

proptest! {
    #[test]
    fn credentials_never_leave_the_base_url(url in "(https?:)?[a-z./\\\\%2eEfF5cC:@?#; \t]{0,24}") {
        let options = options(Some("http://agent:1/base"), &["b.c"]);
        if let Ok(target) = resolve(&options, json!({"url": url}).as_object().unwrap()) {
            let url = target.url;
            if target.is_own {
                prop_assert_eq!((url.host_str(), url.port()), (Some("agent"), Some(1)));
                prop_assert!(url.path() == "/base" || url.path().starts_with("/base/"), "{}", url);
            } else {
                prop_assert_eq!(url.host_str(), Some("b.c"));
            }
        }
    }
}
