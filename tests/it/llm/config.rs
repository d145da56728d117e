//! The LLM connection is configured while the server runs, and the change stays.

use serde_json::{Value, json};

use crate::common::{TestServer, Upstream};

const MASK: &str = "********";

async fn answer_model(server: &TestServer) -> Value {
    let body = json!({"prompt": "Hello", "metadata": {"use_cache": false}});
    server.post("/v1/chat", &body).await.expect(200)["metadata"]["model"].clone()
}

#[tokio::test]
async fn a_change_counts_for_the_next_answer_and_survives_a_restart() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    assert_eq!(answer_model(&server).await, "stub-model");

    let change = json!({"default_model": "better-model", "timeout_seconds": "45", "temperature": 0, "max_tokens": 100.0, "id": "dropped"});
    let changed = server.put("/api/llm/config", &change).await.expect(200);
    assert_eq!(
        (&changed["success"], &changed["message"]),
        (&json!(true), &json!("LLM configuration updated successfully"))
    );
    assert_eq!(changed["config"], server.get("/api/llm/config").await.expect(200));
    assert_eq!(answer_model(&server).await, "better-model");
    let sent = &llm.chats()[1].body;
    assert_eq!((&sent["temperature"], &sent["max_tokens"]), (&json!(0.0), &json!(100)));

    let server = server.restart().await;
    assert_eq!(answer_model(&server).await, "better-model");
    let config = server.get("/api/llm/config").await.expect(200);
    let expected = json!({
        "base_url": llm.url(), "default_model": "better-model", "api_key": null, "timeout_seconds": 45, "max_retries": 3,
        "temperature": 0.0, "max_tokens": 100, "provider": "openai", "fallback_models": []
    });
    assert_eq!(config, expected);
}

#[tokio::test]
async fn null_keeps_empty_clears_and_the_mask_keeps() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("LLM_API_KEY", "sk-first"), ("LLM_MAX_TOKENS", "50")]).await;
    let config = server.get("/api/llm/config").await.expect(200);
    assert_eq!(config["api_key"], MASK);

    server.put("/api/llm/config", &config).await.expect(200);
    answer_model(&server).await;
    assert_eq!(llm.chats()[0].headers["authorization"], "Bearer sk-first");

    let nulls = json!({"base_url": null, "default_model": null, "api_key": null, "timeout_seconds": null, "max_retries": null,
        "temperature": null, "max_tokens": null});
    let kept = server.put("/api/llm/config", &nulls).await.expect(200);
    assert_eq!(kept["config"], config);

    server.put("/api/llm/config", &json!({"api_key": "sk-second"})).await.expect(200);
    answer_model(&server).await;
    assert_eq!(llm.chats()[1].headers["authorization"], "Bearer sk-second");

    let cleared = server.put("/api/llm/config", &json!({"api_key": "", "max_tokens": ""})).await.expect(200);
    assert_eq!((&cleared["config"]["api_key"], &cleared["config"]["max_tokens"]), (&json!(null), &json!(null)));
    answer_model(&server).await;
    assert!(!llm.chats()[2].headers.contains_key("authorization"));

    let server = server.restart().await;
    assert_eq!(server.get("/api/llm/config").await.expect(200)["api_key"], json!(null), "cleared for good");
    let cleared = server.put("/api/llm/config", &json!({"base_url": "", "default_model": ""})).await.expect(200);
    assert_eq!((&cleared["config"]["base_url"], &cleared["config"]["default_model"]), (&json!(null), &json!(null)));
    assert_eq!(server.get("/health").await.expect(200)["llm_configured"], false);
}

#[tokio::test]
async fn forgetting_the_changes_returns_to_the_environment() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let before = server.get("/api/llm/config").await.expect(200);
    server.put("/api/llm/config", &json!({"default_model": "other", "temperature": 1.5})).await.expect(200);
    let reset = server.delete("/api/llm/config").await.expect(200);
    assert_eq!(reset["config"], before);
    let server = server.restart().await;
    assert_eq!(server.get("/api/llm/config").await.expect(200), before);
}

#[tokio::test]
async fn a_stored_key_does_not_follow_the_base_url_to_another_server() {
    let (mine, other) = (Upstream::saying("mine").await, Upstream::saying("other").await);
    let server = TestServer::with_llm(&mine, &[("LLM_API_KEY", "sk-mine")]).await;
    let far = json!({"base_url": "https://elsewhere.example", "api_key": MASK});
    let refused = server.put("/api/llm/config", &far).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "api_key"]));
    assert_eq!(server.get("/api/llm/config").await.expect(200)["base_url"], mine.url());

    let in_two_steps = server.put("/api/llm/config", &json!({"base_url": ""})).await.expect(422);
    assert_eq!(in_two_steps["errors"][0]["loc"], json!(["body", "api_key"]));

    server.put("/api/llm/config", &json!({"base_url": format!("{}/v1", mine.url())})).await.expect(200);
    server.put("/api/llm/config", &json!({"base_url": other.url(), "api_key": "sk-other"})).await.expect(200);
    answer_model(&server).await;
    assert_eq!(other.chats()[0].headers["authorization"], "Bearer sk-other");
}

#[tokio::test]
async fn a_reference_is_stored_as_written_and_used_resolved() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("MY_LLM_KEY", "sk-from-vault"), ("API_REFERENCES", "MY_LLM_KEY")]).await;
    server.put("/api/llm/config", &json!({"api_key": "${MY_LLM_KEY}"})).await.expect(200);
    answer_model(&server).await;
    assert_eq!(llm.chats()[0].headers["authorization"], "Bearer sk-from-vault");
    let stored = std::fs::read_to_string(server.folder().join("config/llm.json")).unwrap();
    assert!(stored.contains("${MY_LLM_KEY}") && !stored.contains("sk-from-vault"));
}

#[tokio::test]
async fn who_may_use_the_api_may_not_read_the_environment() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("VAULT_TOKEN", "canary"), ("LLM_API_KEY", "sk-mine")]).await;
    for field in ["base_url", "default_model", "api_key"] {
        for variable in ["VAULT_TOKEN", "LLM_API_KEY", "NOT_SET"] {
            let refused = server.put("/api/llm/config", &json!({field: format!("${{{variable}}}")})).await.expect(422);
            assert_eq!(refused["errors"][0]["loc"], json!(["body", field]));
            assert!(!refused.to_string().contains("canary"));
        }
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_changes_nothing() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    // A file where the folder should be: not even root can write below it.
    std::fs::write(server.folder().join("config"), "in the way").unwrap();
    let refused = server.put("/api/llm/config", &json!({"default_model": "other"})).await.expect(500);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("nothing was changed"), "{detail}");
    assert_eq!(answer_model(&server).await, "stub-model");
}

#[tokio::test]
async fn the_gui_saves_what_it_was_shown() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[("LLM_API_KEY", "sk-kept")]).await;
    let shown = server.get("/api/llm/config").await.expect(200);
    // LLMConnections.tsx: no max_retries, the masked key verbatim, an emptied number as null.
    let saved = json!({"base_url": shown["base_url"], "default_model": "llama3.2", "api_key": shown["api_key"],
        "timeout_seconds": null, "max_tokens": 2048, "temperature": 0.7});
    server.put("/api/llm/config", &saved).await.expect(200);
    let test = server
        .post("/api/llm/test", &json!({"prompt": "Hello, this is a test message.", "model": ""}))
        .await
        .expect(200);
    assert_eq!((&test["success"], &test["response"]["model_used"]), (&json!(true), &json!("llama3.2")));
    assert!(test["response_time_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(llm.chats()[0].headers["authorization"], "Bearer sk-kept");
}

#[tokio::test]
async fn nothing_configured_is_said_in_the_words_of_the_original() {
    let server = TestServer::bare().await;
    let test = server.post("/api/llm/test", &json!({})).await.expect(200);
    let expected = json!({"success": false, "message": "LLM base URL not configured", "response": null,
        "error": "LLM base URL is required", "response_time_ms": null});
    assert_eq!(test, expected);
    assert_eq!(server.get("/api/llm/models").await.expect(400)["detail"], "LLM base URL not configured");
    assert_eq!(
        server.get("/api/llm/health").await.expect(200),
        json!({"healthy": false, "message": "LLM not configured"})
    );

    let llm = Upstream::saying("Hi.").await;
    server.put("/api/llm/config", &json!({"base_url": llm.url(), "provider": "openai"})).await.expect(200);
    let test = server.post("/api/llm/test", &json!({})).await.expect(200);
    assert_eq!(
        (&test["message"], &test["error"]),
        (&json!("No LLM model specified"), &json!("Either configure a default model or specify one in the request"))
    );
}

#[tokio::test]
async fn many_changes_at_once_all_arrive() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let changes = [
        json!({"default_model": "m"}),
        json!({"temperature": 0.3}),
        json!({"max_tokens": 9}),
        json!({"max_retries": 5}),
        json!({"timeout_seconds": 7}),
    ];
    let puts = changes.iter().map(|change| server.put("/api/llm/config", change));
    for reply in futures_util::future::join_all(puts).await {
        reply.expect(200);
    }
    let config = server.restart().await.get("/api/llm/config").await.expect(200);
    let got = ["default_model", "temperature", "max_tokens", "max_retries", "timeout_seconds"]
        .map(|name| config[name].clone());
    assert_eq!(got, [json!("m"), json!(0.3), json!(9), json!(5), json!(7)]);
}
