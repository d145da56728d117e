//! Tools that call an HTTP service: what they send, where they go, and what they keep to themselves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::upstream::{json_reply, reply};
use crate::common::{Act, Seen, TestServer, Upstream};

pub const TOKEN: &str = "canary-token-4711";

/// Keeps a tool called `api`.
pub async fn keep(server: &TestServer, config: Value) {
    server.post("/api/tools", &json!({"name": "api", "type": "http_request", "config": config})).await.expect(201);
}

/// Runs the tool `api`.
pub async fn run(server: &TestServer, arguments: Value) -> Value {
    server.post("/api/tools/api/execute", &json!({"arguments": arguments})).await.expect(200)
}

/// A server with a tool of this configuration.
pub async fn server_with(config: Value) -> TestServer {
    let server = TestServer::bare().await;
    keep(&server, config).await;
    server
}

fn moved(status: &str, to: &str) -> Vec<Act> {
    vec![Act::Send(format!("HTTP/1.1 {status}\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"))]
}

/// Sends `/go/{status}` to `to`, and answers everything else.
async fn redirecting(to: &str) -> Upstream {
    let to = to.to_owned();
    Upstream::start(move |seen, _| match seen.path.strip_prefix("/go/") {
        Some(status) => moved(&format!("{status} Moved"), &to),
        None => json_reply("200 OK", &json!({"arrived": seen.path, "method": seen.method, "text": seen.text})),
    })
    .await
}

fn assert_without_credentials(seen: &[Seen]) {
    for seen in seen {
        let headers = format!("{:?}", seen.headers);
        assert!(!headers.contains(TOKEN) && !headers.contains("private"), "{headers}");
    }
}

#[tokio::test]
async fn a_tool_sends_what_the_arguments_say_below_its_base_url() {
    let upstream = Upstream::answering(json!({"ok": true})).await;
    let server = server_with(json!({
        "base_url": format!("{}/v1/", upstream.url()), "auth_token": TOKEN, "headers": {"X-Team": "blue", "Accept": "text/csv"}
    }))
    .await;
    let rows = [
        (json!({"url": "/items"}), "GET", "/v1/items", "", None),
        (
            json!({"url": "items", "params": {"q": "a b&c", "n": 2, "on": true, "tag": ["x", "y"]}}),
            "GET",
            "/v1/items?q=a+b%26c&n=2&on=true&tag=x&tag=y",
            "",
            None,
        ),
        (json!({"url": format!("{}/v1/items?x=1", upstream.url()), "params": null}), "GET", "/v1/items?x=1", "", None),
        (
            json!({"url": "/items", "method": "POST", "data": {"a": [1, "é"]}}),
            "POST",
            "/v1/items",
            "{\"a\":[1,\"é\"]}",
            Some("application/json"),
        ),
        (json!({"url": "/items", "method": "PUT", "data": [1]}), "PUT", "/v1/items", "[1]", Some("application/json")),
        (
            json!({"url": "/items", "method": "PATCH", "data": "a=1", "headers": {"content-type": "application/x-www-form-urlencoded"}}),
            "PATCH",
            "/v1/items",
            "a=1",
            Some("application/x-www-form-urlencoded"),
        ),
        (
            json!({"url": "/items", "method": "POST", "data": "plain"}),
            "POST",
            "/v1/items",
            "plain",
            Some("text/plain; charset=utf-8"),
        ),
        (json!({"url": "/items/5", "method": "DELETE"}), "DELETE", "/v1/items/5", "", None),
        (json!({"url": "/items", "method": "HEAD"}), "HEAD", "/v1/items", "", None),
    ];
    for (arguments, method, path, body, content_type) in rows {
        let done = run(&server, arguments.clone()).await;
        assert_eq!(done["status"], "success", "{arguments} {done}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.text.as_str()), (method, path, body), "{arguments}");
        assert_eq!(seen.headers.get("content-type").map(String::as_str), content_type, "{arguments}");
        assert_eq!(seen.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!((seen.headers["x-team"].as_str(), seen.headers["accept"].as_str()), ("blue", "text/csv"));
        let shown = format!("{}{path}", upstream.url());
        assert_eq!((&done["metadata"]["url"], &done["metadata"]["method"]), (&json!(shown), &json!(method)), "{done}");
        assert_eq!(done["metadata"]["status_code"], 200);
    }
    run(&server, json!({"url": "/items", "headers": {"Accept": "text/html", "X-Trace": "abc"}})).await;
    let seen = upstream.seen().pop().unwrap();
    assert_eq!((seen.headers["accept"].as_str(), seen.headers["x-trace"].as_str()), ("text/html", "abc"));
}

#[tokio::test]
async fn the_configuration_may_be_as_the_gui_sends_it() {
    let upstream = Upstream::answering(json!({"ok": true})).await;
    let (host, port) = upstream.url().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let server = server_with(json!({
        "endpoint": format!("{host}/deep"), "port": port, "api_key": "", "timeout": "30", "base_url": "", "headers": {},
        "auth_token": "", "description": "Items"
    }))
    .await;
    assert_eq!(run(&server, json!({"url": "/items"})).await["output"], json!({"ok": true}));
    let seen = upstream.seen().pop().unwrap();
    assert_eq!((seen.path.as_str(), seen.headers.get("authorization")), ("/deep/items", None));
    let schemas = server.get("/api/tools/registry/schemas").await.expect(200);
    let shown = format!("Path below {}/deep, such as /items/5", upstream.url());
    assert_eq!(schemas["schemas"][0]["parameters"]["properties"]["url"]["description"], shown);
    assert_eq!(schemas["schemas"][0]["parameters"]["required"], json!(["url"]));
}

#[tokio::test]
async fn other_servers_are_called_only_if_they_are_listed_and_never_with_the_credentials() {
    let other = Upstream::answering(json!({"ok": true})).await;
    let upstream = Upstream::answering(json!({"ok": true})).await;
    let host = other.url().replace("http://", "");
    let server = server_with(json!({
        "base_url": upstream.url(), "auth_token": TOKEN, "headers": {"X-Private": "private"}, "allowed_hosts": host
    }))
    .await;
    let done = run(&server, json!({"url": format!("{}/x", other.url())})).await;
    assert_eq!(done["output"], json!({"ok": true}), "{done}");
    assert_eq!(other.seen().len(), 1);
    assert_without_credentials(&other.seen());
    let third = Upstream::answering(json!({"ok": true})).await;
    let done = run(&server, json!({"url": format!("{}/x", third.url())})).await;
    assert_eq!((&done["status"], third.seen().len()), (&json!("error"), 0), "{done}");
    let error = done["error"].as_str().unwrap();
    assert!(error.contains(&host) && error.contains(&upstream.url()), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_as_browsers_do() {
    let upstream = redirecting("/there").await;
    let server = server_with(json!({"base_url": upstream.url(), "auth_token": TOKEN})).await;
    let rows = [
        (301, "GET", "GET", ""),
        (302, "POST", "GET", ""),
        (301, "POST", "GET", ""),
        (302, "PUT", "PUT", "body"),
        (303, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (307, "POST", "POST", "body"),
        (308, "PATCH", "PATCH", "body"),
    ];
    for (status, method, then, text) in rows {
        let mut arguments = json!({"url": format!("/go/{status}"), "method": method});
        if method != "GET" {
            arguments["data"] = json!("body");
        }
        let done = run(&server, arguments).await;
        assert_eq!(
            done["output"],
            json!({"arrived": "/there", "method": then, "text": text}),
            "{status} {method} {done}"
        );
        assert_eq!((&done["metadata"]["redirects"], &done["metadata"]["method"]), (&json!(1), &json!(then)));
        assert_eq!(upstream.seen().pop().unwrap().headers["authorization"], format!("Bearer {TOKEN}"));
    }
    let done = run(&server, json!({"url": "/go/304"})).await;
    assert_eq!((&done["status"], &done["metadata"]["status_code"]), (&json!("success"), &json!(304)), "{done}");
}

#[tokio::test]
async fn a_redirect_takes_no_credential_to_another_server() {
    let other = redirecting("/nowhere").await;
    let upstream = redirecting(&format!("{}/there", other.url())).await;
    let host = other.url().replace("http://", "");
    let server = server_with(json!({
        "base_url": upstream.url(), "auth_token": TOKEN, "headers": {"X-Private": "private"}, "allowed_hosts": [host]
    }))
    .await;
    let arguments = json!({"url": "/go/307", "method": "POST", "data": {"a": 1}, "headers": {"X-Session": "private", "Accept-Language": "fr"}});
    let done = run(&server, arguments).await;
    assert_eq!((&done["status"], &done["output"]["arrived"]), (&json!("success"), &json!("/there")), "{done}");
    assert_eq!(upstream.seen()[0].headers["x-session"], "private");
    assert_eq!((other.seen().len(), other.seen()[0].text.as_str()), (1, "{\"a\":1}"));
    assert_eq!(other.seen()[0].headers["accept-language"], "fr");
    assert_without_credentials(&other.seen());
}

#[tokio::test]
async fn another_server_does_not_lead_a_call_back_with_the_credentials() {
    let own = Upstream::answering(json!({})).await;
    let target = format!("{}/admin", own.url());
    let other = Upstream::start(move |_, _| moved("307 Temporary Redirect", &target)).await;
    let host = other.url().replace("http://", "");
    let server = server_with(json!({
        "base_url": own.url(), "auth_token": TOKEN, "headers": {"X-Private": "private"}, "allowed_hosts": [host]
    }))
    .await;
    let done = run(&server, json!({"url": format!("{}/x", other.url()), "method": "DELETE"})).await;
    assert_eq!((&done["status"], own.seen()[0].path.as_str()), (&json!("success"), "/admin"), "{done}");
    assert_without_credentials(&own.seen());
}

#[tokio::test]
async fn a_redirect_to_a_place_that_is_not_allowed_ends_there() {
    let other = Upstream::answering(json!({})).await;
    let rows = [
        (other.url(), "is not allowed"),
        ("//127.0.0.1:1/x".to_owned(), "is not allowed"),
        ("http://169.254.169.254/latest/meta-data".to_owned(), "is not allowed"),
        ("http://user:pw@127.0.0.1/".to_owned(), "no user name"),
        ("file:///etc/passwd".to_owned(), "http:// or https://"),
        ("/outside".to_owned(), "is not allowed"),
        ("/base/..%2foutside".to_owned(), "is not allowed"),
    ];
    for (to, why) in rows {
        let target = to.clone();
        let upstream = Upstream::start(move |_, _| moved("302 Found", &target)).await;
        let server = server_with(json!({"base_url": format!("{}/base", upstream.url())})).await;
        let done = run(&server, json!({"url": "/x"})).await;
        let error = done["error"].as_str().unwrap_or_default();
        assert_eq!(done["status"], "failure", "{to} {done}");
        assert!(error.contains("redirected to a place that is not allowed") && error.contains(why), "{to}: {error}");
        assert!(!done.to_string().contains("pw@"), "{done}");
        assert_eq!((upstream.seen().len(), other.seen().len()), (1, 0), "{to}");
    }
    let endless = Upstream::start(|_, nth| moved("302 Found", &format!("/{nth}"))).await;
    let server = server_with(json!({"base_url": endless.url()})).await;
    let done = run(&server, json!({"url": "/x"})).await;
    assert_eq!((&done["status"], endless.seen().len()), (&json!("failure"), 6), "{done}");
    assert!(done["error"].as_str().unwrap().contains("5 redirects"), "{done}");
}

#[tokio::test]
async fn addresses_that_are_never_called_are_not_called_for_a_tool_either() {
    let metadata = "169.254.169.254";
    let upstream = Upstream::start(move |_, _| moved("302 Found", &format!("http://{metadata}/latest"))).await;
    let server = server_with(
        json!({"base_url": upstream.url(), "allowed_hosts": [metadata, "metadata.google.internal", "[fe80::1]"]}),
    )
    .await;
    for url in [
        "/x",
        "http://169.254.169.254/latest",
        "http://2852039166/",
        "http://metadata.google.internal/",
        "http://[fe80::1]/",
    ] {
        let done = run(&server, json!({"url": url})).await;
        let error = done["error"].as_str().unwrap_or_default();
        assert_eq!(done["status"], "error", "{url} {done}");
        assert!(error.contains("must not be called"), "{url}: {error}");
    }
    let upstream = Upstream::answering(json!({})).await;
    let server = TestServer::with(&[("OUTBOUND_POLICY", "public_only")]).await;
    keep(&server, json!({"base_url": upstream.url()})).await;
    let done = run(&server, json!({"url": "/x"})).await;
    assert!(done["error"].as_str().unwrap().contains("OUTBOUND_POLICY=public_only"), "{done}");
    let tested = server.post("/api/tools/api/test", &json!({})).await.expect(200);
    assert_eq!((&tested["success"], &tested["connectivity_status"]), (&json!(false), &json!("error")), "{tested}");
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn what_a_server_quotes_of_the_credentials_is_masked() {
    let parrot = Upstream::start(|seen, _| match seen.path.as_str() {
        "/binary" => vec![
            Act::Send(
                "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\nconnection: close\r\n\r\n".to_owned(),
            ),
            Act::SendBytes([b"\0\xff", seen.headers["authorization"].as_bytes()].concat()),
        ],
        "/text" => {
            reply("401 Unauthorized", "text/plain", &format!("bad token {}", &seen.headers["authorization"][7..]))
        }
        "/moved" => moved("302 Found", &format!("/json?token={}", &seen.headers["authorization"][7..])),
        _ => json_reply("200 OK", &json!({"headers": seen.headers, "key": seen.headers.get("x-api-key")})),
    })
    .await;
    let configs = [
        json!({"base_url": parrot.url(), "auth_token": TOKEN, "headers": {"X-Api-Key": TOKEN}}),
        json!({"base_url": parrot.url(), "headers": {"Authorization": format!("Bearer {TOKEN}"), "X-Api-Key": "none"}}),
    ];
    for config in configs {
        let server = server_with(config).await;
        for path in ["/json", "/text", "/moved", "/binary"] {
            let done = run(&server, json!({"url": path})).await;
            assert!(!done.to_string().contains(TOKEN), "{path} {done}");
            assert!(done["output"].get("base64").is_none(), "{done}");
        }
        for method in ["GET", "POST"] {
            let path = if method == "GET" { "/api/tools/api" } else { "/api/tools/api/test" };
            let shown = crate::common::Answer::of(server.request(method, path)).await;
            assert!(shown.status == 200 && !shown.text.contains(TOKEN), "{}", shown.text);
        }
        assert_eq!(
            parrot.seen().pop().unwrap().headers["authorization"],
            format!("Bearer {TOKEN}"),
            "the token was sent"
        );
    }
}

#[tokio::test]
async fn a_test_reaches_out_to_the_base_url_with_the_credentials() {
    let status = |status: &'static str| Upstream::start(move |_, _| json_reply(status, &json!({})));
    let rows = [
        ("200 OK", true, "Tool endpoint is reachable (HTTP 200)"),
        ("302 Found", true, "Tool endpoint is reachable (HTTP 302)"),
        ("404 Not Found", false, "Tool endpoint is unreachable (HTTP 404)"),
        ("503 Service Unavailable", false, "Tool endpoint is unreachable (HTTP 503)"),
    ];
    for (line, success, message) in rows {
        let upstream = status(line).await;
        let server = server_with(json!({"base_url": format!("{}/v1", upstream.url()), "auth_token": TOKEN})).await;
        let tested = server.post("/api/tools/api/test", &json!({"config": {}})).await.expect(200);
        assert_eq!((&tested["success"], &tested["message"]), (&json!(success), &json!(message)), "{tested}");
        assert_eq!(tested["connectivity_status"], if success { "reachable" } else { "unreachable" });
        assert_eq!(
            (&tested["connectivity_tested"], &tested["status_code"]),
            (&json!(true), &json!(line[..3].parse::<u16>().unwrap()))
        );
        assert_eq!(tested["endpoint_url"], format!("{}/v1", upstream.url()));
        let seen = upstream.seen();
        assert_eq!((seen.len(), seen[0].method.as_str(), seen[0].path.as_str()), (1, "GET", "/v1"));
        assert_eq!(seen[0].headers["authorization"], format!("Bearer {TOKEN}"));
    }
    let server = server_with(json!({"base_url": "http://127.0.0.1:1"})).await;
    let tested = server.post("/api/tools/api/test", &json!({})).await.expect(200);
    assert_eq!(
        (&tested["connectivity_status"], &tested["error"]),
        (&json!("unreachable"), &json!("Connection refused")),
        "{tested}"
    );
    let hanging = Upstream::start(|_, _| vec![Act::Sleep(Duration::from_secs(30))]).await;
    let server = server_with(json!({"base_url": hanging.url()})).await;
    let tested = server.post("/api/tools/api/test", &json!({})).await.expect(200);
    assert_eq!(tested["message"], "Tool endpoint connection timed out after 5 seconds.", "{tested}");
}

#[tokio::test]
async fn a_tool_that_lacks_a_server_says_so() {
    let server = server_with(json!({"base_url": "", "endpoint": " ", "auth_token": TOKEN})).await;
    let tested = server.post("/api/tools/api/test", &json!({})).await.expect(200);
    assert_eq!((&tested["success"], &tested["connectivity_tested"]), (&json!(false), &json!(false)), "{tested}");
    let done = run(&server, json!({"url": "http://127.0.0.1:1/"})).await;
    for text in [&tested["message"], &done["error"]] {
        assert!(text.as_str().unwrap().contains("config.base_url"), "{text}");
    }
    let body = json!({"name": "api", "type": "http", "config": {"allowed_hosts": ["127.0.0.1:1"]}});
    server.put("/api/tools/api", &body).await.expect(200);
    let tested = server.post("/api/tools/api/test", &json!({})).await.expect(200);
    let message = "Tool configuration is valid. Connectivity testing not available for 'http' tools.";
    assert_eq!((&tested["success"], &tested["message"]), (&json!(true), &json!(message)), "{tested}");
    let done = run(&server, json!({"url": "/relative"})).await;
    assert!(done["error"].as_str().unwrap().contains("whole URL"), "{done}");
    assert_eq!(run(&server, json!({"url": "http://127.0.0.1:1/"})).await["status"], "error");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_and_the_key_named() {
    let server = server_with(json!({"base_url": "http://127.0.0.1:1"})).await;
    let good = json!({"base_url": "http://127.0.0.1:1"});
    let rows = [
        ("base_url", json!(17)),
        ("base_url", json!("127.0.0.1:1")),
        ("base_url", json!("ftp://127.0.0.1")),
        ("base_url", json!("http://user:pw@127.0.0.1")),
        ("base_url", json!("http://127.0.0.1/?key=x")),
        ("endpoint", json!("nowhere")),
        ("port", json!("99999")),
        ("port", json!("0")),
        ("port", json!("http")),
        ("timeout", json!("abc")),
        ("timeout", json!("-1")),
        ("timeout", json!(0)),
        ("timeout", json!(1e9)),
        ("timeout", json!([])),
        ("auth_token", json!("two\nlines")),
        ("auth_token", json!(5)),
        ("headers", json!("X: y")),
        ("headers", json!({"X-A": "a\r\nX-B: b"})),
        ("headers", json!({"X A": "a"})),
        ("headers", json!({"Host": "evil.test"})),
        ("headers", json!({"X-A": 5})),
        ("allowed_hosts", json!(["http://x y"])),
        ("allowed_hosts", json!(["http://example.com"])),
        ("allowed_hosts", json!(["*"])),
        ("allowed_hosts", json!("example.com, a/b")),
        ("allowed_hosts", json!([5])),
        ("allowed_hosts", json!({})),
    ];
    for (key, value) in rows {
        for (method, name) in [("POST", "new"), ("PUT", "api")] {
            let mut body = json!({"name": name, "type": "http_request", "config": good});
            body["config"][key] = value.clone();
            let refused = match method {
                "POST" => server.post("/api/tools", &body).await,
                _ => server.put("/api/tools/api", &body).await,
            };
            let loc = refused.expect(422)["errors"][0]["loc"].clone();
            assert_eq!(loc, json!(["body", "config", key]), "{method} {value} {}", refused.text);
        }
    }
    assert_eq!(server.get("/api/tools").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stored_token_follows_neither_to_another_port_nor_to_another_host() {
    let server = server_with(json!({"endpoint": "http://127.0.0.1", "port": 9001, "auth_token": TOKEN})).await;
    let change = |config: Value| json!({"name": "api", "type": "http_request", "config": config});
    let kept = "********";
    for config in [
        json!({"endpoint": "http://127.0.0.1", "port": 9002, "auth_token": kept}),
        json!({"endpoint": "http://elsewhere.example", "port": 9001, "auth_token": kept}),
        json!({"endpoint": "http://127.0.0.1", "port": 9001, "base_url": "http://elsewhere.example:9002", "auth_token": kept}),
    ] {
        server.put("/api/tools/api", &change(config)).await.expect(422);
    }
    let moved =
        json!({"endpoint": "http://127.0.0.1", "port": 9001, "auth_token": kept, "allowed_hosts": ["127.0.0.1:9002"]});
    let changed = server.put("/api/tools/api", &change(moved)).await.expect(200);
    assert_eq!(changed["tool"]["config"]["auth_token"], kept);
    // On the way to another host of this machine, it is dropped.
    let local = json!({"endpoint": "http://127.0.0.2", "port": 9001, "auth_token": kept});
    let changed = server.put("/api/tools/api", &change(local)).await.expect(200);
    assert_eq!(changed["tool"]["config"], json!({"endpoint": "http://127.0.0.2", "port": 9001}));
}
