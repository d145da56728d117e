//! How much of a conversation a model is shown: `CONTEXT_TOKENS`, or a part of what the server says that it takes.

use serde_json::{Value, json};

use crate::common::sources::wait_for;
use crate::common::upstream::{json_reply, ollama, openai};
use crate::common::{TestServer, Upstream};

/// Characters of a message, and how many tokens they count for.
const CHARS: usize = 400;
const TOKENS: usize = 100;

/// A server of one model of which its list says this.
async fn listing(entry: Value) -> Upstream {
    Upstream::start(move |seen, _| match seen.path.as_str() {
        "/v1/models" => json_reply("200 OK", &json!({"object": "list", "data": [entry]})),
        "/props" => json_reply("200 OK", &json!({"default_generation_settings": {"n_ctx": 4000}, "total_slots": 1})),
        _ => openai(seen, "Yes."),
    })
    .await
}

async fn context_tokens(server: &TestServer) -> u64 {
    server.get("/api/llm/health").await.expect(200)["context_tokens"].as_u64().unwrap()
}

/// Messages of a long conversation that the model is shown with the next prompt.
async fn shown(server: &TestServer, llm: &Upstream) -> usize {
    for turn in 0..120 {
        let role = if turn % 2 == 0 { "user" } else { "assistant" };
        let message = json!({"role": role, "content": "x".repeat(CHARS)});
        server.post("/api/memory/ada/message", &message).await.expect(200);
    }
    server.post("/v1/chat", &json!({"prompt": "And?", "user_id": "ada"})).await.expect(200);
    let asked = llm.chats().into_iter().rfind(|seen| seen.text.contains("And?")).unwrap();
    asked.body["messages"].to_string().matches(&"x".repeat(CHARS)).count()
}

/// More messages than are shown are kept.
const KEPT: (&str, &str) = ("MEMORY_MAX_MESSAGES", "1000");
const UNKNOWN: (&str, &str) = ("CONTEXT_TOKENS", "");

#[tokio::test]
async fn a_quarter_of_what_the_model_takes_is_for_the_conversation() {
    for (entry, takes) in [
        (json!({"id": "stub-model", "max_model_len": 16_000}), 16_000),
        (json!({"id": "stub-model", "context_window": 20_000}), 20_000),
        (json!({"id": "stub-model", "context_length": 32_000}), 32_000),
        (json!({"id": "/models/gemma.gguf", "meta": {"n_ctx_train": 32_768}}), 4_000),
        (json!({"id": "stub-model", "max_context_length": 2_000}), 2_000),
    ] {
        let llm = listing(entry.clone()).await;
        let server = TestServer::with_llm(&llm, &[KEPT, UNKNOWN]).await;
        wait_for(async || context_tokens(&server).await == takes / 4).await;
        assert_eq!(shown(&server, &llm).await, takes as usize / 4 / TOKENS, "{entry}");
    }
}

#[tokio::test]
async fn nothing_known_means_as_much_as_ever_and_the_operators_word_counts_more() {
    let llm = listing(json!({"id": "stub-model", "object": "model"})).await;
    let server = TestServer::with_llm(&llm, &[KEPT, UNKNOWN]).await;
    wait_for(async || llm.seen().iter().any(|seen| seen.path == "/v1/models")).await;
    assert_eq!((context_tokens(&server).await, shown(&server, &llm).await), (2000, 20));

    let llm = listing(json!({"id": "stub-model", "max_model_len": 16_000})).await;
    let server = TestServer::with_llm(&llm, &[KEPT, ("CONTEXT_TOKENS", "500")]).await;
    assert_eq!(shown(&server, &llm).await, 5);
    assert_eq!(llm.seen().iter().filter(|seen| seen.method == "GET").count(), 0, "nobody has to be asked");
    assert_eq!(context_tokens(&server).await, 500);
}

#[tokio::test]
async fn what_is_known_goes_with_the_server_and_the_model() {
    let llm = Upstream::start(|seen, _| match seen.path.as_str() {
        "/v1/models" => json_reply(
            "200 OK",
            &json!({"data": [{"id": "stub-model", "max_model_len": 16_000}, {"id": "other", "max_model_len": 8_000}]}),
        ),
        _ => openai(seen, "Yes."),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[KEPT, UNKNOWN]).await;
    wait_for(async || context_tokens(&server).await == 4_000).await;
    server.put("/api/llm/config", &json!({"default_model": "other"})).await.expect(200);
    wait_for(async || context_tokens(&server).await == 2_000).await;
    let bigger = listing(json!({"id": "other", "max_model_len": 40_000})).await;
    server.put("/api/llm/config", &json!({"base_url": bigger.url()})).await.expect(200);
    wait_for(async || context_tokens(&server).await == 10_000).await;
}

#[tokio::test]
async fn a_hanging_list_of_models_keeps_nobody_waiting() {
    let llm = Upstream::start(|seen, _| match seen.path.as_str() {
        "/v1/models" => vec![crate::common::Act::Hang],
        _ => openai(seen, "Yes."),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[KEPT, UNKNOWN]).await;
    wait_for(async || llm.seen().iter().any(|seen| seen.path == "/v1/models")).await;
    let reply = server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
    assert_eq!(reply["answer"], "Yes.");
}

#[tokio::test]
async fn ollama_is_asked_about_its_model() {
    let llm = Upstream::start(|seen, _| match seen.path.as_str() {
        "/api/show" => json_reply(
            "200 OK",
            &json!({"parameters": "num_ctx 16000\nstop \"x\"", "model_info": {"llama.context_length": 131_072}}),
        ),
        _ => ollama(seen, "Yes."),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[KEPT, UNKNOWN, ("LLM_PROVIDER", "ollama")]).await;
    wait_for(async || context_tokens(&server).await == 4_000).await;
    assert_eq!(shown(&server, &llm).await, 40);
}
