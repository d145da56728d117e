//! Agents are tested one by one and all at once, and those that keep failing are spared.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::common::upstream::{json_reply, reply};
use crate::common::{Act, Answer, TestServer, Upstream};

async fn add(server: &TestServer, name: &str, url: &str, timeout: u32) {
    let agent = json!({"name": name, "url": url, "timeout_seconds": timeout, "auth_token": "token-of-the-agent"});
    server.post("/api/agents", &agent).await.expect(201);
}

async fn test(server: &TestServer, name: &str) -> Value {
    let mut tested = server.post(&format!("/api/agents/{name}/test"), &json!({})).await.expect(200);
    if let Some(took) = tested.get_mut("response_time_ms") {
        assert!(took.take().as_f64().unwrap() >= 0.0);
    }
    tested
}

async fn health(server: &TestServer) -> Value {
    server.get("/api/agents/health/all").await.expect(200)
}

/// Replies with this status until the test says otherwise, and is well on `/health`.
async fn answering(status: &'static str) -> Upstream {
    Upstream::start(move |seen, _| match seen.path.as_str() {
        "/health" => json_reply("200 OK", &json!({"status": "fine"})),
        _ => reply(status, "text/plain", "not now"),
    })
    .await
}

#[tokio::test]
async fn a_test_asks_for_health_and_only_a_plain_200_is_well() {
    for (status, well) in [
        ("200 OK", true),
        ("201 Created", false),
        ("204 No Content", false),
        ("302 Found", false),
        ("401 Unauthorized", false),
        ("500 Internal Server Error", false),
    ] {
        let agent = Upstream::start(move |_, _| reply(status, "text/plain", "")).await;
        let server = TestServer::bare().await;
        let url = format!("{}/base/", agent.url());
        add(&server, "a", &url, 5).await;
        let code: u16 = status[..3].parse().unwrap();
        let message = if well { "Agent is reachable" } else { "Agent returned non-200 status" };
        let expected = json!({"success": well, "agent": "a", "url": url, "status_code": code, "message": message,
            "response_time_ms": null, "breaker": "closed"});
        assert_eq!(test(&server, "a").await, expected, "{status}");
        let seen = &agent.seen()[0];
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/base/health"));
        assert_eq!(seen.headers["authorization"], "Bearer token-of-the-agent");
    }
}

#[tokio::test]
async fn a_test_that_gets_no_answer_says_why_in_the_words_of_the_original() {
    let server = TestServer::bare().await;
    add(&server, "down", "http://127.0.0.1:1", 5).await;
    let down = test(&server, "down").await;
    assert_eq!((&down["success"], &down["message"]), (&json!(false), &json!("Failed to connect to agent")));
    assert_eq!(down["error"], "Agent 'down' refused the connection");
    assert!(down.get("status_code").is_none());

    let hanging = Upstream::start(|_, _| vec![Act::Hang]).await;
    add(&server, "slow", &hanging.url(), 1).await;
    let slow = test(&server, "slow").await;
    let message = "Agent did not respond within timeout period";
    assert_eq!(
        (&slow["success"], &slow["error"], &slow["message"]),
        (&json!(false), &json!("Connection timeout"), &json!(message))
    );

    let off = json!({"name": "off", "url": hanging.url(), "enabled": false});
    server.post("/api/agents", &off).await.expect(201);
    let expected = json!({"success": false, "agent": "off", "url": hanging.url(), "error": "Agent 'off' is disabled",
        "message": "Agent not found or disabled"});
    assert_eq!(test(&server, "off").await, expected);
    assert_eq!(hanging.seen().len(), 1);

    let unknown = server.post("/api/agents/nobody/test", &json!({})).await.expect(404);
    assert_eq!(unknown["detail"], "Agent 'nobody' not found");
}

#[tokio::test]
async fn a_test_ignores_whatever_body_it_is_sent() {
    let agent = answering("200 OK").await;
    let server = TestServer::bare().await;
    add(&server, "a", &agent.url(), 5).await;
    for body in ["", "null", "[]", "{", "{\"config\": {}}", "prompt=Hello"] {
        let request = server.request("POST", "/api/agents/a/test").body(body);
        assert_eq!(Answer::of(request).await.expect(200)["success"], true, "{body:?}");
    }
}

#[tokio::test]
async fn the_health_of_all_is_asked_at_once_and_one_that_hangs_delays_nobody_for_good() {
    // Each of two agents answers only when the other has been asked too.
    let words = [Arc::new(Notify::new()), Arc::new(Notify::new())];
    let meeting = |mine: Arc<Notify>, others: Arc<Notify>| {
        Upstream::start(move |_, _| {
            others.notify_one();
            let mut acts = vec![Act::Wait(mine.clone())];
            acts.extend(reply("200 OK", "text/plain", "both here"));
            acts
        })
    };
    let first = meeting(words[0].clone(), words[1].clone()).await;
    let second = meeting(words[1].clone(), words[0].clone()).await;
    let hanging = Upstream::start(|_, _| vec![Act::Hang]).await;
    let broken = Upstream::start(|_, _| reply("503 Service Unavailable", "text/plain", "")).await;
    let server = TestServer::bare().await;
    add(&server, "zoe", &first.url(), 10).await;
    add(&server, "hanging", &hanging.url(), 1).await;
    add(&server, "broken", &broken.url(), 10).await;
    server.post("/api/agents", &json!({"name": "off", "url": broken.url(), "enabled": false})).await.expect(201);
    add(&server, "adam", &second.url(), 10).await;
    add(&server, "down", "http://127.0.0.1:1", 10).await;

    let all = health(&server).await;
    let told: Vec<_> = all["agents"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, agent)| {
            (
                name.as_str(),
                agent["healthy"] == true,
                agent["message"].as_str().unwrap(),
                agent["url"].as_str().unwrap(),
                agent["breaker"].as_str(),
            )
        })
        .collect();
    let closed = Some("closed");
    let expected = [
        ("zoe", true, "Agent is reachable", &*first.url(), closed),
        ("hanging", false, "Agent did not respond within timeout period", "", closed),
        ("broken", false, "Agent returned non-200 status", &broken.url(), closed),
        ("off", false, "Agent not found or disabled", "", None),
        ("adam", true, "Agent is reachable", &second.url(), closed),
        ("down", false, "Failed to connect to agent", "", closed),
    ];
    assert_eq!(told, expected);
    assert_eq!((&all["total"], &all["healthy"]), (&json!(6), &json!(2)));
    assert_eq!(broken.seen().len(), 1, "the disabled one is not asked");
}

#[tokio::test]
async fn with_no_agents_there_is_nothing_to_say() {
    let server = TestServer::bare().await;
    assert_eq!(health(&server).await, json!({"agents": {}, "total": 0, "healthy": 0}));
    assert_eq!(server.get("/api/agents").await.text, "[]");
}

#[tokio::test]
async fn after_five_failures_calls_fail_at_once_until_a_test_succeeds() {
    let agent = answering("503 Service Unavailable").await;
    let server = TestServer::bare().await;
    add(&server, "a", &agent.url(), 5).await;
    add(&server, "b", &agent.url(), 5).await;
    let call = async |name: &str| server.post(&format!("/api/agents/{name}/call"), &json!({})).await.expect(200);
    let calls = || agent.chats().len();
    for nth in 1..=5 {
        let failed = call("a").await;
        assert_eq!((&failed["success"], &failed["status_code"]), (&json!(false), &json!(503)), "{nth}");
        assert_eq!(calls(), nth);
    }
    for _ in 0..3 {
        let spared = call("a").await;
        assert_eq!((&spared["success"], &spared["status_code"]), (&json!(false), &json!(500)));
        assert!(spared["error"].as_str().unwrap().contains("keeps failing"), "{spared}");
    }
    assert_eq!(calls(), 5, "the agent saw no more");
    // Another agent on the same server has a record of its own.
    assert_eq!(call("b").await["status_code"], 503);
    assert_eq!(calls(), 6);

    let tested = test(&server, "a").await;
    assert_eq!((&tested["success"], &tested["breaker"]), (&json!(true), &json!("closed")));
    assert_eq!(call("a").await["status_code"], 503);
    assert_eq!(calls(), 7, "it is called again");
}

#[tokio::test]
async fn an_open_breaker_shows_and_a_test_that_fails_leaves_it_open() {
    let agent = Upstream::start(|_, _| reply("502 Bad Gateway", "text/plain", "")).await;
    let server = TestServer::bare().await;
    add(&server, "a", &agent.url(), 5).await;
    assert_eq!(test(&server, "a").await["breaker"], "closed");
    for _ in 0..5 {
        server.post("/api/agents/a/call", &json!({})).await.expect(200);
    }
    assert_eq!(test(&server, "a").await["breaker"], "open");
    assert_eq!(health(&server).await["agents"]["a"]["breaker"], "open");
    assert!(server.post("/api/agents/a/call", &json!({})).await.text.contains("keeps failing"));

    // At another address it starts with a clean record.
    let well = answering("200 OK").await;
    let moved = json!({"name": "a", "url": well.url(), "auth_token": null});
    server.put("/api/agents/a", &moved).await.expect(200);
    assert_eq!(server.post("/api/agents/a/call", &json!({})).await.expect(200)["success"], true);
}

#[tokio::test]
async fn four_failures_and_errors_that_are_answers_open_no_breaker() {
    let agent = Upstream::start(|seen, _| {
        reply(if seen.path == "/bad" { "503 Service Unavailable" } else { "400 Bad Request" }, "text/plain", "")
    })
    .await;
    let server = TestServer::bare().await;
    add(&server, "a", &agent.url(), 5).await;
    for _ in 0..3 {
        for endpoint in ["/bad", "/bad", "/bad", "/bad", "/wrong"] {
            server.post(&format!("/api/agents/a/call?endpoint={endpoint}"), &json!({})).await.expect(200);
        }
    }
    assert_eq!(agent.seen().len(), 15);
    assert_eq!(test(&server, "a").await["breaker"], "closed");
}

#[tokio::test]
async fn the_gui_keeps_agents() {
    let agent = answering("200 OK").await;
    let server = TestServer::bare().await;
    // AgentsConfig.tsx: what the form sends, the name verbatim in the path, the whole element back in a PUT.
    let form = json!({"name": "Support Agent", "url": agent.url(), "auth_token": "", "timeout_seconds": 30, "enabled": true,
        "metadata": {"system_prompt": "You help.", "llm_connection": "default", "attached_tools": ["search"], "langgraph_profile": "basic"}});
    server.post("/api/agents", &form).await.expect(201);
    assert_eq!(server.post("/api/agents", &form).await.expect(409)["detail"], "Agent 'Support Agent' already exists");
    let shown = server.get("/api/agents").await.expect(200)[0].clone();
    let mut expected = form.clone();
    expected["auth_token"] = json!(null);
    assert_eq!(shown, expected);

    server.get("/api/llm/config").await.expect(200);
    let mut edited = shown.clone();
    edited["timeout_seconds"] = json!(45);
    edited["metadata"]["attached_tools"] = json!([]);
    edited["status"] = json!({"connected": true});
    let saved = server.put("/api/agents/Support Agent", &edited).await.expect(200);
    assert_eq!(saved["message"], "Agent 'Support Agent' updated successfully");
    edited.as_object_mut().unwrap().remove("status");
    assert_eq!(server.get("/api/agents").await.expect(200), json!([edited]));

    // An emptied number box becomes null.
    let mut emptied = edited.clone();
    emptied["timeout_seconds"] = json!(null);
    let refused = server.put("/api/agents/Support Agent", &emptied).await.expect(422);
    assert_eq!(
        (&refused["errors"][0]["type"], &refused["errors"][0]["loc"][1]),
        (&json!("int_type"), &json!("timeout_seconds"))
    );

    // axios.post with one argument: no body, no content type.
    let tested = Answer::of(server.request("POST", "/api/agents/Support Agent/test")).await.expect(200);
    assert_eq!((&tested["success"], &tested["message"]), (&json!(true), &json!("Agent is reachable")));
    assert!(!agent.seen()[0].headers.contains_key("authorization"));

    let preflight = server.request("OPTIONS", "/api/agents/Support Agent").header("origin", "http://localhost:3000");
    let preflight = Answer::of(preflight.header("access-control-request-method", "DELETE")).await;
    assert_eq!(
        (preflight.status, &preflight.headers["access-control-allow-origin"]),
        (200, &"http://localhost:3000".parse().unwrap())
    );
    assert!(preflight.headers["access-control-allow-methods"].to_str().unwrap().contains("DELETE"));
    server.delete("/api/agents/Support Agent").await.expect(200);
    assert_eq!(server.get("/api/agents").await.text, "[]");
    assert_eq!(
        server.delete("/api/agents/Support Agent").await.expect(404)["detail"],
        "Agent 'Support Agent' not found"
    );
}
