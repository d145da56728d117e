//! What is configured on one server is in effect on all that share its Postgres.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::databases::postgres;
use crate::common::replicas::{same, two, within};
use crate::common::resources::{AGENTS, ALL, SECRET, SOURCES, TOOLS, with};
use crate::common::{TestServer, Upstream};

/// The poll alone would take up to two.
const SECOND: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn what_is_created_on_one_server_is_used_on_the_other_within_a_second() {
    let (database, llm) = (postgres(&[]).await, Upstream::saying("Hi.").await);
    let (one, two) = two(&database.url, &[("CACHE_ENABLED", "false")]).await;
    let connection =
        json!({"base_url": llm.url(), "default_model": "stub-model", "provider": "openai", "api_key": SECRET});
    one.put("/api/llm/config", &connection).await.expect(200);
    let chat = json!({"prompt": "Hello", "user_id": "ada"});
    within(SECOND, "a chat", async || two.post("/v1/chat", &chat).await.status == 200).await;
    assert_eq!(llm.chats().pop().unwrap().headers["authorization"], format!("Bearer {SECRET}"));
    for resource in ALL {
        let upstream = Upstream::saying("ok").await;
        let entry = resource.with_token(&resource.entry("shared", &upstream.url()), json!(SECRET));
        one.post(resource.path, &entry).await.expect(201);
        within(SECOND, resource.path, async || two.get(&resource.at("shared")).await.status == 200).await;
        let (here, there) = (one.get(&resource.at("shared")).await, two.get(&resource.at("shared")).await);
        assert_eq!((here.tag(), &here.text), (there.tag(), &there.text));
        let renamed = with(&there.expect(200), "name", json!("renamed"));
        let tag = there.tag();
        two.send_if("if-match", &tag, "PUT", &resource.at("shared"), &renamed).await.expect(200);
        within(SECOND, "renamed", async || one.get(&resource.at("shared")).await.status == 404).await;
        assert_eq!(resource.names(&one, "").await, ["renamed"]);
        if resource.section == "agents" {
            one.post("/api/agents/renamed/call", &json!({"prompt": "hi"})).await.expect(200);
            assert_eq!(upstream.seen().pop().unwrap().headers["authorization"], format!("Bearer {SECRET}"));
        }
        one.delete(&resource.at("renamed")).await.expect(200);
        within(SECOND, "deleted", async || resource.names(&two, "").await.is_empty()).await;
    }
    two.delete("/api/llm/config").await.expect(200);
    within(SECOND, "no connection", async || one.get("/api/llm/config").await.expect(200)["base_url"].is_null()).await;
}

#[tokio::test]
async fn what_a_server_has_opened_to_a_source_is_closed_whoever_changes_it() {
    let (database, shop) = (postgres(&[]).await, postgres(&[]).await);
    let (one, two) = two(&database.url, &[]).await;
    let source = json!({"name": "shop", "type": "postgres", "url": shop.url});
    one.post(SOURCES.path, &source).await.expect(201);
    within(SECOND, "shop", async || SOURCES.names(&two, "").await == ["shop"]).await;
    let ask = async |server: &TestServer| {
        server.post("/api/datasources/shop/query", &json!({"query": "SELECT 1"})).await.expect(200);
    };
    let changes = [
        ("PUT", with(&source, "timeout_seconds", json!(7))),
        ("PUT", with(&source, "enabled", json!(false))),
        ("DELETE", Value::Null),
    ];
    for (method, body) in changes {
        ask(&one).await;
        ask(&two).await;
        assert_eq!(shop.sessions().await, 2);
        one.send_if("if-match", "*", method, &SOURCES.at("shop"), &body).await.expect(200);
        within(SECOND, "closed", async || shop.sessions().await == 0).await;
        if body["enabled"] == false {
            one.post("/api/config/rollback", &json!({"revision": 2})).await.expect(200);
            within(SECOND, "enabled", async || two.get(&SOURCES.at("shop")).await.expect(200)["enabled"] == true).await;
        }
    }
}

#[tokio::test]
async fn a_question_that_is_verified_on_one_server_is_known_to_the_other_and_goes_with_its_source() {
    let database = postgres(&["CREATE TABLE customers (id int PRIMARY KEY, city text)"]).await;
    let (one, two) = two(&database.url, &[]).await;
    let source = json!({"name": "shop", "type": "postgres", "url": database.url});
    one.post(SOURCES.path, &source).await.expect(201);
    within(SECOND, "shop", async || SOURCES.names(&two, "").await == ["shop"]).await;
    let question = json!({"question": "How many customers?", "query": "SELECT count(*) AS n FROM customers"});
    let verified = two.post("/api/datasources/shop/verified", &question).await.expect(201)["verified"].take();
    let listed = async |at: &str| one.get(at).await.json()["verified"].clone();
    within(SECOND, "verified", async || listed("/api/datasources/shop/verified").await == json!([verified])).await;
    let renamed = with(&two.get(&SOURCES.at("shop")).await.expect(200), "name", json!("store"));
    two.put(&SOURCES.at("shop"), &renamed).await.expect(200);
    within(SECOND, "renamed", async || listed("/api/datasources/store/verified").await == json!([verified])).await;
    one.delete(&SOURCES.at("store")).await.expect(200);
    within(SECOND, "deleted", async || SOURCES.names(&two, "").await.is_empty()).await;
    assert_eq!(
        database.count("SELECT count(*) FROM config_entry WHERE section = 'verified' AND body IS NOT NULL").await,
        0
    );
}

#[tokio::test]
async fn a_change_counts_only_if_nobody_else_has_made_one_whichever_server_it_is_sent_to() {
    let database = postgres(&[]).await;
    let (one, two) = two(&database.url, &[]).await;
    for resource in ALL {
        let entry = resource.entry("shared", "http://127.0.0.1:9");
        one.post(resource.path, &entry).await.expect(201);
        two.post(resource.path, &entry).await.expect(409);
        let read = two.get(&resource.at("shared")).await;
        let changed = |value: bool| with(&entry, "enabled", json!(value));
        one.send_if("if-match", &read.tag(), "PUT", &resource.at("shared"), &changed(false)).await.expect(200);
        let late = two.send_if("if-match", &read.tag(), "PUT", &resource.at("shared"), &changed(true)).await;
        late.expect(412);
        // What it was refused for is known here from now on.
        assert_eq!(two.get(&resource.at("shared")).await.expect(200)["enabled"], false);
        two.send_if("if-match", &read.tag(), "DELETE", &resource.at("shared"), &Value::Null).await.expect(412);
        // Removed and made again as it was, it is another one.
        let tag = one.get(&resource.at("shared")).await.tag();
        one.delete(&resource.at("shared")).await.expect(200);
        one.post(resource.path, &changed(false)).await.expect(201);
        two.send_if("if-match", &tag, "PUT", &resource.at("shared"), &changed(true)).await.expect(412);
        same(&one, &two, resource, SECOND).await;
    }
}

/// Makes an entry on each server by turns, and changes those of the other.
async fn change(server: &TestServer, other: &TestServer, number: usize) {
    let entry = AGENTS.entry(&format!("agent-{number}"), "http://127.0.0.1:9");
    server.post(AGENTS.path, &entry).await.expect(201);
    let path = AGENTS.at(&format!("agent-{number}"));
    let tag = server.get(&path).await.tag();
    other.send_if("if-match", &tag, "PUT", &path, &with(&entry, "timeout_seconds", json!(7))).await.expect(200);
}

#[tokio::test]
async fn two_hundred_changes_by_turns_and_at_once_are_all_there_on_both_servers() {
    let database = postgres(&[]).await;
    let (one, two) = two(&database.url, &[]).await;
    for number in 0..50 {
        match number % 2 {
            0 => change(&one, &two, number).await,
            _ => change(&two, &one, number).await,
        }
    }
    let at_once = (50..150).map(|number| {
        let server = if number % 2 == 0 { &one } else { &two };
        async move { AGENTS.add(server, &format!("agent-{number}")).await }
    });
    futures_util::future::join_all(at_once).await;
    same(&one, &two, &AGENTS, 2 * SECOND).await;
    let listed = one.get(AGENTS.path).await.expect(200);
    assert_eq!(listed.as_array().unwrap().len(), 150);
    let changed = |entry: &&Value| entry["timeout_seconds"] == 7;
    assert_eq!(listed.as_array().unwrap().iter().filter(changed).count(), 50);
    let revisions = "SELECT count(*) FROM config_revision";
    assert_eq!(database.count(revisions).await, 200);
    assert_eq!(database.count("SELECT max(number) FROM config_revision").await, 200, "none is left out");
    let restarted = two.restart().await;
    assert_eq!(restarted.get(AGENTS.path).await.expect(200), listed);
}

#[tokio::test]
async fn what_a_variable_configures_stays_each_servers_own_and_what_is_removed_is_removed_on_all() {
    let database = postgres(&[]).await;
    let seed = r#"{"seed": {"url": "http://127.0.0.1:9"}, "kept": {"url": "http://127.0.0.1:9"}}"#;
    let dsn = ("POSTGRES_DSN", database.url.as_str());
    let seeded = TestServer::with(&[dsn, ("EXTERNAL_AGENTS", seed)]).await;
    let bare = TestServer::with(&[dsn]).await;
    seeded.delete(&AGENTS.at("seed")).await.expect(200);
    AGENTS.add(&bare, "added").await;
    within(SECOND, "added", async || AGENTS.names(&seeded, "").await == ["kept", "added"]).await;
    assert_eq!(AGENTS.names(&bare, "").await, ["added"]);
    let again = TestServer::with(&[dsn, ("EXTERNAL_AGENTS", seed)]).await;
    assert_eq!(AGENTS.names(&again, "").await, ["kept", "added"]);
}

#[tokio::test]
async fn an_entry_that_this_version_cant_read_is_left_out_and_the_others_count() {
    let database = postgres(&[]).await;
    let (one, two) = two(&database.url, &[]).await;
    for resource in [&AGENTS, &SOURCES, &TOOLS] {
        resource.add(&one, "good").await;
    }
    database
        .execute(
            "INSERT INTO config_entry VALUES ('agents', 'odd', 5, '{\"name\": \"odd\", \"url\": \"nowhere\"}', 4),
                 ('workflows', 'future', 1, '{}', 4), ('tools', 'broken', 3, '{', 4);
             UPDATE config_head SET revision = 4",
        )
        .await;
    // The poll finds it: nobody has said anything.
    let (health, third) = (two.get("/health").await, TestServer::with(&[("POSTGRES_DSN", &database.url)]).await);
    health.expect(200);
    AGENTS.add(&one, "next").await;
    within(3 * SECOND, "next", async || AGENTS.names(&two, "").await == ["good", "next"]).await;
    assert_eq!(TOOLS.names(&two, "").await, ["good"]);
    within(3 * SECOND, "next", async || AGENTS.names(&third, "").await == ["good", "next"]).await;
    // A new one of its name takes its place.
    TOOLS.add(&two, "broken").await;
    within(SECOND, "repaired", async || TOOLS.names(&one, "").await == ["good", "broken"]).await;
}
