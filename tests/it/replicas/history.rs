//! Revisions of what is configured: told, compared, undone; in files and in Postgres.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::databases::postgres;
use crate::common::replicas::{two, within};
use crate::common::resources::{AGENTS, SECRET, TOOLS, with};
use crate::common::{TestServer, Upstream};

/// The revisions as numbers with what they changed, newest first.
async fn told(server: &TestServer, query: &str) -> Vec<(i64, String, Vec<String>)> {
    let page = server.get(&format!("/api/config/history{query}")).await.expect(200);
    let texts = |list: &Value| list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    let revision = |it: &Value| {
        (it["number"].as_i64().unwrap(), it["operation"].as_str().unwrap().to_owned(), texts(&it["changed"]))
    };
    page["revisions"].as_array().unwrap().iter().map(revision).collect()
}

fn revision(number: i64, operation: &str, changed: &str) -> (i64, String, Vec<String>) {
    (number, operation.to_owned(), vec![changed.to_owned()])
}

async fn roll_back(server: &TestServer, number: i64) -> Value {
    server.post("/api/config/rollback", &json!({"revision": number})).await.expect(200)["revision"].clone()
}

async fn changes_are_told_compared_and_undone(server: TestServer) {
    let upstream = Upstream::saying("ok").await;
    let agent = AGENTS.with_token(&AGENTS.entry("billing", &upstream.url()), json!(SECRET));
    server.post(AGENTS.path, &agent).await.expect(201);
    server.put("/api/llm/config", &json!({"default_model": "m", "api_key": SECRET})).await.expect(200);
    let slower = with(&server.get(&AGENTS.at("billing")).await.expect(200), "timeout_seconds", json!(7));
    server.put(&AGENTS.at("billing"), &slower).await.expect(200);
    let then = server.get(&AGENTS.at("billing")).await;
    server.delete(&AGENTS.at("billing")).await.expect(200);
    TOOLS.add(&server, "search").await;

    let expected = [
        revision(5, "create_tool", "tools/search"),
        revision(4, "delete_agent", "agents/billing"),
        revision(3, "update_agent", "agents/billing"),
        revision(2, "put_llm_config", "llm/connection"),
        revision(1, "create_agent", "agents/billing"),
    ];
    assert_eq!(told(&server, "").await, expected);
    let page = server.get("/api/config/history?limit=2").await.expect(200);
    assert_eq!((&page["count"], &page["next_cursor"]), (&json!(2), &json!(4)));
    assert_eq!(told(&server, "?limit=2&cursor=4").await, expected[2..4]);
    assert_eq!(server.get("/api/config/history?limit=2&cursor=2").await.expect(200)["next_cursor"], Value::Null);

    let shown = server.get("/api/config/revisions/3").await;
    let change = shown.expect(200)["changes"][0].clone();
    assert_eq!((&change["before"]["timeout_seconds"], &change["after"]["timeout_seconds"]), (&json!(30), &json!(7)));
    assert_eq!((&change["fields"], &change["after"]["auth_token"]), (&json!(["timeout_seconds"]), &json!("********")));
    let diff = server.get("/api/config/revisions/3/diff").await;
    let changes = diff.expect(200)["changes"].clone();
    let targets: Vec<_> = changes.as_array().unwrap().iter().map(|change| &change["target"]).collect();
    assert_eq!(targets, ["agents/billing", "tools/search"]);
    assert!(changes[0]["after"].is_null() && changes[1]["before"].is_null(), "{changes}");
    let llm = server.get("/api/config/revisions/2").await;
    for answer in [&shown, &diff, &llm] {
        assert!(!answer.text.contains(SECRET), "{}", answer.text);
    }

    assert_eq!(roll_back(&server, 3).await, 6);
    let back = server.get(&AGENTS.at("billing")).await;
    assert_eq!((back.expect(200), back.tag()), (then.expect(200), then.tag()));
    assert!(TOOLS.names(&server, "").await.is_empty());
    server.post(&format!("{}/call", AGENTS.at("billing")), &json!({"prompt": "hi"})).await.expect(200);
    assert_eq!(upstream.seen().pop().unwrap().headers["authorization"], format!("Bearer {SECRET}"), "it came back");
    assert_eq!(roll_back(&server, 3).await, 6, "there is nothing to do");
    assert_eq!(roll_back(&server, 5).await, 7, "a rollback is undone like anything else");
    assert_eq!((AGENTS.names(&server, "").await, TOOLS.names(&server, "").await), (vec![], vec!["search".to_owned()]));
    assert_eq!(roll_back(&server, 1).await, 8);
    assert_eq!(server.get("/api/llm/config").await.expect(200)["default_model"], Value::Null);
    server.get("/api/config/revisions/99").await.expect(404);
    server.get("/api/config/revisions/99/diff").await.expect(404);
    server.post("/api/config/rollback", &json!({"revision": 99})).await.expect(404);
    server.post("/api/config/rollback", &json!({})).await.expect(422);
    let (all, server) = (told(&server, "").await, server.restart().await);
    assert_eq!((told(&server, "").await, AGENTS.names(&server, "").await), (all, vec!["billing".to_owned()]));
}

#[tokio::test]
async fn changes_are_told_compared_and_undone_in_files() {
    changes_are_told_compared_and_undone(TestServer::bare().await).await;
}

#[tokio::test]
async fn changes_are_told_compared_and_undone_in_postgres() {
    let database = postgres(&[]).await;
    changes_are_told_compared_and_undone(TestServer::with(&[("POSTGRES_DSN", &database.url)]).await).await;
}

#[tokio::test]
async fn a_rollback_on_one_server_is_in_effect_on_the_other_and_both_tell_the_same() {
    let database = postgres(&[]).await;
    let (one, two) = two(&database.url, &[]).await;
    AGENTS.add(&one, "first").await;
    AGENTS.add(&two, "second").await;
    assert_eq!(roll_back(&two, 1).await, 3);
    within(Duration::from_secs(1), "rolled back", async || AGENTS.names(&one, "").await == ["first"]).await;
    assert_eq!(told(&one, "").await, told(&two, "").await);
}

#[tokio::test]
async fn files_that_were_changed_by_hand_are_a_revision_of_their_own() {
    let server = TestServer::bare().await;
    AGENTS.add(&server, "mine").await;
    let server = server.restart().await;
    assert_eq!(told(&server, "").await.len(), 1, "a restart is no change");
    let path = server.folder().join("config/agents.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"timeout_seconds\": 30", "\"timeout_seconds\": 9");
    std::fs::write(&path, text).unwrap();
    let server = server.restart().await;
    let page = server.get("/api/config/history").await.expect(200);
    assert_eq!((&page["count"], &page["revisions"][0]["author"]), (&json!(2), &json!("files")));
    assert_eq!(roll_back(&server, 1).await, 3);
    assert_eq!(server.get(&AGENTS.at("mine")).await.expect(200)["timeout_seconds"], 30);
}

#[tokio::test]
async fn what_cant_be_used_any_more_is_not_returned_to() {
    let server = TestServer::with(&[("AGENT_TOKEN", "t"), ("API_REFERENCES", "AGENT_TOKEN")]).await;
    let agent = AGENTS.with_token(&AGENTS.entry("billing", "http://127.0.0.1:9"), json!("${AGENT_TOKEN}"));
    server.post(AGENTS.path, &agent).await.expect(201);
    server.delete(&AGENTS.at("billing")).await.expect(200);
    AGENTS.add(&server, "other").await;
    let server = server.restart_with(&[("AGENT_TOKEN", "")]).await;
    let refused = server.post("/api/config/rollback", &json!({"revision": 1})).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("AGENT_TOKEN"), "{refused}");
    assert_eq!(AGENTS.names(&server, "").await, ["other"], "all of it or nothing");
}
