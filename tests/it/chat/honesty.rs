//! An answer that should rest on data, an agent or a tool and does not says so first.

use serde_json::{Value, json};

use crate::common::chat::{Wanted, catalog, instructions_of, rest, source, wanted};
use crate::common::tools::*;
use crate::common::upstream::{json_reply, openai, openai_calls};
use crate::common::{TestServer, Upstream};

const PROMPT: &str = "How many plans are there in shop?";
const FIXED: &str = "Nothing could be obtained from 'shop', so this answer does not rest on it.";

/// A source that refuses every query.
async fn broken() -> Upstream {
    Upstream::start(|seen, _| match seen.path.as_str() {
        "/schema" => json_reply("200 OK", &json!({"tables": [{"name": "plans", "columns": [{"name": "name"}]}]})),
        _ => json_reply("500 Internal Server Error", &json!({"error": "out of order"})),
    })
    .await
}

/// A model that answers with this.
async fn answering(answer: &'static str) -> Upstream {
    Upstream::start(move |seen, _| match wanted(seen) {
        Wanted::Query => openai(seen, "```sql\nSELECT name FROM plans\n```"),
        _ => openai(seen, answer),
    })
    .await
}

async fn server(llm: &Upstream, shop: &Upstream, more: &[(&str, &str)]) -> TestServer {
    let sources = catalog(&[("shop", rest(&shop.url()))]);
    let mut all = vec![("DATASOURCES", sources.as_str())];
    all.extend_from_slice(more);
    TestServer::with_llm(llm, &all).await
}

async fn remembered(server: &TestServer) -> Value {
    server.get("/api/memory/ada/history").await.expect(200)["messages"][0]["content"].clone()
}

#[tokio::test]
async fn a_model_that_answers_from_nothing_is_contradicted_first() {
    let (llm, shop) = (answering("About four hundred.").await, broken().await);
    let server = server(&llm, &shop, &[]).await;
    let reply = ask(&server, PROMPT, json!({})).await;
    assert_eq!(reply["answer"], json!(format!("{FIXED}\n\nAbout four hundred.")));
    assert!(reply["error"].as_str().unwrap().contains("DataSource 'shop' answered 500"), "{reply}");
    assert_eq!(remembered(&server).await, reply["answer"], "the next turn knows it too");
    let told = instructions_of(llm.chats().last().unwrap());
    assert!(
        told.contains("The user's last request needs what 'shop' gives")
            && told.contains("in the language of the request"),
        "{told}"
    );
}

#[tokio::test]
async fn the_models_own_sentence_stands_in_the_users_language() {
    let llm = answering("NOTHING_FOUND: Die Datenbank hat nicht geantwortet.\n\nFrag später noch einmal.").await;
    let shop = broken().await;
    let server = server(&llm, &shop, &[]).await;
    let reply = ask(&server, "Wie viele Pläne gibt es im shop?", json!({})).await;
    assert_eq!(reply["answer"], "Die Datenbank hat nicht geantwortet.\n\nFrag später noch einmal.");
    assert!(reply["error"].is_string(), "{reply}");
}

#[tokio::test]
async fn the_fixed_sentence_is_in_the_language_of_the_prompt() {
    let (llm, shop) = (answering("42.").await, broken().await);
    let server = server(&llm, &shop, &[]).await;
    for (prompt, begins) in [
        ("Wie viele Pläne gibt es im shop?", "Von 'shop' war nichts zu bekommen"),
        ("¿Cuántos planes hay en la shop?", "No se pudo obtener nada de 'shop'"),
        ("Combien de plans y a-t-il dans le shop ?", "Rien n'a pu être obtenu de 'shop'"),
    ] {
        let reply = ask(&server, prompt, json!({})).await;
        assert!(reply["answer"].as_str().unwrap().starts_with(begins), "{reply}");
    }
}

#[tokio::test]
async fn in_a_stream_it_comes_first_too() {
    let (llm, shop) = (answering("About four hundred.").await, broken().await);
    let server = server(&llm, &shop, &[]).await;
    let body = json!({"prompt": PROMPT, "user_id": "ada", "stream": true});
    let events = server.post("/v1/chat", &body).await.text;
    let deltas: String = events
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|data| data["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(deltas, format!("{FIXED}\n\nAbout four hundred."));
    assert_eq!(remembered(&server).await, deltas);
}

#[tokio::test]
async fn what_the_model_fetches_itself_makes_up_for_it() {
    let shop = broken().await;
    let other = source(json!([{"name": "basic"}])).await;
    let llm = Upstream::start(|seen, _| match wanted(seen) {
        Wanted::Query => openai(seen, "```sql\nSELECT name FROM plans\n```"),
        _ if results(seen).is_empty() => {
            say(seen, &Say::Both("Let me see.", vec![("query_copy", json!({"question": "Plans?"}))]))
        }
        _ => openai(seen, "There is one plan."),
    })
    .await;
    let sources = catalog(&[("shop", rest(&shop.url())), ("copy", rest(&other.url()))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    let reply = ask(&server, PROMPT, json!({})).await;
    let answer = reply["answer"].as_str().unwrap();
    assert!(answer.starts_with("Let me see.\n\nThere is one plan.\n\n1 row from data source 'copy':"), "{answer}");
    assert!(answer.contains("\n\nMissing from this answer:\n- shop: The LLM wrote no query that works"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_needs_nothing_says_nothing_of_it() {
    let (llm, shop) = (answering("Hello!").await, broken().await);
    let server = server(&llm, &shop, &[]).await;
    let reply = ask(&server, "Hello there", json!({})).await;
    assert_eq!((&reply["answer"], &reply["error"]), (&json!("Hello!"), &json!(null)));
}

#[tokio::test]
async fn what_the_model_asks_for_by_itself_in_vain_is_told_as_well() {
    let shop = broken().await;
    let llm = Upstream::start(|seen, _| {
        let answered = seen.body["messages"].as_array().unwrap().iter().any(|message| message["role"] == "tool");
        match seen.body["tools"].is_array() && !answered {
            true => openai_calls(seen, "", &[("query_shop", json!({"query": "SELECT name FROM plans"}))]),
            false => openai(seen, "About four hundred."),
        }
    })
    .await;
    let server = server(&llm, &shop, &[]).await;
    let reply = ask(&server, "Something on sales, maybe", json!({})).await;
    assert_eq!(reply["answer"], json!(format!("{FIXED}\n\nAbout four hundred.")));
    assert_eq!(reply["error"], "nothing could be obtained from 'shop'");
    assert_eq!(reply["metadata"]["routing"]["by"], "model");
}

#[tokio::test]
async fn another_tool_that_works_does_not_make_up_for_a_source_that_does_not() {
    let (shop, clock) = (broken().await, Upstream::answering(json!({"time": "12:00"})).await);
    let llm = Upstream::start(|seen, _| match wanted(seen) {
        Wanted::Query => openai(seen, "```sql\nSELECT name FROM plans\n```"),
        _ if results(seen).is_empty() => say(seen, &Say::Calls(vec![("clock", json!({"url": "/"}))])),
        _ => openai(seen, "Forty-two."),
    })
    .await;
    let tools = catalog(&[("clock", json!({"type": "http_request", "config": {"base_url": clock.url()}}))]);
    let server = server(&llm, &shop, &[("TOOLS", &tools)]).await;
    let reply = ask(&server, PROMPT, json!({})).await;
    assert_eq!(clock.seen().len(), 1, "the tool was called");
    assert!(reply["answer"].as_str().unwrap().starts_with(&format!("{FIXED}\n\nForty-two.")), "{reply}");
}
