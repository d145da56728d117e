//! Callers who do not say who they are: they share a conversation on one machine, and have none where others may call.

use serde_json::{Value, json};

use crate::common::upstream::json_reply;
use crate::common::{TestServer, Upstream};

const OPEN: (&str, &str) = ("API_HOST", "0.0.0.0");

/// What the model was shown in its last call.
fn shown(llm: &Upstream) -> Value {
    llm.chats().pop().unwrap().body["messages"].clone()
}

async fn ask(server: &TestServer, body: Value) -> Value {
    server.post("/v1/chat", &body).await.expect(200)
}

async fn count(server: &TestServer, user: &str) -> Value {
    server.get(&format!("/api/memory/{user}/history")).await.expect(200)["count"].clone()
}

#[tokio::test]
async fn on_one_machine_they_share_the_conversation_of_the_original() {
    for variables in [&[][..], &[OPEN, ("MEMORY_ANONYMOUS", "shared")]] {
        let llm = Upstream::saying("Noted.").await;
        let server = TestServer::with_llm(&llm, variables).await;
        let reply = ask(&server, json!({"prompt": "My source is Ada."})).await;
        assert_eq!(
            (&reply["metadata"]["user_id"], &reply["metadata"]["memory_saved"]),
            (&json!("default"), &json!(true))
        );
        ask(&server, json!({"prompt": "Who is my source?", "user_id": ""})).await;
        assert!(shown(&llm).to_string().contains("My source is Ada."), "{}", shown(&llm));
        assert_eq!(count(&server, "default").await, 4);
    }
}

#[tokio::test]
async fn where_others_may_call_nobody_hears_what_a_stranger_said() {
    for variables in [&[OPEN][..], &[("API_HOST", "::")], &[("MEMORY_ANONYMOUS", "off")]] {
        let llm = Upstream::saying("Noted.").await;
        let server = TestServer::with_llm(&llm, variables).await;
        for body in [json!({"prompt": "My source is Ada."}), json!({"prompt": "Who?", "user_id": null})] {
            let reply = ask(&server, body).await;
            let metadata = &reply["metadata"];
            let told = (&metadata["user_id"], &metadata["memory_saved"], &metadata["degraded"], &reply["error"]);
            assert_eq!(told, (&json!(null), &json!(null), &json!(false), &json!(null)), "{reply}");
        }
        assert_eq!(shown(&llm), json!([{"role": "user", "content": "Who?"}]));
        let events = server.chat_events(&json!({"prompt": "And streamed?", "user_id": "", "stream": true})).await;
        assert_eq!(events.last().unwrap().data["metadata"]["user_id"], json!(null));
        assert_eq!(shown(&llm), json!([{"role": "user", "content": "And streamed?"}]));
        assert_eq!(count(&server, "default").await, 0);
        assert_eq!(server.get("/v1/executions?user_id=default").await.expect(200)["count"], 3, "records are kept");
    }
}

#[tokio::test]
async fn who_says_who_they_are_is_remembered_everywhere() {
    let llm = Upstream::saying("Noted.").await;
    let server = TestServer::with_llm(&llm, &[OPEN]).await;
    for user in ["ada", "default"] {
        let reply = ask(&server, json!({"prompt": "Remember 42", "user_id": user})).await;
        assert_eq!((&reply["metadata"]["user_id"], &reply["metadata"]["memory_saved"]), (&json!(user), &json!(true)));
        ask(&server, json!({"prompt": "What?", "user_id": user})).await;
        assert_eq!(shown(&llm).as_array().unwrap().len(), 3);
        assert_eq!(count(&server, user).await, 4);
    }
    let note = json!({"role": "system", "content": "Be brief."});
    server.post("/api/memory/default/message", &note).await.expect(200);
    assert_eq!(count(&server, "default").await, 5);

    let without = server.restart_with(&[("MEMORY_ENABLED", "false")]).await;
    let reply = ask(&without, json!({"prompt": "Hello", "user_id": "ada"})).await;
    assert_eq!(reply["metadata"]["user_id"], json!(null), "there is no conversation");
}

/// Agents keep conversations too.
#[tokio::test]
async fn an_agent_is_not_given_a_name_that_strangers_share() {
    let agent = Upstream::start(|_, _| json_reply("200 OK", &json!({"answer": "Yes."}))).await;
    let llm = Upstream::saying("Noted.").await;
    for (anonymous, expected) in [("shared", json!("default")), ("off", json!(null))] {
        let server = TestServer::with_llm(&llm, &[("MEMORY_ANONYMOUS", anonymous)]).await;
        server.post("/api/agents", &json!({"name": "zain", "url": agent.url()})).await.expect(201);
        let metadata = json!({"agent": "zain"});
        ask(&server, json!({"prompt": "Is it fair?", "metadata": metadata})).await;
        assert_eq!(agent.seen().pop().unwrap().body["user_id"], expected, "{anonymous}");
        ask(&server, json!({"prompt": "Is it fair?", "user_id": "ada", "metadata": metadata})).await;
        assert_eq!(agent.seen().pop().unwrap().body["user_id"], "ada", "{anonymous}");
    }
}

#[tokio::test]
async fn executions_of_the_topology_page_are_strangers_too() {
    for (anonymous, expected) in [("shared", 2), ("off", 0)] {
        let llm = Upstream::saying("Noted.").await;
        let server = TestServer::with_llm(&llm, &[("MEMORY_ANONYMOUS", anonymous)]).await;
        let started = server.post("/api/topology/execute", &json!({"input_data": "Hello"})).await.expect(200);
        let id = started["execution_id"].as_str().unwrap();
        loop {
            let record = server.get(&format!("/v1/executions/{id}")).await.expect(200);
            if record["execution"]["status"] != "running" {
                assert_eq!(
                    (&record["execution"]["status"], &record["execution"]["user_id"]),
                    (&json!("completed"), &json!("topology"))
                );
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(count(&server, "topology").await, expected, "{anonymous}");
    }
}
