//! A credential that comes in pieces, or in any member of an upstream's reply, is masked wherever it may go.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::common::client::Frame;
use crate::common::upstream::{json_reply, open_head, openai, openai_delta, openai_end, reply};
use crate::common::{Act, Program, Seen, TestServer, Upstream};

const KEY: &str = "sk-canary-7f3a9c-of-the-llm";
const TOKEN: &str = "agent-canary/4b1e\"quoted";
const PASSWORD: &str = "canary p@ssword of a source";

/// An LLM that repeats its prompt in pieces of as many characters as the prompt begins with, and puts its key into every member.
fn parrot(seen: &Seen, key: &str) -> Vec<Act> {
    let prompt = seen.body["messages"].as_array().and_then(|all| all.last()).map(|last| last["content"].clone());
    let prompt = prompt.as_ref().and_then(Value::as_str).unwrap_or_default();
    let (size, _) = prompt.split_once(' ').unwrap_or_default();
    let said = format!("{prompt} {key}, {TOKEN}, {PASSWORD}. Done");
    let chunk =
        |delta: Value| json!({"id": key, "model": key, "system_fingerprint": key, "choices": [{"delta": delta}]});
    let mut acts = vec![open_head("text/event-stream")];
    for piece in said.chars().collect::<Vec<_>>().chunks(size.parse().unwrap_or(1)) {
        let piece: String = piece.iter().collect();
        acts.push(Act::Send(format!("data: {}\n\n", chunk(json!({"content": piece})))));
    }
    let end = json!({"model": key, "choices": [{"delta": {}, "finish_reason": key}], "usage": {"prompt_tokens": key}});
    acts.push(Act::Send(format!("data: {end}\n\ndata: [DONE]\n\n")));
    acts
}

/// Whether a text holds anything of a secret that would help.
fn gives_away(text: &str) -> bool {
    // Long enough that no id has them by chance.
    let parts = [&KEY[..12], &TOKEN[..12], &PASSWORD[..12], "4b1e\"quo", "4b1e\\\"quo", "p%40ssword"];
    parts.iter().any(|part| text.contains(part))
}

fn heard(frames: &[Frame]) -> String {
    let deltas = frames.iter().filter(|frame| frame.event == "delta");
    deltas.map(|frame| frame.data["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_credential_in_pieces_is_in_no_event_history_record_or_log() {
    let llm = Upstream::start(|seen, _| parrot(seen, KEY)).await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let agents = json!({"a": {"url": "http://127.0.0.1:1", "auth_token": TOKEN}}).to_string();
    let url = format!("postgres://u:{}@127.0.0.1:1/x", PASSWORD.replace(' ', "%20").replace('@', "%40"));
    let sources = json!({"d": {"type": "postgres", "url": url}}).to_string();
    let variables = [
        ("LLM_BASE_URL", base.as_str()),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_PROVIDER", "openai"),
        ("LLM_API_KEY", KEY),
        ("EXTERNAL_AGENTS", &agents),
        ("DATASOURCES", &sources),
        ("LOG_LEVEL", "trace"),
        ("LOG_CONTENT", "true"),
    ];
    let program = Program::start("serve", folder.path(), &variables).await;
    let client = &program.client;
    for size in ["1", "2", "3", "5", "7", "11", "1000"] {
        let prompt = format!("{size} please");
        let frames = client.chat_events(&json!({"prompt": prompt, "user_id": "ada"})).await;
        assert!(frames.iter().all(|frame| !gives_away(&frame.data.to_string())), "{frames:?}");
        let answer = &frames.last().unwrap().data;
        assert_eq!(answer["answer"], format!("{prompt} ********, ********, ********. Done"));
        assert_eq!((heard(&frames), &answer["error"]), (answer["answer"].as_str().unwrap().to_owned(), &json!(null)));
        assert_eq!(answer["metadata"]["model"], "********");
        // Nobody waits for what can't be a credential.
        let first = frames.iter().find(|frame| frame.event == "delta").unwrap();
        assert!(!first.data["content"].as_str().unwrap().is_empty());
        let id = answer["execution_id"].as_str().unwrap();
        let record = client.get(&format!("/v1/executions/{id}")).await;
        assert_eq!(record.expect(200)["steps"][0]["target"], "********");
        assert!(!gives_away(&record.text), "{}", record.text);
    }
    for path in
        ["/api/memory/ada/history", "/api/memory/ada/context", "/v1/executions", "/api/monitoring/logs?limit=1000"]
    {
        let shown = client.get(path).await.text;
        assert!(!gives_away(&shown), "{path}: {shown}");
    }
    let log = program.log();
    assert!(log.contains("Done"), "content is logged");
    assert_eq!(log.lines().find(|line| gives_away(line)), None);
    program.kill();
    for file in std::fs::read_dir(folder.path().join("data")).unwrap() {
        let (path, what) = (file.unwrap().path(), |bytes: Vec<u8>| gives_away(&String::from_utf8_lossy(&bytes)));
        assert!(path.is_dir() || !what(std::fs::read(&path).unwrap()), "{}", path.display());
    }
}

#[tokio::test]
async fn ordinary_words_do_not_wait_for_the_next_ones() {
    let word = Arc::new(Notify::new());
    let llm = Upstream::paced(&["One ", "two", " sk-", "canary", "-7 and ", "the last"], &word).await;
    let server = TestServer::with_llm(&llm, &[("LLM_API_KEY", KEY)]).await;
    let mut stream = server.open_stream(&json!({"prompt": "Count"})).await;
    assert_eq!(stream.next().await.unwrap().event, "execution");
    // The upstream goes on when it is told to: each of these has come before the next was sent, but for what began like the key.
    for (shown, sent) in [("One ", 1), ("two", 1), (" ", 3), ("sk-canary-7 and ", 1), ("the last", 1)] {
        assert_eq!(stream.next().await.unwrap().data["content"], shown);
        for _ in 0..sent {
            word.notify_one();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    let frames: Vec<_> = stream.collect().await;
    assert_eq!(frames.last().unwrap().data["answer"], "One two sk-canary-7 and the last");
}

#[tokio::test]
async fn a_key_that_is_replaced_meanwhile_stays_masked_and_one_that_breaks_off_too() {
    let word = Arc::new(Notify::new());
    let wait = word.clone();
    let llm = Upstream::start(move |seen, _| {
        let mut acts = vec![open_head("text/event-stream"), openai_delta("Now "), Act::Wait(wait.clone())];
        let prompt = seen.body["messages"].to_string();
        let said = if prompt.contains("whole") { KEY } else { &KEY[..20] };
        acts.extend(said.chars().map(|c| openai_delta(&c.to_string())));
        acts.extend(prompt.contains("whole").then(openai_end));
        acts
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_API_KEY", KEY)]).await;
    for (prompt, end, stays) in [("whole", "answer", "Now ********"), ("part", "error", "")] {
        server.put("/api/llm/config", &json!({"api_key": KEY})).await.expect(200);
        let mut stream = server.open_stream(&json!({"prompt": prompt, "user_id": prompt})).await;
        while stream.next().await.unwrap().event != "delta" {}
        server.put("/api/llm/config", &json!({"api_key": "another-key-entirely"})).await.expect(200);
        word.notify_one();
        let frames: Vec<_> = stream.collect().await;
        assert_eq!(heard(&frames), "********");
        assert_eq!(
            (frames.last().unwrap().event.as_str(), &frames.last().unwrap().data["answer"]),
            (end, &json!(stays))
        );
        assert!(frames.iter().all(|frame| !gives_away(&frame.data.to_string())), "{frames:?}");
    }
}

/// The key of the LLM must not reach a tool because the model writes it into a call.
#[tokio::test]
async fn a_key_that_a_model_hands_to_a_tool_does_not_reach_it() {
    let tool = Upstream::answering(json!({"ok": 1})).await;
    let llm = Upstream::start(|seen, nth| {
        let piece = |index: u64, function: Value| {
            let call = json!({"index": index, "id": KEY, "function": function});
            Act::Send(format!("data: {}\n\n", json!({"choices": [{"delta": {"tool_calls": [call]}}]})))
        };
        let (begin, end) = KEY.split_at(9);
        if nth > 0 || seen.body["tools"].is_null() {
            return vec![open_head("text/event-stream"), openai_delta("Done."), openai_end()];
        }
        vec![
            open_head("text/event-stream"),
            piece(0, json!({"name": "web", "arguments": format!("{{\"url\": \"/{begin}")})),
            piece(0, json!({"arguments": format!("{end}\", \"headers\": {{\"x-a\": \"{KEY}\"}}}}")})),
            openai_end(),
        ]
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_API_KEY", KEY)]).await;
    let web = json!({"name": "web", "type": "http_request", "config": {"base_url": tool.url()}});
    server.post("/api/tools", &web).await.expect(201);
    let frames = server.chat_events(&json!({"prompt": "Go on", "metadata": {"tools": ["web"]}})).await;
    assert!(frames.iter().all(|frame| !gives_away(&frame.data.to_string())), "{frames:?}");
    let sent = tool.seen();
    assert_eq!(sent.len(), 1, "{frames:?}");
    assert!(!gives_away(&format!("{sent:?}")), "{sent:?}");
}

#[tokio::test]
async fn what_an_agent_a_tool_and_a_source_let_slip_is_masked_in_every_spelling() {
    let llm = Upstream::start(|_, _| json_reply("503 Service Unavailable", &json!({"error": "away"}))).await;
    let slip = |text: String| Upstream::start(move |_, _| reply("200 OK", "text/plain", &text));
    let json = |text: &str| json!({"text": text}).to_string();
    let events: String = TOKEN.chars().map(|c| format!("data: {}\n\n", json!({"content": c}))).collect();
    let agents = [
        slip(format!("It is {TOKEN}.")).await,
        slip(format!("It is {}.", json(TOKEN))).await,
        slip(format!("It is {}.", json(&json(TOKEN)))).await,
        slip("It is agent-canary%2F4b1e%22quoted.".to_owned()).await,
        Upstream::start(move |_, _| reply("200 OK", "text/event-stream", &events)).await,
    ];
    let server = TestServer::with_llm(&llm, &[("LLM_MAX_RETRIES", "1")]).await;
    // Another agent's token: each masks its own anyway.
    let other = json!({"name": "other", "url": "http://127.0.0.1:1", "auth_token": TOKEN});
    server.post("/api/agents", &other).await.expect(201);
    for (number, agent) in agents.iter().enumerate() {
        let name = format!("a{number}");
        server.post("/api/agents", &json!({"name": name, "url": agent.url()})).await.expect(201);
        let ask = json!({"prompt": "Ask the agent", "metadata": {"agent": name}});
        let reply = server.post("/v1/chat", &ask).await;
        assert!(reply.expect(200)["answer"].as_str().unwrap().contains("********"), "{}", reply.text);
        assert!(!gives_away(&reply.text), "{}", reply.text);
        let frames = server.chat_events(&ask).await;
        assert!(heard(&frames).contains("********") && !gives_away(&format!("{frames:?}")), "{frames:?}");
    }
    // What an agent lets slip of its own token does not reach the LLM.
    let told = llm.seen().len();
    let own = json!({"name": "own", "url": agents[4].url(), "auth_token": TOKEN});
    server.post("/api/agents", &own).await.expect(201);
    server.post("/v1/chat", &json!({"prompt": "Ask the agent", "metadata": {"agent": "own"}})).await.expect(200);
    let bodies = llm.seen().split_off(told);
    assert!(bodies.iter().any(|seen| seen.text.contains("********")) && !gives_away(&format!("{bodies:?}")));
    let records = server.get("/v1/executions?limit=100").await;
    let history = server.get("/api/memory/default/history").await;
    assert!(!gives_away(&records.text) && !gives_away(&history.text));
}

/// Whoever sums a conversation up may repeat what another service is asked with.
#[tokio::test]
async fn a_summary_holds_no_credential() {
    let llm = Upstream::start(|seen, _| openai(seen, &format!("They spoke of {TOKEN} and of cats."))).await;
    let server = TestServer::with_llm(&llm, &[("MEMORY_MAX_MESSAGES", "2")]).await;
    let agent = json!({"name": "a", "url": "http://127.0.0.1:9", "auth_token": TOKEN});
    server.post("/api/agents", &agent).await.expect(201);
    for _ in 0..3 {
        server.post("/v1/chat", &json!({"prompt": "Hi", "user_id": "ada"})).await.expect(200);
    }
    for _ in 0..250 {
        let summary = server.get("/api/memory/ada/summary").await.expect(200)["summary"].clone();
        if let Some(summary) = summary.as_str() {
            assert_eq!(summary, "They spoke of ******** and of cats.");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there is no summary");
}
