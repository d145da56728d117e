//! The original's own protocol over HTTP, and what all sources have in common.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::common::sources::{ask, change, failure, query, server_with, source, test};
use crate::common::upstream::{json_reply, open_head, reply};
use crate::common::{Act, Seen, TestServer, Upstream};

/// Longest wait for what should end after a second.
const DEADLINE: Duration = Duration::from_secs(15);

const TOKEN: &str = "canary-rest-token-1";

fn service(seen: &Seen) -> Vec<Act> {
    match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/api/health") => reply("200 OK", "text/plain", "fine"),
        ("POST", "/api/query") => json_reply(
            "200 OK",
            &json!({"data": [{"q": seen.body["query"], "p": seen.body["parameters"]}], "row_count": 41,
                "metadata": {"took": 3}, "more": "dropped"}),
        ),
        ("GET", "/api/schema") => json_reply("200 OK", &json!({"orders": {"id": "int"}})),
        ("GET", "/api/tables") => json_reply("200 OK", &json!({"tables": ["orders", {"name": "customers"}]})),
        _ => json_reply("404 Not Found", &json!({"detail": "Not Found"})),
    }
}

#[tokio::test]
async fn the_originals_protocol_is_spoken_by_every_type_whose_url_is_http() {
    for kind in ["api", "custom", "postgres", "mysql", "sqlite", "mongodb"] {
        let upstream = Upstream::start(|seen, _| service(seen)).await;
        let url = format!("{}/api/", upstream.url());
        let server = server_with(kind, &url, json!({"auth_token": TOKEN})).await;
        // It has its own language, in which nothing is forbidden here.
        let reply = query(&server, "DROP everything", json!({"a": [1, null]})).await;
        let expected = json!({"success": true, "datasource": "db", "data": [{"q": "DROP everything", "p": {"a": [1, null]}}],
            "row_count": 41, "metadata": {"took": 3}});
        assert_eq!(reply, expected, "{kind}");
        let reply = server.get("/api/datasources/db/schema").await.expect(200);
        assert_eq!(reply, json!({"success": true, "datasource": "db", "schema": {"orders": {"id": "int"}}}));
        let reply = server.get("/api/datasources/db/tables").await.expect(200);
        let tables = json!(["orders", {"name": "customers"}]);
        assert_eq!(reply, json!({"success": true, "datasource": "db", "tables": tables, "count": 2}));
        let found = test(&server).await;
        let details = &found["details"];
        assert_eq!(
            (&found["success"], &details["status_code"], &details["message"]),
            (&json!(true), &json!(200), &json!("Datasource is reachable"))
        );
        let seen = upstream.seen();
        let paths: Vec<_> = seen.iter().map(|seen| seen.path.as_str()).collect();
        assert_eq!(paths, ["/api/query", "/api/schema", "/api/tables", "/api/health"]);
        assert!(seen.iter().all(|seen| seen.headers["authorization"] == format!("Bearer {TOKEN}")));
    }
}

#[tokio::test]
async fn the_paths_can_be_configured() {
    let upstream = Upstream::start(|_, _| json_reply("200 OK", &json!({"data": [], "tables": []}))).await;
    let config =
        json!({"query_path": "/v2/ask", "schema_path": "describe?full=1", "tables_path": "t", "health_path": "/livez"});
    let server = server_with("api", &format!("{}/base", upstream.url()), json!({"config": config})).await;
    assert_eq!(query(&server, "x", json!({})).await["row_count"], 0);
    server.get("/api/datasources/db/schema").await.expect(200);
    server.get("/api/datasources/db/tables").await.expect(200);
    test(&server).await;
    let paths: Vec<_> = upstream.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/base/v2/ask", "/base/describe?full=1", "/base/t", "/base/livez"]);
    assert!(upstream.seen().iter().all(|seen| !seen.headers.contains_key("authorization")));
    // A path leads nowhere but below the URL.
    for path in ["//elsewhere/x", "http://elsewhere/", "../x", "a\\b"] {
        change(&server, "api", &upstream.url(), json!({"config": {"query_path": path}})).await;
        assert!(failure(&server, "x", json!({})).await.contains("config.query_path"), "{path}");
    }
    assert_eq!(upstream.seen().len(), 4);
}

#[tokio::test]
async fn redirects_on_the_services_own_server_are_followed_and_no_others() {
    let upstream = Upstream::start(|seen, _| match seen.path.strip_suffix('/') {
        Some(path) => service(&Seen { path: path.to_owned(), ..seen.clone() }),
        None => reply(&format!("307 Temporary Redirect\r\nlocation: {}/", seen.path), "text/plain", ""),
    })
    .await;
    let server = server_with("api", &format!("{}/api", upstream.url()), json!({"auth_token": TOKEN})).await;
    assert_eq!(query(&server, "x", json!({})).await["data"], json!([{"q": "x", "p": {}}]));
    assert_eq!(test(&server).await["success"], true);
    assert!(upstream.seen().iter().all(|seen| seen.headers["authorization"] == format!("Bearer {TOKEN}")));

    let elsewhere = format!("307 Temporary Redirect\r\nlocation: {}/api/query/", upstream.url());
    let foreign = Upstream::start(move |_, _| reply(&elsewhere, "text/plain", "")).await;
    change(&server, "api", &foreign.url(), json!({"auth_token": TOKEN})).await;
    let before = upstream.seen().len();
    assert!(failure(&server, "x", json!({})).await.contains("307"));
    assert_eq!(upstream.seen().len(), before);
}

/// Asks everything of a source that must fail, and gives what it says to a query.
async fn assert_all_fails(server: &TestServer) -> String {
    let schema = server.get("/api/datasources/db/schema").await.expect(200);
    assert_eq!((&schema["success"], schema.get("schema")), (&json!(false), None), "{schema}");
    let tables = server.get("/api/datasources/db/tables").await.expect(200);
    assert_eq!(
        (&tables["success"], &tables["tables"], &tables["count"]),
        (&json!(false), &json!([]), &json!(0)),
        "{tables}"
    );
    for reply in [&schema, &tables] {
        assert!(reply["error"].as_str().unwrap().starts_with("DataSource 'db'"), "{reply}");
    }
    let said = failure(server, "x", json!({})).await;
    assert!(said.starts_with("DataSource 'db'"), "{said}");
    said
}

#[tokio::test]
async fn a_service_that_fails_is_reported_with_what_it_said() {
    let long = format!("<html>{}</html>", "x".repeat(10_000));
    let replies: Vec<(Vec<&str>, String, String)> = vec![
        (vec!["500 Internal Server Error", "oops"], "500 Internal Server Error".to_owned(), "oops".to_owned()),
        (vec!["503 Service Unavailable"], "503 Service Unavailable".to_owned(), String::new()),
        (vec!["302 Found"], "302 Found".to_owned(), String::new()),
        (vec!["401 Unauthorized", "********"], "401 Unauthorized".to_owned(), format!("no such token: {TOKEN}")),
        (vec!["other than JSON"], "200 OK".to_owned(), long),
        (vec!["other than JSON"], "200 OK".to_owned(), String::new()),
        (vec!["other than JSON"], "200 OK".to_owned(), "{\"data\": [".to_owned()),
    ];
    for (expected, status, body) in replies {
        let upstream = Upstream::start(move |_, _| reply(&status, "text/plain", &body)).await;
        let server = server_with("api", &upstream.url(), json!({"auth_token": TOKEN})).await;
        let said = assert_all_fails(&server).await;
        assert!(expected.iter().all(|part| said.contains(part)), "{said}");
        assert!(said.len() < 1000 && !said.contains("canary"), "{said}");
    }
    // JSON, but not what was asked for.
    for body in ["[1]", "\"x\"", "null", "{\"data\": {}, \"tables\": 5}"] {
        let upstream = Upstream::start(move |_, _| reply("200 OK", "application/json", body)).await;
        let server = server_with("api", &upstream.url(), json!({})).await;
        assert!(failure(&server, "x", json!({})).await.starts_with("DataSource 'db' answered"), "{body}");
        assert_eq!(server.get("/api/datasources/db/tables").await.expect(200)["success"], false, "{body}");
    }
    let url = "http://127.0.0.1:1".to_owned();
    let server = server_with("api", &url, json!({"auth_token": TOKEN})).await;
    assert_eq!(assert_all_fails(&server).await, "DataSource 'db' refused the connection");
    let found = test(&server).await;
    assert_eq!((&found["success"], &found["message"]), (&json!(false), &json!("Failed to connect to datasource")));
    assert_eq!(found["details"]["error"], "DataSource 'db' refused the connection");
}

#[tokio::test]
async fn a_health_endpoint_counts_only_if_it_says_200() {
    for (status, ok) in
        [("200 OK", true), ("201 Created", false), ("302 Found", false), ("503 Service Unavailable", false)]
    {
        let upstream = Upstream::start(move |_, _| reply(status, "text/plain", "")).await;
        let server = server_with("api", &upstream.url(), json!({})).await;
        let found = test(&server).await;
        let message = if ok { "Datasource is reachable" } else { "Datasource returned non-200 status" };
        assert_eq!((&found["success"], &found["message"]), (&json!(ok), &json!(message)), "{status}");
        let code: u16 = status[..3].parse().unwrap();
        assert_eq!(found["details"]["status_code"], code);
    }
}

#[tokio::test]
async fn a_service_that_hangs_is_given_up_in_time() {
    let silent = Upstream::start(|_, _| vec![Act::Hang]).await;
    let half =
        Upstream::start(|_, _| vec![open_head("application/json"), Act::Send("{\"data\": [".to_owned()), Act::Hang])
            .await;
    for upstream in [&silent, &half] {
        let server = server_with("api", &upstream.url(), json!({"timeout_seconds": 1})).await;
        let said = timeout(DEADLINE, failure(&server, "x", json!({}))).await.unwrap();
        assert_eq!(said, "DataSource 'db' did not answer in time");
        timeout(DEADLINE, upstream.client_left()).await.unwrap();
    }
    let server = server_with("api", &silent.url(), json!({"timeout_seconds": 1})).await;
    let found = timeout(DEADLINE, test(&server)).await.unwrap();
    assert_eq!(found["message"], "Datasource did not respond within timeout period");
    assert_eq!(found["details"]["error"], "DataSource 'db' did not answer in time");
}

#[tokio::test]
async fn a_caller_who_leaves_ends_the_work_of_the_service() {
    let upstream = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = server_with("api", &upstream.url(), json!({"timeout_seconds": 3600})).await;
    let client = (*server).clone();
    let leaving = tokio::spawn(async move {
        client.post("/api/datasources/db/query", &json!({"query": "x"})).await;
    });
    crate::common::sources::wait_for(async || !upstream.seen().is_empty()).await;
    leaving.abort();
    timeout(DEADLINE, upstream.client_left()).await.unwrap();
}

#[tokio::test]
async fn a_reply_of_50_mb_is_not_read_to_its_end() {
    let upstream = Upstream::start(|_, _| {
        let mut acts = vec![open_head("application/json"), Act::Send("{\"data\": [\"".to_owned())];
        acts.extend((0..50).map(|_| Act::Send("x".repeat(1_000_000))));
        acts.push(Act::Send("\"]}".to_owned()));
        acts
    })
    .await;
    let server = server_with("api", &upstream.url(), json!({})).await;
    let said = failure(&server, "x", json!({})).await;
    assert_eq!(said, "DataSource 'db' sent a reply of more than 10000000 bytes");
    timeout(DEADLINE, upstream.client_left()).await.unwrap();
}

#[tokio::test]
async fn rows_beyond_the_limit_are_cut() {
    let upstream = Upstream::start(|_, _| {
        let rows: Vec<Value> = (0..5).map(|id| json!({"id": id})).collect();
        json_reply("200 OK", &json!({"data": rows, "row_count": 5, "metadata": {"took": 3}}))
    })
    .await;
    let server = server_with("api", &upstream.url(), json!({"config": {"max_rows": 2}})).await;
    let reply = query(&server, "x", json!({})).await;
    assert_eq!((&reply["data"], &reply["row_count"]), (&json!([{"id": 0}, {"id": 1}]), &json!(5)));
    assert_eq!(reply["metadata"], json!({"took": 3, "truncated": true}));
    let reply = server.post("/api/datasources/db/query", &json!({"query": "x", "max_rows": 5})).await.expect(200);
    assert_eq!((&reply["data"][4]["id"], &reply["metadata"]), (&json!(4), &json!({"took": 3})));
}

#[tokio::test]
async fn a_source_that_is_unknown_is_404_everywhere() {
    let server = TestServer::bare().await;
    let expected = json!({"detail": "DataSource 'nobody' not found"});
    for (method, path, body) in [
        ("GET", "", Value::Null),
        ("DELETE", "", Value::Null),
        ("PUT", "", source("api", "http://127.0.0.1:1", json!({}))),
        ("POST", "/test", Value::Null),
        ("POST", "/test?skip_connectivity=true", Value::Null),
        ("POST", "/query", json!({"query": "SELECT 1"})),
        ("GET", "/schema", Value::Null),
        ("GET", "/tables", Value::Null),
    ] {
        let path = format!("/api/datasources/nobody{path}");
        let answer = match method {
            "GET" => server.get(&path).await,
            "DELETE" => server.delete(&path).await,
            "PUT" => server.put(&path, &body).await,
            _ => server.post(&path, &body).await,
        };
        let found = answer.expect(404);
        assert_eq!(found["detail"], expected["detail"], "{method} {path}");
    }
}

#[tokio::test]
async fn a_query_is_checked_before_the_source_is_asked() {
    let upstream = Upstream::start(|seen, _| service(seen)).await;
    let server = server_with("api", &format!("{}/api", upstream.url()), json!({})).await;
    for (body, at) in [
        (json!({}), json!(["body", "query"])),
        (json!({"query": 5}), json!(["body", "query"])),
        (json!({"query": "x", "parameters": []}), json!(["body", "parameters"])),
        (json!({"query": "x", "max_rows": 100_001}), json!(["body", "max_rows"])),
    ] {
        assert_eq!(server.post("/api/datasources/db/query", &body).await.expect(422)["errors"][0]["loc"], at);
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(
        server.post("/api/datasources/db/query", &json!({"query": "x", "parameters": null})).await.expect(200)["success"],
        true
    );
    assert_eq!(upstream.seen()[0].body, json!({"query": "x", "parameters": {}}));
}

#[tokio::test]
async fn the_health_of_all_sources_is_looked_at_at_once() {
    let server = TestServer::bare().await;
    // Each answers only when all have been asked.
    let word = Arc::new(Notify::new());
    let mut upstreams = Vec::new();
    for name in ["a", "b", "c"] {
        let word = word.clone();
        let upstream = Upstream::start(move |_, _| {
            let mut acts = vec![Act::Wait(word.clone())];
            acts.extend(reply("200 OK", "text/plain", ""));
            acts
        })
        .await;
        let body = json!({"name": name, "type": "api", "url": upstream.url()});
        server.post("/api/datasources", &body).await.expect(201);
        upstreams.push(upstream);
    }
    let closed = "http://127.0.0.1:1".to_owned();
    let dead = json!({"name": "dead", "type": "api", "url": closed});
    let off = json!({"name": "off", "type": "api", "url": closed, "enabled": false});
    let odd = json!({"name": "odd", "type": "mongodb", "url": "mongodb://x/y"});
    for body in [dead, off, odd] {
        server.post("/api/datasources", &body).await.expect(201);
    }
    let client = (*server).clone();
    let health = tokio::spawn(async move { client.get("/api/datasources/health/all").await.expect(200) });
    crate::common::sources::wait_for(async || upstreams.iter().all(|upstream| !upstream.seen().is_empty())).await;
    word.notify_waiters();
    // Those that were asked but do not wait for the word yet.
    for _ in &upstreams {
        word.notify_one();
    }
    let health = timeout(DEADLINE, health).await.unwrap().unwrap();
    assert_eq!((&health["total"], &health["healthy"]), (&json!(6), &json!(3)), "{health}");
    let all = health["datasources"].as_object().unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b", "c", "dead", "off", "odd"]);
    assert_eq!(
        (&all["a"]["healthy"], &all["a"]["type"], &all["a"]["url"]),
        (&json!(true), &json!("api"), &json!(upstreams[0].url()))
    );
    assert_eq!(all["a"]["message"], "Datasource is reachable");
    let dead = &all["dead"];
    assert_eq!(
        (&dead["message"], &dead["type"], &dead["url"]),
        (&json!("Failed to connect to datasource"), &json!(""), &json!(""))
    );
    let off = &all["off"];
    assert_eq!((&off["message"], &off["breaker"]), (&json!("Datasource not found or disabled"), &json!(null)));
    assert_eq!(all["odd"]["healthy"], false);
}

#[tokio::test]
async fn a_service_that_keeps_failing_is_spared_until_a_test_finds_it_well() {
    let ill = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let state = ill.clone();
    let upstream = Upstream::start(move |seen, _| match state.load(std::sync::atomic::Ordering::SeqCst) {
        true => reply("503 Service Unavailable", "text/plain", ""),
        false => service(seen),
    })
    .await;
    let server = server_with("api", &format!("{}/api", upstream.url()), json!({})).await;
    for _ in 0..5 {
        failure(&server, "x", json!({})).await;
    }
    assert!(failure(&server, "x", json!({})).await.contains("keeps failing"));
    assert_eq!(upstream.seen().len(), 5);
    // A test asks nevertheless.
    let found = test(&server).await;
    assert_eq!((&found["success"], &found["details"]["breaker"]), (&json!(false), &json!("open")));
    assert_eq!(upstream.seen().len(), 6);
    ill.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(test(&server).await["details"]["breaker"], "closed");
    assert_eq!(query(&server, "x", json!({})).await["row_count"], 41);
}

#[tokio::test]
async fn credentials_are_in_no_reply() {
    let echo = Upstream::start(|seen, _| {
        let heard = &seen.headers["authorization"];
        json_reply("200 OK", &json!({"data": [{"heard": heard}], "tables": [heard], "metadata": {"heard": heard}}))
    })
    .await;
    let server =
        server_with("api", &echo.url(), json!({"auth_token": TOKEN, "config": {"api_key": "canary-config-key-1"}}))
            .await;
    let mut texts = vec![
        ask(&server, "x", json!({})).await.text,
        server.get("/api/datasources/db/schema").await.text,
        server.get("/api/datasources/db/tables").await.text,
        server.post("/api/datasources/db/test", &Value::Null).await.text,
        server.get("/api/datasources").await.text,
    ];
    assert!(texts[0].contains("Bearer ********"), "{}", texts[0]);
    // The token belongs to the old server.
    let moved = source("postgres", "postgres://u:canary-password-1@127.0.0.1:1/x", json!({"auth_token": null}));
    texts.push(server.put("/api/datasources/db", &moved).await.text);
    texts.push(ask(&server, "SELECT 1", json!({})).await.text);
    texts.push(ask(&server, "SELECT 1; SELECT 2", json!({})).await.text);
    texts.push(server.post("/api/datasources/db/test", &Value::Null).await.text);
    texts.push(server.get("/api/datasources/health/all").await.text);
    texts.push(server.get("/api/datasources/db").await.text);
    for text in texts {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn a_service_that_tells_of_an_error_under_a_status_of_200_has_failed() {
    for (reply, said) in [
        (json!({"error": "no such table"}), Some("no such table")),
        (json!({"success": false, "data": [], "message": "locked"}), Some("locked")),
        (json!({"error": {"message": "cannot open /srv/app/x.db"}, "data": null}), Some("cannot open")),
        (json!({"error": null, "success": true, "data": []}), None),
        (json!({"errors": ["one row was left out"], "data": [{"a": 1}]}), None),
    ] {
        let service = Upstream::answering(reply.clone()).await;
        let server = server_with("api", &service.url(), json!({})).await;
        match said {
            Some(said) => {
                let expected = format!("DataSource 'db' answered with an error: {said}");
                assert_eq!(failure(&server, "SELECT 1", json!({})).await, expected);
            }
            None => assert_eq!(query(&server, "SELECT 1", json!({})).await["success"], true, "{reply}"),
        }
    }
}
