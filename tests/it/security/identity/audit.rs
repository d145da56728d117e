//! Who changed what, and who was refused.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ADMIN, client_with, user, with_authentication};
use crate::common::{Answer, Client, TestServer};

const CREDENTIAL: &str = "Kq5vTz81-credential-of-the-weather";

/// The records that these parameters find, newest first, once there are so many.
async fn records(admin: &Client, query: &str, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        let page = admin.get(&format!("/api/audit?{query}")).await.expect(200);
        let records = page["records"].as_array().unwrap().clone();
        if records.len() >= count {
            return records;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("there are no {count} records for {query}");
}

#[tokio::test]
async fn every_change_and_every_refusal_is_told_with_who_and_what() {
    let server = TestServer::with(&with_authentication(&[("TRUSTED_PROXIES", "127.0.0.0/8")])).await;
    let admin = server.with_credential(ADMIN);
    let ada = client_with(&server, json!({"role": "operator", "user_id": "ada"})).await;
    let tool = |timeout: u32| {
        json!({"name": "weather", "type": "http_request", "description": "Weather",
            "config": {"base_url": "http://127.0.0.1:9", "auth_token": CREDENTIAL, "timeout": timeout}})
    };
    ada.post("/api/tools", &tool(5)).await.expect(201);
    let changing = ada.request("PUT", "/api/tools/weather").header("content-type", "application/json");
    let changing = changing.header("x-forwarded-for", "6.6.6.6, 203.0.113.7").header("x-request-id", "change-1");
    Answer::of(changing.body(tool(7).to_string())).await.expect(200);
    ada.put("/api/tools/weather", &json!({"name": "weather"})).await.expect(422);
    ada.put("/api/llm/config", &json!({"temperature": 0.4, "api_key": CREDENTIAL})).await.expect(200);
    ada.delete("/api/tools/weather").await.expect(200);

    let all = admin.get("/api/audit?limit=200").await;
    assert!(!all.text.contains(CREDENTIAL) && !all.text.contains(ADMIN), "no secret is written down");
    let of_tool = records(&admin, "target=tools/weather", 3).await;
    let [removed, changed, added] = &of_tool[..] else { panic!("what failed has changed nothing: {of_tool:?}") };
    assert_eq!((&added["operation"], &added["before"]), (&json!("create_tool"), &json!(null)));
    assert_eq!((&added["user_id"], &added["role"]), (&json!("ada"), &json!("operator")));
    assert_eq!(added["after"]["config"]["auth_token"], "********");
    assert_eq!((&changed["before"], &removed["before"]), (&added["after"], &changed["after"]));
    let timeouts = [&changed["before"], &changed["after"]].map(|shown| shown["config"]["timeout"].clone());
    assert_eq!(timeouts, [json!(5), json!(7)]);
    assert_eq!((&changed["address"], &changed["request_id"]), (&json!("203.0.113.7"), &json!("change-1")));
    assert_eq!(
        (&changed["method"], &changed["path"], &changed["status"]),
        (&json!("PUT"), &json!("/api/tools/weather"), &json!(200))
    );
    assert_eq!((&removed["after"], &removed["outcome"]), (&json!(null), &json!("changed")));
    let llm = &records(&admin, "target=llm", 1).await[0];
    assert_eq!((&llm["after"]["temperature"], &llm["after"]["api_key"]), (&json!(0.4), &json!("********")));
    let keys = records(&admin, "operation=create_key", 1).await;
    assert!(keys[0]["target"].as_str().unwrap().starts_with("keys/") && keys[0]["after"]["prefix"].is_string());

    // Refusals: nobody, somebody who lacks a scope, somebody who asks for another's.
    server.get("/api/agents").await.expect(401);
    server.with_credential("wrong").get("/api/agents").await.expect(401);
    let eve = user(&server, "eve").await;
    eve.delete("/api/tools/weather").await.expect(403);
    eve.get("/api/memory/ada/history").await.expect(404);
    let refused = records(&admin, "outcome=refused", 4).await;
    let told: Vec<_> =
        refused.iter().rev().map(|it| (it["user_id"].clone(), it["status"].clone(), it["target"].clone())).collect();
    let expected = [
        (json!(null), json!(401), json!(null)),
        (json!(null), json!(401), json!(null)),
        (json!("eve"), json!(403), json!("scope tools:write")),
        (json!("eve"), json!(404), json!("conversations/ada")),
    ];
    assert_eq!(told, expected);
    assert_eq!(records(&admin, "actor=eve", 2).await.len(), 2);
}

#[tokio::test]
async fn the_log_is_read_page_by_page_and_by_nobody_who_may_not() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let admin = server.with_credential(ADMIN);
    for number in 0..5 {
        let agent = json!({"name": format!("agent-{number}"), "url": "http://127.0.0.1:9"});
        admin.post("/api/agents", &agent).await.expect(201);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/api/audit?operation=create_agent&limit=2{cursor}")).await.expect(200);
        seen.extend(page["records"].as_array().unwrap().iter().map(|it| it["target"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["agents/agent-4", "agents/agent-3", "agents/agent-2", "agents/agent-1", "agents/agent-0"]);
    admin.get("/api/audit?since=2999-01-01T00:00:00Z").await.expect(200)["records"]
        .as_array()
        .map(|none| assert!(none.is_empty()))
        .unwrap();
    admin.get("/api/audit?since=yesterday").await.expect(422);
    admin.get("/api/audit?outcome=lost").await.expect(422);
    admin.get("/api/audit?cursor=x").await.expect(400);
    client_with(&server, json!({"role": "operator"})).await.get("/api/audit").await.expect(403);
}

#[tokio::test]
async fn a_flood_of_refusals_is_written_no_faster_than_fifty_a_second() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let (admin, started) = (server.with_credential(ADMIN), Instant::now());
    for _ in 0..6 {
        let asking = (0..50).map(|_| server.get("/api/agents"));
        futures_util::future::join_all(asking).await;
    }
    let written = records(&admin, "outcome=refused&limit=200", 1).await.len();
    // Fifty at once, and fifty more with each second that has begun.
    let allowed = 50 * (2 + started.elapsed().as_secs());
    assert!(written as u64 <= allowed, "{written} in {:?}", started.elapsed());
}

#[tokio::test]
async fn the_last_refusals_before_a_stop_are_told_after_it() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let viewer = client_with(&server, json!({"role": "viewer", "user_id": "eve"})).await;
    for _ in 0..3 {
        viewer.get("/api/auth/keys").await.expect(403);
    }
    let server = server.restart().await;
    let page = server.with_credential(ADMIN).get("/api/audit?actor=eve").await.expect(200);
    assert_eq!(page["records"].as_array().unwrap().len(), 3, "{page}");
}
