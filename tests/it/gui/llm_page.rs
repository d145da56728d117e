//! The page of LLM connections: version A saves with one call, version B lists, tests and saves.

use serde_json::{Value, json};

use crate::common::program::free_port;
use crate::common::resources::MASK;
use crate::common::upstream::{json_reply, openai};
use crate::common::{TestServer, Upstream};

const CONNECTIONS: &str = "/api/config/llm-connections";

/// An LLM that takes this key only, and lists two models.
async fn keyed() -> Upstream {
    Upstream::start(|seen, _| match (seen.headers.get("authorization").map(String::as_str), seen.path.as_str()) {
        (Some("Bearer a-long-secret-key"), "/v1/models") => {
            json_reply("200 OK", &json!({"object": "list", "data": [{"id": "large"}, {"id": "small"}]}))
        }
        (Some("Bearer a-long-secret-key"), _) => openai(seen, "Hello."),
        _ => json_reply("401 Unauthorized", &json!({"error": {"message": "wrong key"}})),
    })
    .await
}

/// The form of both versions.
fn form(base_url: &str, api_key: Value, model: &str) -> Value {
    json!({"id": "llm_1733000000000", "name": "Mine", "base_url": base_url, "api_key": api_key, "model": model, "timeout": 60,
        "max_tokens": 2048, "temperature": 0.7, "is_local": true})
}

/// The texts of a reply that a page shows as `Error: ${detail}`.
fn detail(reply: &Value) -> &str {
    let detail = reply["detail"].as_str().unwrap_or_else(|| panic!("the page shows [object Object]: {reply}"));
    assert!(detail.chars().count() <= 200 && !detail.contains("Input should"), "{detail}");
    detail
}

#[tokio::test]
async fn version_a_saves_its_form_and_the_connection_works() {
    let (llm, server) = (keyed().await, TestServer::bare().await);
    let saved =
        server.post("/api/llm/config", &form(&llm.url(), json!("a-long-secret-key"), "large")).await.expect(200);
    assert_eq!((&saved["success"], &saved["connection"]["api_key"]), (&json!(true), &json!(MASK)));
    let config = server.get("/api/llm/config").await.expect(200);
    let expected = json!({"base_url": llm.url(), "default_model": "large", "api_key": MASK, "timeout_seconds": 60, "max_retries": 3,
        "temperature": 0.7, "max_tokens": 2048, "provider": "auto", "fallback_models": []});
    assert_eq!(config, expected);

    // The page sends back what it was shown, and null for a field that was emptied.
    let mut edited = form(&llm.url(), json!(MASK), "small");
    edited["max_tokens"] = json!(null);
    server.post("/api/llm/config", &edited).await.expect(200);
    let config = server.get("/api/llm/config").await.expect(200);
    assert_eq!((&config["default_model"], &config["max_tokens"]), (&json!("small"), &json!(null)));
    assert_eq!(server.post("/api/llm/test", &json!({})).await.expect(200)["success"], true, "the key was kept");

    let moved = form("https://llm.example", json!(MASK), "large");
    server.post("/api/llm/config", &moved).await.expect(422);
    let wrong = server.post("/api/llm/config", &json!({"timeout": 0, "model": "m"})).await;
    wrong.expect(422);
    assert!(wrong.text.contains("\"timeout\"") && !wrong.text.contains("timeout_seconds"), "{}", wrong.text);
    let server = server.restart().await;
    assert_eq!(server.get("/api/llm/config").await.expect(200)["default_model"], "small");
}

#[tokio::test]
async fn version_b_tests_what_it_saves_and_lists_it() {
    let (llm, server) = (keyed().await, TestServer::bare().await);
    let list = server.get(CONNECTIONS).await.expect(200);
    assert_eq!(list["connections"], json!([]), "the page says that there is none yet");
    let test = server.post(&format!("{CONNECTIONS}/default/test"), &json!({})).await.expect(200);
    assert_eq!((&test["connected"], &test["message"]), (&json!(false), &json!("LLM base URL not configured")));

    let form = form(&llm.url(), json!("a-long-secret-key"), "large");
    let saved = server.post(CONNECTIONS, &form).await.expect(200);
    assert_eq!((&saved["success"], &saved["test_result"]["connected"]), (&json!(true), &json!(true)));
    assert_eq!(saved["test_result"]["message"], "The server answers and offers 2 model(s)");
    assert!(saved["test_result"]["latency_ms"].as_f64().unwrap() > 0.0);

    let list = server.get(CONNECTIONS).await.expect(200);
    let expected = json!({"id": "default", "name": "Default LLM", "base_url": llm.url(), "api_key": MASK, "model": "large",
        "timeout": 60, "max_tokens": 2048, "temperature": 0.7});
    assert_eq!(list["connections"], json!([expected]));
    let models = server.get(&format!("{CONNECTIONS}/default/models")).await.expect(200);
    assert_eq!((&models["success"], &models["message"]), (&json!(true), &json!(null)));
    let ids: Vec<_> = models["models"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["large", "small"]);
    let test = server.post(&format!("{CONNECTIONS}/default/test"), &json!({})).await.expect(200);
    assert_eq!(test["connected"], true);
    assert!(test["latency_ms"].is_number() && test["message"].is_string());

    // Edited, with the mask; the model is left out, and stays.
    let mut edited = list["connections"][0].clone();
    edited["temperature"] = json!(0.2);
    edited.as_object_mut().unwrap().remove("model");
    assert_eq!(server.post(CONNECTIONS, &edited).await.expect(200)["connection"]["model"], "large");

    let reset = server.delete(&format!("{CONNECTIONS}/default")).await.expect(200);
    assert_eq!(reset["success"], true);
    assert_eq!(server.get(CONNECTIONS).await.expect(200)["connections"], json!([]));
}

#[tokio::test]
async fn what_can_not_work_is_not_saved_and_the_page_says_why() {
    let (llm, server) = (keyed().await, TestServer::bare().await);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let page = Upstream::start(|_, _| json_reply("404 Not Found", &json!({"error": "no such page"}))).await;
    let cases = [
        (form(&nobody, json!(null), "m"), "refused the connection"),
        (form(&llm.url(), json!("another-wrong-key"), "m"), "enter a key that it takes"),
        (form(&page.url(), json!(null), "m"), "404"),
        (form("localhost:11434", json!(null), "m"), "base_url should be a URL that starts with http:// or https://"),
        (
            json!({"base_url": llm.url(), "timeout": -5, "temperature": 9}),
            "timeout should be at least 1; temperature should be at most ",
        ),
        (json!({"name": "no URL", "model": "m"}), "LLM base URL not configured"),
    ];
    for (form, expected) in cases {
        let reply = server.post(CONNECTIONS, &form).await.expect(400);
        assert!(detail(&reply).contains(expected), "{form}: {reply}");
        assert!(!reply.to_string().contains("another-wrong-key"), "{reply}");
    }
    assert_eq!(server.get(CONNECTIONS).await.expect(200)["connections"], json!([]));
    assert_eq!(server.get("/api/llm/config").await.expect(200)["base_url"], json!(null));
}

#[tokio::test]
async fn a_connection_that_there_is_not_is_named() {
    let server = TestServer::bare().await;
    let at = |end: &str| format!("{CONNECTIONS}/llm-17{end}");
    let replies =
        [server.delete(&at("")).await, server.get(&at("/models")).await, server.post(&at("/test"), &json!({})).await];
    for reply in replies {
        assert_eq!(detail(&reply.expect(404)), "LLM connection 'llm-17' not found; the only one is 'default'");
    }
}

#[tokio::test]
async fn editing_does_not_lose_the_path_that_the_page_cuts_off() {
    let llm = Upstream::start(|seen, _| match seen.path.as_str() {
        "/gateway/v1/models" => json_reply("200 OK", &json!({"data": [{"id": "m"}]})),
        _ => json_reply("404 Not Found", &json!({})),
    })
    .await;
    let server = TestServer::bare().await;
    let base = format!("{}/gateway/v1", llm.url());
    server.put("/api/llm/config", &json!({"base_url": base, "default_model": "m"})).await.expect(200);
    // Version B sends scheme and host only.
    server.post(CONNECTIONS, &form(&llm.url(), json!(null), "m")).await.expect(200);
    assert_eq!(server.get("/api/llm/config").await.expect(200)["base_url"], json!(base));
}

#[tokio::test]
async fn a_server_that_lists_no_models_is_still_connected_to() {
    let llm = Upstream::start(|seen, _| match seen.path.as_str() {
        "/health" => json_reply("200 OK", &json!({"status": "ok"})),
        _ => json_reply("404 Not Found", &json!({})),
    })
    .await;
    let server = TestServer::bare().await;
    let saved = server.post(CONNECTIONS, &form(&llm.url(), json!(null), "m")).await.expect(200);
    assert_eq!(saved["test_result"]["message"], "The server answers, but lists no models");
    let models = server.get(&format!("{CONNECTIONS}/default/models")).await.expect(200);
    assert_eq!(models["models"][0]["id"], "m", "the one that is configured");
    assert!(models["message"].is_string());
}
