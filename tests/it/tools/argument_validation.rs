//! Arguments as a model writes them that means no good, or does not know better: refused, before anything is called, in words
//! that a model can act on.

use serde_json::{Value, json};

use crate::common::{TestServer, Upstream};

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |value, _| json!([value]))
}

/// Refused by the schema: a 422 that says what is wrong with which argument.
fn misfits() -> Vec<(&'static str, Value, &'static [&'static str])> {
    vec![
        ("api", json!({}), &["url: is required"]),
        ("api", json!({"url": null}), &["url: should be a string, not null"]),
        ("api", json!({"url": 5}), &["url: should be a string, not a number"]),
        ("api", json!({"url": ["/a"]}), &["url: should be a string, not an array"]),
        ("api", json!({"url": {"href": "/a"}}), &["url: should be a string, not an object"]),
        ("api", json!({"url": "/a", "method": "get"}), &["method: should be one of \"GET\", \"POST\""]),
        ("api", json!({"url": "/a", "method": "CONNECT"}), &["method: should be one of"]),
        ("api", json!({"url": "/a", "method": "GET /x HTTP/1.1\r\nHost: evil"}), &["method: should be one of"]),
        ("api", json!({"url": "/a", "params": "q=1"}), &["params: should be an object, not a string"]),
        ("api", json!({"url": "/a", "params": {"q": {"$ne": 1}}}), &["params.q: should be"]),
        ("api", json!({"url": "/a", "params": {"q": [[1]]}}), &["params.q.0: should be"]),
        ("api", json!({"url": "/a", "data": 5}), &["data: should be"]),
        ("api", json!({"url": "/a", "headers": ["X: y"]}), &["headers: should be an object, not an array"]),
        ("api", json!({"url": "/a", "headers": {"X-A": 5}}), &["headers.X-A: should be a string, not a number"]),
        (
            "api",
            json!({"url": "/a", "body": {}}),
            &["should have no member body", "url, method, params, data, headers"],
        ),
        ("api", json!({"url": "/a", "__proto__": {}, "timeout": 9}), &["__proto__ or timeout"]),
        (
            "api",
            json!({"url": 1, "method": 2, "params": 3, "data": 4, "headers": 5, "more": 6}),
            &["url: ", "method: ", "params: ", "data: ", "headers: ", "and there is more"],
        ),
        ("api", json!({"url": "x".repeat(9_000)}), &["url: should have at most 8192 characters"]),
        ("api", json!({"url": "/a", "data": "x".repeat(9_000_000)}), &["should have at most 1000000 bytes"]),
        ("api", json!({"url": "/a", "data": {"x".repeat(2_000_000): 1}}), &["should have at most 1000000 bytes"]),
        ("api", json!({"url": "/a", "headers": {"x".repeat(500_000): 1}}), &["headers.xxx", "should be a string"]),
        ("api", json!({"url": "/a", "data": nested(100)}), &["nested at most 64 levels"]),
        ("search", json!({}), &["query: is required"]),
        ("search", json!({"query": ["a"]}), &["query: should be a string, not an array"]),
        ("search", json!({"query": ""}), &["query: should have at least 1 character"]),
        ("search", json!({"query": "x".repeat(5_000)}), &["query: should have at most 1000 characters"]),
        ("search", json!({"query": "a", "max_results": 0}), &["max_results: should be at least 1"]),
        ("search", json!({"query": "a", "max_results": 51}), &["max_results: should be at most 50"]),
        ("search", json!({"query": "a", "max_results": "5"}), &["max_results: should be an integer, not a string"]),
        ("search", json!({"query": "a", "max_results": 1.5}), &["max_results: should be an integer, not a number"]),
        ("search", json!({"query": "a", "max_results": 1e300}), &["max_results: should be"]),
        ("search", json!({"query": "a", "filters": []}), &["filters: should be an object, not an array"]),
        (
            "search",
            json!({"query": "a", "filters": {"freshness": "d"}}),
            &["filters: should have no member freshness", "language, country, site, safe, time_range"],
        ),
        (
            "search",
            json!({"query": "a", "filters": {"time_range": "1d"}}),
            &["filters.time_range: should be one of \"day\", \"week\""],
        ),
        (
            "search",
            json!({"query": "a", "filters": {"country": "us&key=x"}}),
            &["filters.country: should match the pattern"],
        ),
        ("search", json!({"query": "a", "filters": {"site": "a.b c"}}), &["filters.site: should match the pattern"]),
        ("search", json!({"query": "a", "endpoint": "http://evil.test"}), &["should have no member endpoint"]),
    ]
}

/// Of the right types, but not to be done: the tool answers that it was not run, and why.
fn refused() -> Vec<(&'static str, Value, &'static str)> {
    let header = |name: &str, value: &str| json!({"url": "/a", "headers": {name: value}});
    let mut rows: Vec<_> = [
        "http://evil.test/",
        "https://evil.test/steal?x=1",
        "//evil.test/",
        "http:\\\\evil.test",
        "http://127.0.0.1@evil.test/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "../admin",
        "/..%2fadmin",
        "/%2e%2e/admin",
        "/a\r\nHost: evil",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://localhost:1/",
    ]
    .into_iter()
    .map(|url| ("api", json!({"url": url}), "url: "))
    .collect();
    rows.extend([
        ("api", header("X-A", "a\r\nX-B: b"), "headers.X-A: should have no line break"),
        ("api", header("X-A\r\nX-B", "b"), "headers.X-A\\r\\nX-B: is not a name"),
        ("api", header("X A", "b"), "is not a name"),
        ("api", header("", "b"), "is not a name"),
        ("api", header("Host", "evil.test"), "belongs to the connection"),
        ("api", header("content-length", "0"), "belongs to the connection"),
        ("api", header("Transfer-Encoding", "chunked"), "belongs to the connection"),
        ("api", header("Proxy-Authorization", "x"), "belongs to the connection"),
        ("api", header("authorization", "Bearer mine"), "the tool's owner"),
        ("api", header("Cookie", "session=1"), "the tool's owner"),
        ("api", header("x-api-key", "mine"), "the tool's owner"),
        ("api", json!({"url": "/a", "headers": {"X-A": "1", "x-a": "2"}}), "should be given once"),
        ("api", header("X-A", &"x".repeat(20_000)), "at most 8192 bytes"),
        ("api", json!({"url": "/a", "data": {"a": 1}}), "data: can't be sent with GET"),
        ("api", json!({"url": "/a", "params": {"q": "x".repeat(100_000)}}), "url: should have at most 8192"),
        ("search", json!({"query": "   "}), "query: should not be empty"),
    ]);
    rows
}

async fn server_with(upstream: &Upstream) -> TestServer {
    let server = TestServer::bare().await;
    let config = json!({"base_url": format!("{}/base", upstream.url()), "auth_token": "a-long-token", "headers": {"X-Api-Key": "k"}});
    server.post("/api/tools", &json!({"name": "api", "type": "http_request", "config": config})).await.expect(201);
    let config = json!({"endpoint": upstream.url()});
    server.post("/api/tools", &json!({"name": "search", "type": "web_search", "config": config})).await.expect(201);
    server
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_refused_and_each_problem_named() {
    let upstream = Upstream::answering(json!({"results": []})).await;
    let server = server_with(&upstream).await;
    for (tool, arguments, phrases) in misfits() {
        let answer = server.post(&format!("/api/tools/{tool}/execute"), &json!({"arguments": arguments})).await;
        let shown: String = arguments.to_string().chars().take(100).collect();
        let issue = answer.expect(422)["errors"][0].clone();
        assert_eq!(issue["loc"], json!(["body", "arguments"]), "{shown}");
        let msg = issue["msg"].as_str().unwrap();
        assert!(phrases.iter().all(|phrase| msg.contains(phrase)), "{shown}: {msg}");
        assert!(answer.text.len() < 3_000, "{shown}: {} bytes", answer.text.len());
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn what_is_not_to_be_done_is_not_done_and_the_reason_told() {
    let upstream = Upstream::answering(json!({"results": []})).await;
    let server = server_with(&upstream).await;
    for (tool, arguments, phrase) in refused() {
        let path = format!("/api/tools/{tool}/execute");
        let answer = server.post(&path, &json!({"arguments": arguments})).await;
        let shown: String = arguments.to_string().chars().take(100).collect();
        let done = answer.expect(200);
        let error = done["error"].as_str().unwrap_or_default();
        assert_eq!((&done["status"], &done["success"]), (&json!("error"), &json!(false)), "{shown} {done}");
        assert!(
            error.starts_with(&format!("Tool '{tool}' was not run: ")) && error.contains(phrase),
            "{shown}: {error}"
        );
        assert!(answer.text.len() < 1_500, "{shown}: {} bytes", answer.text.len());
        assert!(!error.contains("a-long-token"), "{error}");
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn nulls_for_what_may_be_left_out_are_taken_as_left_out() {
    let upstream = Upstream::answering(json!({"results": []})).await;
    let server = server_with(&upstream).await;
    let arguments = json!({"url": "/a", "method": null, "params": null, "data": null, "headers": null});
    let done = server.post("/api/tools/api/execute", &json!({"arguments": arguments})).await.expect(200);
    assert_eq!((&done["status"], upstream.seen()[0].path.as_str()), (&json!("success"), "/base/a"), "{done}");
    let arguments = json!({"query": "a", "max_results": null, "filters": null});
    let done = server.post("/api/tools/search/execute", &json!({"arguments": arguments})).await.expect(200);
    assert_eq!(done["status"], "success", "{done}");
}
