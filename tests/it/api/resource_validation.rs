//! What can be wrong with agents, data sources and tools, in the manner of `api::validation`.

use serde_json::{Value, json};

use crate::api::validation::{Bad, Refusal, body_rows, send_all};
use crate::common::resources::{AGENTS, AGENTS_AND_SOURCES, ALL, ResourceKind, SOURCES, TOOLS, with};
use crate::common::{TestServer, Upstream};

const HERE: &str = "http://127.0.0.1:9";

/// All that a request could have left behind.
async fn traces(server: &TestServer) -> Value {
    let mut left = json!({});
    for resource in ALL {
        left[resource.path] = server.get(resource.path).await.expect(200);
        let file = server.folder().join("config").join(format!("{}.json", resource.section));
        left[resource.section] = json!(std::fs::read_to_string(file).unwrap());
    }
    left
}

/// A server that has one entry of each resource, `kept`, that is where the upstream is.
async fn server_with(upstream: &Upstream) -> TestServer {
    let server = TestServer::bare().await;
    for resource in ALL {
        server.post(resource.path, &resource.entry("kept", &upstream.url())).await.expect(201);
    }
    server
}

/// One wrong field in each body, both of a POST and of a PUT.
fn field_rows(resource: &'static ResourceKind) -> Vec<Bad> {
    let long = "x".repeat(129);
    let mut rows = vec![];
    let mut wrong = |field: &str, kind: &'static str, place: &'static str, values: &[Value]| {
        for value in values {
            rows.push((with(&resource.entry("kept", HERE), field, value.clone()), kind, place));
        }
    };
    wrong("name", "string_type", "body.name", &[json!(5), json!(null), json!(["a"]), json!({}), json!(true)]);
    let names = [
        "", "a/b", "/", ".", "..", "a\nb", "\u{0}", "\u{7f}", "\u{85}", &long, "a?b", "a#b", "a\\b", "a%2fb", " a",
        "a ",
    ];
    let names = names.map(|name| json!(name));
    wrong("name", "value_error", "body.name", &names);
    wrong("url", "string_type", "body.url", &[json!(5), json!(null), json!([HERE]), json!({"url": HERE})]);
    let urls = [
        "",
        "127.0.0.1:9",
        "agent.example/v1",
        "//agent.example",
        "ftp://agent.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:agent.example",
        "http:/agent.example",
        "http:\\\\agent.example",
        "http://agent example",
        "http://agent\n.example",
        "http://agent.example/\u{0}",
        "http://agent.example:99999",
        "http://[::1",
        "http://ada@agent.example",
        "http://ada:pw@agent.example",
        "http://agent.example?key=x",
        "http://agent.example/#top",
        "${MISSING}",
    ];
    wrong("url", "value_error", "body.url", &urls.map(|url| json!(url)));
    wrong("url", "value_error", "body.url", &[json!(format!("http://a/{}", "x".repeat(2040)))]);
    wrong("auth_token", "string_type", "body.auth_token", &[json!(5), json!(true), json!(["t"]), json!({})]);
    let tokens = ["two\nlines", "nul\u{0}byte", "${MISSING}"].map(|token| json!(token));
    wrong("auth_token", "value_error", "body.auth_token", &tokens);
    let seconds = "body.timeout_seconds";
    wrong("timeout_seconds", "int_type", seconds, &[json!(null), json!([30]), json!({})]);
    wrong("timeout_seconds", "int_parsing", seconds, &[json!(""), json!("abc"), json!("1.5"), json!("1e1")]);
    wrong("timeout_seconds", "int_from_float", seconds, &[json!(1.5)]);
    wrong("timeout_seconds", "int_parsing_size", seconds, &[json!(1e300), json!(u64::MAX)]);
    wrong("timeout_seconds", "greater_than_equal", seconds, &[json!(0), json!(-5), json!("-5"), json!(false)]);
    wrong("timeout_seconds", "less_than_equal", seconds, &[json!(3601)]);
    wrong("enabled", "bool_parsing", "body.enabled", &[json!("maybe"), json!(2), json!("")]);
    wrong("enabled", "bool_type", "body.enabled", &[json!(null), json!([]), json!({})]);
    let free = if resource.free == "config" { "body.config" } else { "body.metadata" };
    wrong(resource.free, "dict_type", free, &[json!(null), json!([]), json!("x"), json!(5), json!(false)]);
    if resource.section == SOURCES.section {
        wrong("type", "string_type", "body.type", &[json!(5), json!(null), json!(["api"])]);
        wrong("type", "value_error", "body.type", &[json!("x".repeat(65)), json!("a\nb")]);
    }
    let mut both = vec![];
    for (body, kind, place) in rows {
        both.push(Bad::json("PUT", &resource.at("kept"), &body, kind, place));
        let body = if place == "body.name" { body } else { with(&body, "name", json!("new")) };
        both.push(Bad::json("POST", resource.path, &body, kind, place));
    }
    for (field, place) in [("name", "body.name"), ("url", "body.url"), ("type", "body.type")] {
        let mut body = with(&resource.entry("kept", HERE), "auth_token", json!("t"));
        if body.as_object_mut().unwrap().remove(field).is_some() {
            both.push(Bad::json("PUT", &resource.at("kept"), &body, "missing", place));
            both.push(Bad::json("POST", resource.path, &body, "missing", place));
        }
    }
    both
}

/// One wrong field in each body of a tool; what can be wrong with `config` is in `tools::resources`.
fn tool_rows() -> Vec<Bad> {
    let mut rows = vec![];
    let mut wrong = |field: &str, kind: &'static str, place: &'static str, values: &[Value]| {
        for value in values {
            let body = with(&TOOLS.entry("kept", HERE), field, value.clone());
            rows.push(Bad::json("PUT", &TOOLS.at("kept"), &body, kind, place));
            let body = if field == "name" { body } else { with(&body, "name", json!("new")) };
            rows.push(Bad::json("POST", TOOLS.path, &body, kind, place));
        }
    };
    wrong("name", "string_type", "body.name", &[json!(5), json!(null), json!(["a"]), json!({})]);
    wrong(
        "name",
        "value_error",
        "body.name",
        &[json!(""), json!("a/b"), json!(".."), json!("a\nb"), json!("x".repeat(129))],
    );
    wrong("type", "string_type", "body.type", &[json!(5), json!(null), json!(["http"])]);
    wrong("type", "value_error", "body.type", &[json!("x".repeat(65)), json!("a\nb")]);
    wrong("config", "dict_type", "body.config", &[json!(null), json!([]), json!("x"), json!(5)]);
    wrong("enabled", "bool_parsing", "body.enabled", &[json!("maybe"), json!(2), json!("")]);
    wrong("enabled", "bool_type", "body.enabled", &[json!(null), json!([])]);
    wrong("description", "string_type", "body.description", &[json!(5), json!([]), json!({})]);
    wrong("description", "value_error", "body.description", &[json!("x".repeat(4001))]);
    let skip = |value: &str| {
        let path = format!("/api/tools/kept/test?skip_connectivity={value}");
        Bad::bare("POST", path, "bool_parsing", "query.skip_connectivity")
    };
    rows.extend(["", "maybe"].map(skip));
    let format =
        |value: &str| Bad::bare("GET", format!("/api/tools/registry/schemas?format={value}"), "enum", "query.format");
    rows.extend(["", "json", "OpenAI"].map(format));
    rows
}

/// Types that are spoken to in a protocol of their own have URLs of their own.
fn database_rows() -> Vec<Bad> {
    let rows = [
        ("postgres", "mysql://db/x"),
        ("postgres", "postgres:///x"),
        ("postgres", "postgres://db/x?host=/tmp"),
        ("postgres", "postgres://db/x?sslrootcert=/etc/shadow"),
        ("postgres", "postgres://db/x?password=hidden"),
        ("PostgreSQL", "sqlite::memory:"),
        ("mysql", "postgres://db/x"),
        ("mysql", "mysql://db/x?socket=/tmp/s"),
        ("sqlite", "postgres://db/x"),
        ("cubejs", "postgres://db/x"),
        ("api", "postgres://db/x"),
        ("custom", "two words"),
    ];
    let row = |(kind, url): (&str, &str)| {
        let body = with(&SOURCES.entry("new", url), "type", json!(kind));
        Bad::json("POST", SOURCES.path, &body, "value_error", "body.url")
    };
    rows.into_iter().map(row).collect()
}

fn query_rows() -> Vec<Bad> {
    let mut rows = vec![];
    for resource in AGENTS_AND_SOURCES {
        let mut wrong = |name: &str, kind: &'static str, place: &'static str, values: &[&str]| {
            rows.extend(
                values.iter().map(|value| Bad::bare("GET", format!("{}?{name}={value}", resource.path), kind, place)),
            );
        };
        wrong("limit", "greater_than_equal", "query.limit", &["-1", "5&limit=-1"]);
        wrong("limit", "less_than_equal", "query.limit", &["1000001"]);
        wrong("limit", "int_parsing", "query.limit", &["", "abc", "1.5", "1e1"]);
        wrong("limit", "int_parsing_size", "query.limit", &["99999999999999999999"]);
        wrong("offset", "greater_than_equal", "query.offset", &["-1"]);
        wrong("offset", "int_parsing", "query.offset", &["", "abc"]);
        wrong("offset", "int_parsing_size", "query.offset", &["99999999999999999999"]);
        wrong("enabled", "bool_parsing", "query.enabled", &["", "2", "maybe", "%20true"]);
    }
    let skip = |value: &str| {
        Bad::bare(
            "POST",
            format!("/api/datasources/kept/test?skip_connectivity={value}"),
            "bool_parsing",
            "query.skip_connectivity",
        )
    };
    rows.extend(["", "maybe", "2"].map(skip));
    let call = |query: &str, kind, place| {
        Bad::json("POST", &format!("/api/agents/kept/call?{query}"), &json!({}), kind, place)
    };
    rows.extend(
        ["TRACE", "CONNECT", "HEAD", "", "GET%20"]
            .map(|method| call(&format!("method={method}"), "value_error", "query.method")),
    );
    rows.extend(
        ["0", "-1"]
            .map(|seconds| call(&format!("timeout_seconds={seconds}"), "greater_than_equal", "query.timeout_seconds")),
    );
    rows.extend(
        ["", "abc", "1.5"]
            .map(|seconds| call(&format!("timeout_seconds={seconds}"), "int_parsing", "query.timeout_seconds")),
    );
    rows.push(call("timeout_seconds=3601", "less_than_equal", "query.timeout_seconds"));
    rows.push(call("endpoint=http://elsewhere/", "value_error", "query.endpoint"));
    rows.push(call("endpoint=%2F..%2F", "value_error", "query.endpoint"));
    rows
}

/// Names that no path takes, names of nothing, and methods that nothing takes.
fn path_rows(resource: &'static ResourceKind) -> Vec<Bad> {
    let long = "x".repeat(129);
    let mut rows = vec![];
    let body = || resource.entry("kept", HERE);
    for name in ["%00", "a%00", "%0A", "%7F", "%C2%85", "%FF", "a%C3", &long] {
        let path = format!("{}/{name}", resource.path);
        let bad = |method, rest: &str| Bad::bare(method, format!("{path}{rest}"), "value_error", "path.name");
        rows.extend([bad("GET", ""), bad("DELETE", ""), bad("POST", "/test")]);
        rows.push(Bad::json("PUT", &path, &body(), "value_error", "path.name"));
        // Functions of MCP servers may have other names.
        if resource.section == TOOLS.section && name != long {
            rows.push(Bad::json("POST", &format!("{path}/execute"), &json!({}), "value_error", "path.name"));
        }
        if resource.section == AGENTS.section {
            rows.push(Bad::json("POST", &format!("{path}/call"), &json!({}), "value_error", "path.name"));
        }
    }
    let at = |rest: &str| format!("{}{rest}", resource.path);
    let refused = |method, path: String, status, text: &str| {
        Bad::raw(method, path, body().to_string(), Refusal::Detail(status, text.to_owned()))
    };
    let unknown = format!("{} 'nobody' not found", resource.label);
    rows.extend([
        refused("GET", at("/nobody"), 404, &unknown),
        refused("PUT", at("/nobody"), 404, &unknown),
        refused("DELETE", at("/nobody"), 404, &unknown),
        refused("POST", at("/nobody/test"), 404, &unknown),
        // Lower and upper case are two names.
        refused("GET", at("/Kept"), 404, &format!("{} 'Kept' not found", resource.label)),
        refused("POST", at(""), 409, &format!("{} 'kept' already exists", resource.label)),
        refused("GET", at("/a%2Fb"), 404, &format!("{} 'a/b' not found", resource.label)),
        refused("GET", at("/health"), 404, &format!("{} 'health' not found", resource.label)),
        refused("GET", at("/kept/nothing"), 404, "Not Found"),
        refused("GET", at("//kept"), 404, "Not Found"),
        refused("PATCH", at("/kept"), 405, "Method Not Allowed"),
        refused("POST", at("/kept"), 405, "Method Not Allowed"),
        refused("PUT", at(""), 405, "Method Not Allowed"),
        refused("DELETE", at(""), 405, "Method Not Allowed"),
        refused("GET", at("/kept/test"), 405, "Method Not Allowed"),
    ]);
    match resource.section {
        "tools" => rows.extend([
            refused("POST", at("/nobody/execute"), 404, &format!("{unknown}; there are: kept")),
            refused("GET", at("/kept/execute"), 405, "Method Not Allowed"),
            refused("POST", at("/registry/schemas"), 405, "Method Not Allowed"),
            refused("POST", at("/types/available"), 405, "Method Not Allowed"),
        ]),
        _ => rows.push(refused("POST", at("/health/all"), 405, "Method Not Allowed")),
    }
    if resource.section == AGENTS.section {
        rows.push(refused("POST", at("/nobody/call"), 404, &unknown));
        rows.push(refused("GET", at("/kept/call"), 405, "Method Not Allowed"));
    }
    rows
}

#[tokio::test]
async fn whatever_is_wrong_with_agents_data_sources_and_tools_is_refused_and_named_and_leaves_no_trace() {
    let upstream = Upstream::answering(json!({})).await;
    let server = server_with(&upstream).await;
    let before = traces(&server).await;
    let bodies = [
        ("POST", AGENTS.path),
        ("PUT", "/api/agents/kept"),
        ("POST", "/api/agents/kept/call"),
        ("POST", SOURCES.path),
        ("PUT", "/api/datasources/kept"),
        ("POST", TOOLS.path),
        ("PUT", "/api/tools/kept"),
        ("POST", "/api/tools/kept/execute"),
    ];
    let tables = [
        field_rows(&AGENTS),
        field_rows(&SOURCES),
        database_rows(),
        query_rows(),
        path_rows(&AGENTS),
        path_rows(&SOURCES),
        tool_rows(),
        path_rows(&TOOLS),
        body_rows(&bodies),
    ];
    let rows: Vec<Bad> = tables.into_iter().flatten().collect();
    assert!(rows.len() >= 550, "{} rows", rows.len());
    let wrong = send_all(&server, &rows).await;
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert_eq!(upstream.seen().len(), 0, "an upstream was asked");
    assert_eq!(traces(&server).await, before, "something was stored");
    let server = server.restart().await;
    assert_eq!(traces(&server).await, before, "something was stored that shows after a restart");
}

#[tokio::test]
async fn every_problem_of_an_entry_is_told_at_once() {
    let upstream = Upstream::answering(json!({})).await;
    let server = server_with(&upstream).await;
    let before = traces(&server).await;
    let rows = [
        (
            &AGENTS,
            json!({"metadata": 5, "enabled": "maybe", "timeout_seconds": 0, "auth_token": 5, "url": 5}),
            vec![
                ("missing", "body.name"),
                ("string_type", "body.url"),
                ("string_type", "body.auth_token"),
                ("greater_than_equal", "body.timeout_seconds"),
                ("bool_parsing", "body.enabled"),
                ("dict_type", "body.metadata"),
            ],
        ),
        (
            &SOURCES,
            json!({"name": "a/b", "config": [], "enabled": null, "timeout_seconds": "x", "auth_token": [], "url": null, "type": 5}),
            vec![
                ("value_error", "body.name"),
                ("string_type", "body.type"),
                ("string_type", "body.url"),
                ("string_type", "body.auth_token"),
                ("int_parsing", "body.timeout_seconds"),
                ("bool_type", "body.enabled"),
                ("dict_type", "body.config"),
            ],
        ),
        // What is known only once the whole is read comes last.
        (
            &AGENTS,
            json!({"name": "", "url": "ftp://a", "timeout_seconds": 0}),
            vec![
                ("value_error", "body.name"),
                ("greater_than_equal", "body.timeout_seconds"),
                ("value_error", "body.url"),
            ],
        ),
        (
            &SOURCES,
            json!({"name": "kept", "type": "api", "url": "nowhere", "enabled": 2}),
            vec![("bool_parsing", "body.enabled"), ("value_error", "body.url")],
        ),
    ];
    for (resource, body, issues) in rows {
        let told = |method, path: &str| Bad::raw(method, path, body.to_string(), Refusal::Issues(issues.clone()));
        let wrong = send_all(&server, &[told("POST", resource.path), told("PUT", &resource.at("kept"))]).await;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
    assert_eq!(traces(&server).await, before);
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_before_whether_there_is_such_an_entry() {
    let server = TestServer::bare().await;
    for resource in AGENTS_AND_SOURCES {
        let wrong = with(&resource.entry("nobody", HERE), "timeout_seconds", json!(-1));
        server.put(&resource.at("nobody"), &wrong).await.expect(422);
        server.put(&resource.at("nobody"), &with(&wrong, "timeout_seconds", json!(1))).await.expect(404);
    }
}
