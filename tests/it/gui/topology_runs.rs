//! Executions that the topology page starts, follows and stops.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::chat::{Wanted, catalog, rest, source, wanted};
use crate::common::upstream::{json_reply, openai};
use crate::common::{Act, Client, TestServer, Upstream};

const WORDS: [&str; 4] = ["running", "completed", "failed", "stopped"];

async fn start(client: &Client, input: Value) -> String {
    let body = json!({"input_data": input, "test_mode": true});
    let started = client.post("/api/topology/execute", &body).await.expect(200);
    assert_eq!((&started["success"], &started["status"]), (&json!(true), &json!("running")));
    started["execution_id"].as_str().unwrap().to_owned()
}

/// Where an execution is, all that the page reads being there.
async fn look(client: &Client, id: &str) -> Value {
    let seen = client.get(&format!("/api/topology/execution/{id}")).await.expect(200);
    assert_eq!(seen["execution_id"], id);
    assert!(WORDS.iter().any(|word| seen["status"] == *word), "{seen}");
    assert!((0.0..=1.0).contains(&seen["progress"].as_f64().unwrap()), "{seen}");
    assert!(seen["error"].is_null() || seen["error"].is_string(), "{seen}");
    let graph = client.get("/api/topology/graph").await.expect(200);
    let nodes: HashSet<_> =
        graph["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap()).collect();
    assert!(nodes.contains(seen["current_node"].as_str().unwrap()), "{seen}");
    for line in seen["logs"].as_array().unwrap() {
        assert!(nodes.contains(line["node"].as_str().unwrap()), "{line}");
        assert!(["info", "warning", "error"].iter().any(|level| line["level"] == *level), "{line}");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z') && line["message"].is_string(), "{line}");
    }
    seen
}

/// Follows an execution, as the page does, until it is like this.
async fn follow(client: &Client, id: &str, is_there: impl Fn(&Value) -> bool) -> Value {
    let mut seen = look(client, id).await;
    for _ in 0..1000 {
        if is_there(&seen) {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        seen = look(client, id).await;
    }
    panic!("it did not come to that: {seen}");
}

async fn ended(client: &Client, id: &str) -> Value {
    follow(client, id, |seen| seen["status"] != "running").await
}

fn messages(seen: &Value) -> Vec<&str> {
    seen["logs"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap()).collect()
}

/// An LLM that says nothing until its client leaves.
async fn hanging() -> Upstream {
    Upstream::start(|seen, _| if seen.method == "GET" { openai(seen, "") } else { vec![Act::Hang] }).await
}

#[tokio::test]
async fn an_execution_is_a_real_one_and_is_followed_to_its_end() {
    let crm = source(json!([{"name": "gold", "price": 5}])).await;
    let llm = Upstream::start(|seen, _| match wanted(seen) {
        Wanted::Query => openai(seen, "SELECT name FROM plans"),
        _ => openai(seen, "There is gold."),
    })
    .await;
    let sources = catalog(&[("crm", rest(&crm.url()))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;

    let id = start(&server, json!({"prompt": "Select all plans from crm"})).await;
    let seen = ended(&server, &id).await;
    assert_eq!((&seen["status"], &seen["current_node"]), (&json!("completed"), &json!("end")), "{seen}");
    assert_eq!((seen["progress"].as_f64(), &seen["error"]), (Some(1.0), &json!(null)));
    assert!(seen["answer"].as_str().unwrap().starts_with("There is gold."), "{seen}");
    let nodes: Vec<_> = seen["logs"].as_array().unwrap().iter().map(|line| line["node"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["start", "intent_router", "planner", "datasource:crm", "llm_agent", "end"], "{seen}");
    let messages = messages(&seen);
    assert_eq!(messages[0], "Started: Select all plans from crm");
    assert!(messages[2].starts_with("Plan: task_1 data_query 'crm', task_2 llm_call"), "{messages:?}");
    assert!(messages[3].starts_with("task_1 data_query 'crm' completed after "), "{messages:?}");

    let record = server.get(&format!("/v1/executions/{id}")).await.expect(200);
    assert_eq!(
        (&record["execution"]["status"], &record["execution"]["user_id"]),
        (&json!("completed"), &json!("topology"))
    );
    assert_eq!(record["steps"].as_array().unwrap().len(), 2);
    assert_eq!(server.get("/api/memory/topology/history").await.expect(200)["count"], 2);
    assert_eq!(server.get("/api/memory/default/history").await.expect(200)["count"], 0, "nobody else's memory");

    // Executions of other clients can be looked at, too.
    let other = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    let other = ended(&server, other["execution_id"].as_str().unwrap()).await;
    assert_eq!(other["status"], "completed");
}

#[tokio::test]
async fn a_prompt_is_taken_as_the_page_gives_it_and_its_button_gives_none() {
    let llm = Upstream::saying("Hello.").await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_ENABLED", "false")]).await;
    let inputs = [
        (json!("Hi there"), "Started: Hi there"),
        (json!({"message": "Hi you"}), "Started: Hi you"),
        (json!({"input": "Hi all", "user": "x"}), "Started: Hi all"),
        (json!({}), "Started: Hello! What can you do for me?"),
        (json!(null), "Started: Hello! What can you do for me?"),
    ];
    for (input, expected) in inputs {
        let id = start(&server, input.clone()).await;
        let seen = ended(&server, &id).await;
        assert_eq!((&seen["status"], messages(&seen)[0]), (&json!("completed"), expected), "{input}");
    }
    for input in [json!({"question": "?"}), json!(["Hi"]), json!(7)] {
        let reply = server.post("/api/topology/execute", &json!({"input_data": input})).await;
        reply.expect(422);
        assert!(reply.text.contains("input_data") && reply.text.contains("prompt, message, input"), "{}", reply.text);
    }
    server.post("/api/topology/execute", &json!({})).await.expect(200);
}

#[tokio::test]
async fn stopping_ends_the_work_upstream_and_is_recorded() {
    let llm = hanging().await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = start(&server, json!("Think for long")).await;
    let seen = follow(&server, &id, |seen| seen["current_node"] == "llm_agent").await;
    assert_eq!(seen["status"], "running");
    assert!(seen["progress"].as_f64().unwrap() < 1.0);
    while llm.chats().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let at = format!("/api/topology/execution/{id}");
    let stopped = server.delete(&at).await.expect(200);
    assert_eq!((&stopped["success"], &stopped["status"]), (&json!(true), &json!("stopped")));
    llm.client_left().await;
    let seen = ended(&server, &id).await;
    assert_eq!(seen["status"], "stopped");
    assert_eq!(messages(&seen).last(), Some(&"Stopped"));
    assert_eq!(server.get(&format!("/v1/executions/{id}")).await.expect(200)["execution"]["status"], "cancelled");
    let again = server.delete(&at).await.expect(200);
    assert_eq!((&again["success"], &again["status"]), (&json!(true), &json!("stopped")), "it had ended");

    let unknown = server.delete("/api/topology/execution/no-such").await.expect(404);
    assert_eq!(unknown["detail"], "Execution 'no-such' not found");
    server.get("/api/topology/execution/no-such").await.expect(404);
}

#[tokio::test]
async fn who_started_an_execution_elsewhere_keeps_it() {
    let llm = hanging().await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let chatting = server.request("POST", "/v1/chat").header("content-type", "application/json");
    let chatting = tokio::spawn(chatting.body(json!({"prompt": "Mine"}).to_string()).send());
    let mut id = json!(null);
    while id.is_null() {
        id = server.get("/v1/executions?status=running").await.expect(200)["executions"][0]["execution_id"].clone();
    }
    let id = id.as_str().unwrap();
    let refused = server.delete(&format!("/api/topology/execution/{id}")).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("was not started on this page"), "{refused}");
    assert_eq!(look(&server, id).await["status"], "running");
    chatting.abort();
    assert_eq!(ended(&server, id).await["status"], "stopped");
}

#[tokio::test]
async fn what_fails_says_where_and_why() {
    let llm = Upstream::start(|seen, _| match seen.method.as_str() {
        "GET" => openai(seen, ""),
        _ => json_reply("400 Bad Request", &json!({"error": {"message": "the model is broken"}})),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let id = start(&server, json!("Hello")).await;
    let seen = ended(&server, &id).await;
    assert_eq!((&seen["status"], &seen["current_node"]), (&json!("failed"), &json!("llm_agent")), "{seen}");
    assert!(seen["error"].as_str().unwrap().contains("the model is broken"), "{seen}");
    assert_eq!(seen["logs"].as_array().unwrap().last().unwrap()["level"], "error");

    let bare = TestServer::bare().await;
    let id = start(&bare, json!("Hello")).await;
    let seen = ended(&bare, &id).await;
    assert_eq!(seen["status"], "failed");
    assert!(seen["error"].as_str().unwrap().contains("not configured"), "{seen}");
}

#[tokio::test]
async fn more_executions_than_there_are_places_for_are_refused_and_one_that_ends_makes_room() {
    let llm = hanging().await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let mut running = Vec::new();
    for _ in 0..8 {
        running.push(start(&server, json!("Think for long")).await);
    }
    let refused = server.post("/api/topology/execute", &json!({})).await.expect(503);
    assert_eq!(refused["code"], "busy");
    assert!(refused["detail"].as_str().unwrap().contains("stop one"), "{refused}");
    server.delete(&format!("/api/topology/execution/{}", running[0])).await.expect(200);
    ended(&server, &running[0]).await;
    let mut status = 503;
    while status == 503 {
        status = server.post("/api/topology/execute", &json!({})).await.status;
    }
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_server_that_stops_records_what_it_cuts_off() {
    let llm = hanging().await;
    let server = TestServer::with_llm(&llm, &[("SHUTDOWN_GRACE_SECONDS", "0")]).await;
    let id = start(&server, json!("Think for long")).await;
    let server = server.restart().await;
    let record = server.get(&format!("/v1/executions/{id}")).await.expect(200);
    assert_eq!(record["execution"]["status"], "cancelled", "not only interrupted");
    assert_eq!(look(&server, &id).await["status"], "stopped");
}
