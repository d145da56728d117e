//! MCP servers that are not quite to the letter: what can be read is used, and what can't is named.

use serde_json::{Value, json};

use crate::common::chat::catalog;
use crate::common::mcp::{call, configure, count, functions, is, listed, modern, result_reply, test, tools};
use crate::common::tools::{ask, offered};
use crate::common::upstream::{json_reply, open_head, reply};
use crate::common::{Act, Seen, TestServer, Upstream};

const TOKEN: &str = "a-very-long-token";

async fn server_for(upstream: &Upstream) -> TestServer {
    let server = TestServer::bare().await;
    configure(&server, &json!({"url": format!("{}/mcp", upstream.url()), "auth_token": TOKEN})).await;
    server
}

fn redirect(status: &str, location: &str) -> Vec<Act> {
    reply(&format!("{status}\r\nlocation: {location}"), "text/plain", "")
}

#[tokio::test]
async fn redirects_on_the_same_server_are_followed_with_body_and_credentials() {
    for status in ["307 Temporary Redirect", "308 Permanent Redirect"] {
        let upstream = modern(move |seen| match seen.path.as_str() {
            "/mcp" => Some(redirect(status, "/v1/mcp")),
            // Whole, as frameworks write it.
            "/v1/mcp" => Some(redirect(status, &format!("http://{}/v1/mcp/", seen.headers["host"]))),
            _ => None,
        })
        .await;
        let server = server_for(&upstream).await;
        let done = call(&server, "echo", json!({"n": 1})).await;
        assert_eq!((&done["status"], &done["output"]), (&json!("success"), &json!("{\"n\":1}")), "{status}: {done}");
        assert_eq!(test(&server).await["success"], true);
        for seen in upstream.seen() {
            assert_eq!((seen.method.as_str(), &seen.headers["authorization"]), ("POST", &format!("Bearer {TOKEN}")));
            assert!(seen.body["method"].is_string(), "{seen:?}");
        }
    }
}

#[tokio::test]
async fn no_redirect_takes_credentials_elsewhere_or_goes_on_for_ever() {
    let other = modern(|_| None).await;
    let elsewhere = format!("{}/mcp/", other.url());
    for (status, location) in [
        ("307 Temporary Redirect", elsewhere.as_str()),
        ("308 Permanent Redirect", "http://169.254.169.254/mcp/"),
        ("302 Found", "/mcp/"),
        ("301 Moved Permanently", "/mcp/"),
        ("307 Temporary Redirect", "/mcp"),
    ] {
        let (status, to) = (status.to_owned(), location.to_owned());
        let upstream = modern(move |_| Some(redirect(&status, &to))).await;
        let server = server_for(&upstream).await;
        let message = test(&server).await["message"].as_str().unwrap().to_owned();
        assert!(
            message.contains("answered with a redirect (HTTP 30") && message.contains("'url'"),
            "{location}: {message}"
        );
        assert!(upstream.seen().len() <= 4, "{location}: {}", upstream.seen().len());
    }
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn one_bad_tool_costs_no_other_and_is_named_everywhere() {
    let list = json!([
        listed("good", "Fine"),
        {"name": "schemaless", "description": "Lacks its schema"},
        {"name": "nothing", "inputSchema": null},
        {"description": "Nobody"},
        {"name": "tasky", "inputSchema": {"type": "object"}, "execution": {"taskSupport": "required"}},
        {"name": "wordy", "description": ["x"], "annotations": {"title": 5}, "inputSchema": {}},
        {"name": "nulls", "inputSchema": {"type": "object", "properties": null, "required": null}},
        {"name": "draft4", "inputSchema": {"properties": {"n": {"type": "integer", "minimum": 1, "exclusiveMinimum": true}}}},
        {"name": "either", "inputSchema": {"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}},
    ]);
    let upstream = modern(move |seen| is(seen, "tools/list").then(|| tools(seen, list.as_array().unwrap()))).await;
    let llm = Upstream::saying("Hello.").await;
    let tool = json!({"type": "mcp", "config": {"url": format!("{}/mcp", upstream.url())}});
    let server = TestServer::with_llm(&llm, &[("TOOLS", &catalog(&[("mcp", tool)]))]).await;

    let tested = test(&server).await;
    assert_eq!(tested["message"], "MCP server answered with 5 tools", "{tested}");
    let skipped: Vec<_> =
        tested["skipped"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(skipped, ["schemaless", "nothing", "(without a name)", "tasky"], "{tested}");

    let registry = server.get("/api/tools/registry/schemas").await.expect(200);
    assert_eq!((&registry["count"], registry.get("problems")), (&json!(5), None), "{registry}");
    let warning = registry["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("MCP server 'mcp': 'schemaless' can't be offered: it has no inputSchema"), "{warning}");
    assert!(warning.contains("'tasky' can't be offered: it runs as a task only"), "{warning}");

    let reply = ask(&server, "Hello", json!({})).await;
    assert_eq!(reply["metadata"]["missing"], json!([warning]), "{reply}");
    assert_eq!(reply["metadata"]["degraded"], false, "{reply}");
    let told = &llm.chats()[0];
    assert_eq!(offered(told), ["mcp__good", "mcp__wordy", "mcp__nulls", "mcp__draft4", "mcp__either"]);
    // Every provider takes them, and the model is not told of what it can't use.
    for tool in told.body["tools"].as_array().unwrap() {
        let schema = &tool["function"]["parameters"];
        assert!(schema["type"] == "object" && schema["properties"].is_object(), "{schema}");
    }
    assert!(!told.text.contains("inputSchema"), "{}", told.text);

    assert_eq!(call(&server, "draft4", json!({"n": 2})).await["status"], "success");
    let wrong =
        server.post("/api/tools/mcp/execute", &json!({"tool": "draft4", "arguments": {"n": 1}})).await.expect(422);
    assert!(wrong.to_string().contains("body"), "{wrong}");
}

/// A server of a list whose page `n` says that the page `next(n)` comes then.
async fn paged(next: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> Upstream {
    modern(move |seen| {
        let cursor = seen.body["params"]["cursor"].as_str().unwrap_or("first").to_owned();
        let page = json!({"tools": [listed(&format!("of-{cursor}"), "")], "nextCursor": next(&cursor), "resultType": "complete",
            "ttlMs": 0, "cacheScope": "private"});
        is(seen, "tools/list").then(|| result_reply(seen, &page))
    })
    .await
}

#[tokio::test]
async fn a_list_that_leads_back_to_itself_ends_there() {
    let rows: [(Upstream, usize, &[&str]); 4] = [
        (paged(|_| Some("")).await, 2, &["mcp__of-first", "mcp__of-"]),
        (paged(|_| Some("a")).await, 2, &["mcp__of-first", "mcp__of-a"]),
        (
            paged(|cursor| Some(if cursor == "a" { "b" } else { "a" })).await,
            3,
            &["mcp__of-first", "mcp__of-a", "mcp__of-b"],
        ),
        (
            paged(|cursor| match cursor {
                "first" => Some("a"),
                "a" => Some("b"),
                "b" => Some("c"),
                _ => Some("b"),
            })
            .await,
            4,
            &["mcp__of-first", "mcp__of-a", "mcp__of-b", "mcp__of-c"],
        ),
    ];
    for (upstream, requests, names) in rows {
        let server = server_for(&upstream).await;
        assert_eq!(functions(&server).await.0, names);
        assert_eq!(count(&upstream, "tools/list"), requests, "{names:?}");
        let skipped = test(&server).await["skipped"].clone();
        assert_eq!(skipped.as_array().map(Vec::len), Some(1), "{skipped}");
        assert!(skipped[0]["reason"].as_str().unwrap().contains("leads back to a page that was read"), "{skipped}");
    }
    let fine = paged(|cursor| if cursor == "first" { Some("a") } else { None }).await;
    let server = server_for(&fine).await;
    assert_eq!(test(&server).await.get("skipped"), None);
}

#[tokio::test]
async fn a_page_that_fails_costs_no_page_before_it() {
    let upstream = modern(|seen| {
        if !is(seen, "tools/list") {
            return None;
        }
        if seen.body["params"]["cursor"].is_string() {
            let error = json!({"code": -32603, "message": "the store is away"});
            return Some(json_reply("200 OK", &json!({"jsonrpc": "2.0", "id": seen.body["id"], "error": error})));
        }
        Some(result_reply(
            seen,
            &json!({"tools": [listed("one", "")], "nextCursor": "2", "resultType": "complete", "ttlMs": 0,
            "cacheScope": "private"}),
        ))
    })
    .await;
    let server = server_for(&upstream).await;
    assert_eq!(functions(&server).await.0, ["mcp__one"]);
    let skipped = test(&server).await["skipped"].to_string();
    assert!(skipped.contains("page 2") && skipped.contains("the store is away"), "{skipped}");
}

/// Answers a call with this content, as JSON or as events.
async fn giving(content: Value) -> (TestServer, Upstream) {
    let upstream = modern(move |seen: &Seen| {
        if !is(seen, "tools/call") {
            return None;
        }
        let result = json!({"resultType": "complete", "content": content});
        if seen.body["params"]["arguments"]["stream"] == true {
            let message = json!({"jsonrpc": "2.0", "id": seen.body["id"], "result": result});
            return Some(vec![
                open_head("text/event-stream"),
                Act::Send(format!("event: message\ndata: {message}\n\n")),
            ]);
        }
        Some(result_reply(seen, &result))
    })
    .await;
    (server_for(&upstream).await, upstream)
}

#[tokio::test]
async fn content_of_an_unknown_type_is_named_and_the_text_beside_it_used() {
    let text = json!({"type": "text", "text": "sunny"});
    for (content, left_out) in [
        (json!([text, {"type": "hologram", "data": "AAAA"}]), Some("hologram")),
        (json!([{"type": "video", "url": "http://127.0.0.1:1/"}, text]), Some("video")),
        (json!([text, {"type": "image", "mimeType": 5}]), Some("image")),
        (json!([{"type": "text", "text": "sunny", "annotations": {"audience": "everybody"}}]), None),
        (json!([{"type": "output_text", "text": "sunny"}]), None),
    ] {
        let (server, _upstream) = giving(content.clone()).await;
        for stream in [false, true] {
            let done = call(&server, "echo", json!({"stream": stream})).await;
            assert_eq!((&done["status"], &done["output"]), (&json!("success"), &json!("sunny")), "{content}: {done}");
            match left_out {
                Some(kind) => assert!(done["metadata"]["left_out"][0].as_str().unwrap().starts_with(kind), "{done}"),
                None => assert_eq!(done["metadata"].get("left_out"), None, "{done}"),
            }
        }
    }
    let (server, _upstream) = giving(json!([{"type": "hologram", "data": "AAAA"}])).await;
    let done = call(&server, "echo", json!({})).await;
    assert_eq!(done["status"], "failure", "{done}");
    assert!(done["error"].as_str().unwrap().contains("content of a type that this server does not know"), "{done}");
}

#[tokio::test]
async fn a_server_over_http_is_greeted_in_a_revision_that_both_know() {
    let upstream = Upstream::start(|seen, _| {
        let error = |code: i32, data: Value| {
            let error = json!({"code": code, "message": "Invalid params", "data": data});
            json_reply("200 OK", &json!({"jsonrpc": "2.0", "id": seen.body["id"], "error": error}))
        };
        match seen.body["method"].as_str() {
            Some("initialize") if seen.body["params"]["protocolVersion"] == "2024-11-05" => result_reply(
                seen,
                &json!({"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {"name": "old"}}),
            ),
            Some("initialize") => error(-32602, json!({"supported": ["2024-11-05"]})),
            Some("notifications/initialized") => reply("202 Accepted", "text/plain", ""),
            Some("tools/list") => tools(seen, &[listed("echo", "")]),
            Some("tools/call") => result_reply(seen, &json!({"content": [{"type": "text", "text": "done"}]})),
            _ => error(-32601, Value::Null),
        }
    })
    .await;
    let server = server_for(&upstream).await;
    let done = call(&server, "echo", json!({})).await;
    assert_eq!(
        (&done["output"], &done["metadata"]["protocol_version"]),
        (&json!("done"), &json!("2024-11-05")),
        "{done}"
    );
    assert_eq!(done["metadata"]["server"], json!({"name": "old"}));
}

#[tokio::test]
async fn functions_beyond_those_that_a_model_is_offered_are_named() {
    let many = modern(|seen| {
        let all: Vec<_> = (0..100).map(|n| listed(&format!("tool-{n:02}"), "Does something")).collect();
        is(seen, "tools/list").then(|| tools(seen, &all))
    })
    .await;
    let llm = Upstream::saying("Hello.").await;
    let tool = json!({"type": "mcp", "config": {"url": format!("{}/mcp", many.url())}});
    let server = TestServer::with_llm(&llm, &[("TOOLS", &catalog(&[("big", tool)]))]).await;
    let reply = ask(&server, "Hello", json!({})).await;
    let missing = reply["metadata"]["missing"][0].as_str().unwrap();
    assert!(
        missing.starts_with("36 of the tools' functions were not offered") && missing.contains("64 at most"),
        "{missing}"
    );
    assert!(missing.contains("big__tool-64, big__tool-65") && missing.ends_with("and 26 more"), "{missing}");
    assert_eq!((offered(&llm.chats()[0]).len(), &reply["metadata"]["degraded"]), (64, &json!(false)));
    // Whoever names one gets it.
    let reply = ask(&server, "Hello", json!({"tools": ["big__tool-99"]})).await;
    assert_eq!(
        (&reply["metadata"]["missing"], offered(llm.chats().last().unwrap())),
        (&json!([]), vec!["big__tool-99".to_owned()])
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_missing_in_words() {
    let llm = Upstream::saying("Hello.").await;
    let tool = json!({"type": "mcp", "config": {"url": "http://127.0.0.1:1/mcp"}});
    let server = TestServer::with_llm(&llm, &[("TOOLS", &catalog(&[("gone", tool)]))]).await;
    let reply = ask(&server, "Hello", json!({})).await;
    assert_eq!(reply["metadata"]["missing"], json!(["MCP server 'gone' refused the connection"]), "{reply}");
    assert_eq!((&reply["metadata"]["degraded"], &reply["answer"]), (&json!(false), &json!("Hello.")), "{reply}");
    // A request that names it lacks something.
    let reply = ask(&server, "Hello", json!({"tools": ["gone"]})).await;
    assert_eq!(reply["metadata"]["degraded"], true, "{reply}");
}
