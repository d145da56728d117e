//! With an embedding model, what resources offer is embedded in the background: once, and again only what has changed.

use serde_json::{Value, json};

use crate::common::chat::catalog;
use crate::common::databases::{SqliteFile, sqlite};
use crate::common::grounding::{COLLECTING, collected, embeddings};
use crate::common::sources::wait_for;
use crate::common::upstream::{json_reply, openai};
use crate::common::{Act, Seen, TestServer, Upstream};

/// An embedding of the numbers of some letters.
fn embedding(text: &Value) -> Value {
    let text = text.as_str().unwrap().to_lowercase();
    ["a", "e", "i", "o", "u", "n", "s", "t"].map(|letter| text.matches(letter).count()).into_iter().collect()
}

/// A server of either kind that answers and embeds.
fn embedding_reply(seen: &Seen) -> Vec<Act> {
    let all = || seen.body["input"].as_array().unwrap().iter().map(embedding);
    match seen.path.as_str() {
        "/v1/embeddings" => {
            let data: Vec<_> = all().enumerate().map(|(at, one)| json!({"index": at, "embedding": one})).collect();
            // In whatever order.
            json_reply("200 OK", &json!({"object": "list", "data": data.iter().rev().collect::<Vec<_>>()}))
        }
        "/api/embed" => json_reply("200 OK", &json!({"model": "e", "embeddings": all().collect::<Vec<_>>()})),
        _ => openai(seen, "Hello there."),
    }
}

/// The texts that were embedded so far.
fn embedded(llm: &Upstream) -> Vec<String> {
    let requests = llm.seen().into_iter().filter(|seen| seen.path.contains("embed"));
    let texts = requests.flat_map(|seen| seen.body["input"].as_array().unwrap().clone());
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

async fn shop() -> SqliteFile {
    sqlite(&["CREATE TABLE unpaid_invoices (id INTEGER PRIMARY KEY, due_on DATE)", "CREATE TABLE plans (id INTEGER)"])
        .await
}

fn source(file: &SqliteFile, description: &str) -> Value {
    json!({"name": "shop", "type": "sqlite", "url": file.url(), "config": {"description": description}})
}

#[tokio::test]
async fn each_text_is_embedded_once_and_again_when_it_changes() {
    let (llm, file) = (Upstream::start(|seen, _| embedding_reply(seen)).await, shop().await);
    let agents = catalog(&[("hr", json!({"url": "http://127.0.0.1:9", "metadata": {"description": "Leave"}}))]);
    let variables = [COLLECTING, ("EMBEDDING_MODEL", "tiny-embedder"), ("EXTERNAL_AGENTS", &agents)];
    let server = TestServer::with_llm(&llm, &variables).await;
    server.post("/api/datasources", &source(&file, "What we sell")).await.expect(201);
    collected(&server, "shop").await;
    wait_for(async || embeddings(server.folder()) == 4).await;
    let mut texts = embedded(&llm);
    texts.sort();
    assert_eq!(texts, ["hr: Leave", "plans (id)", "shop: What we sell", "unpaid invoices (id, due on)"]);
    assert!(
        llm.seen().iter().filter(|seen| seen.path.contains("embed")).all(|seen| seen.body["model"] == "tiny-embedder")
    );

    server.put("/api/datasources/shop", &source(&file, "What we sold")).await.expect(200);
    wait_for(async || embeddings(server.folder()) == 5).await;
    let before = embedded(&llm);
    assert_eq!(before[4..], ["shop: What we sold"]);
    let before = before.len();
    let server = server.restart().await;
    let reply = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    assert_eq!(reply["answer"], "Hello there.");
    let newly = embedded(&llm).split_off(before);
    assert!(newly.iter().all(|text| text == "Hello"), "{newly:?}");
}

#[tokio::test]
async fn a_text_that_the_server_rejects_keeps_no_other_from_being_embedded() {
    for status in ["400 Bad Request", "413 Payload Too Large", "422 Unprocessable Entity", "500 Oops"] {
        let rejects = |seen: &Seen| seen.path.contains("embed") && seen.body["input"].to_string().contains("invoices");
        let llm = Upstream::start(move |seen, _| match rejects(seen) {
            true => json_reply(status, &json!({"error": "the input is too long"})),
            false => embedding_reply(seen),
        })
        .await;
        let file = shop().await;
        let server = TestServer::with_llm(&llm, &[COLLECTING, ("EMBEDDING_MODEL", "tiny-embedder")]).await;
        server.post("/api/datasources", &source(&file, "What we sell")).await.expect(201);
        wait_for(async || embeddings(server.folder()) == 2).await;
        let rejected = || llm.seen().iter().filter(|seen| rejects(seen)).count();
        let before = rejected();
        assert_ne!(before, 0);
        // What comes later is embedded, and nobody asks for the other again.
        file.execute("CREATE TABLE refunds (id INTEGER)").await;
        server.put("/api/datasources/shop", &source(&file, "What we sold")).await.expect(200);
        wait_for(async || embeddings(server.folder()) == 4).await;
        assert_eq!(rejected(), before, "{status}");
    }
}

#[tokio::test]
async fn a_prompt_is_embedded_if_its_words_are_not_clear_and_answered_even_if_that_hangs() {
    let llm = Upstream::start(|seen, _| match seen.body["input"][0].as_str() {
        Some(text) if text.contains("riders") => vec![Act::Hang],
        _ => embedding_reply(seen),
    })
    .await;
    let file = shop().await;
    let variables = [COLLECTING, ("EMBEDDING_MODEL", "tiny-embedder"), ("INTENT_CLASSIFIER", "rules")];
    let server = TestServer::with_llm(&llm, &variables).await;
    server.post("/api/datasources", &source(&file, "What we sell")).await.expect(201);
    wait_for(async || embeddings(server.folder()) == 3).await;
    let ask = async |prompt: &str| {
        server.post("/v1/chat", &json!({"prompt": prompt, "user_id": "ada"})).await.expect(200);
        embedded(&llm).contains(&prompt.to_owned())
    };
    assert!(!ask("How many unpaid invoices are there?").await, "its words are clear");
    assert!(!ask("Write a poem about autumn").await, "it clearly needs nothing");
    assert!(ask("Who are our fastest riders?").await);
    // Nobody waits for it a second time.
    assert!(!ask("Who are our slowest riders?").await);
}

#[tokio::test]
async fn ollama_embeds_in_its_own_form() {
    let (llm, file) = (Upstream::start(|seen, _| embedding_reply(seen)).await, shop().await);
    let variables = [COLLECTING, ("EMBEDDING_MODEL", "tiny-embedder"), ("LLM_PROVIDER", "ollama")];
    let server = TestServer::with_llm(&llm, &variables).await;
    server.post("/api/datasources", &source(&file, "What we sell")).await.expect(201);
    wait_for(async || embeddings(server.folder()) == 3).await;
    assert!(llm.seen().iter().any(|seen| seen.path == "/api/embed"));
}

#[tokio::test]
async fn a_model_that_embeds_nothing_or_nonsense_costs_no_answer() {
    let file = shop().await;
    for broken in ["hang", "error", "{}", r#"{"data": [{"embedding": []}]}"#, r#"{"data": [{"embedding": ["x"]}]}"#] {
        let llm = Upstream::start(move |seen, _| match (seen.path.as_str(), broken) {
            ("/v1/embeddings", "hang") => vec![Act::Hang],
            ("/v1/embeddings", "error") => json_reply("500 Oops", &json!({"error": "no such model"})),
            ("/v1/embeddings", body) => json_reply("200 OK", &serde_json::from_str(body).unwrap()),
            _ => openai(seen, "Hello there."),
        })
        .await;
        let server = TestServer::with_llm(&llm, &[COLLECTING, ("EMBEDDING_MODEL", "tiny-embedder")]).await;
        server.post("/api/datasources", &source(&file, "What we sell")).await.expect(201);
        collected(&server, "shop").await;
        wait_for(async || llm.seen().iter().any(|seen| seen.path == "/v1/embeddings")).await;
        let prompt = json!({"prompt": "How many unpaid invoices are there?", "user_id": "ada", "metadata": {"intent": "general_llm"}});
        let reply = server.post("/v1/chat", &prompt).await.expect(200);
        assert_eq!(reply["answer"], "Hello there.", "{broken}");
        assert_eq!(embeddings(server.folder()), 0);
    }
}
