//! Two wire formats, one behaviour: what is sent to OpenAI-compatible servers and to Ollama, and what is understood.

use serde_json::{Value, json};

use crate::common::upstream::{json_reply, ollama, open_head, openai};
use crate::common::{Act, TestServer, Upstream};

async fn server_for(llm: &Upstream, base: &str, provider: &str) -> TestServer {
    let base = format!("{}{base}", llm.url());
    TestServer::with(&[
        ("LLM_BASE_URL", &base),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_PROVIDER", provider),
        ("LLM_API_KEY", "sk-1"),
        ("LLM_MAX_TOKENS", "64"),
    ])
    .await
}

async fn ask(server: &TestServer) -> Value {
    server.post("/v1/chat", &json!({"prompt": "Hello", "metadata": {"use_cache": false}})).await.expect(200)
}

#[tokio::test]
async fn an_openai_server_is_asked_as_it_expects_whatever_the_base_url_looks_like() {
    for base in ["", "/", "/v1", "/v1/", "//v1//", "/v1/chat/completions"] {
        let llm = Upstream::saying("Hi there.").await;
        let server = server_for(&llm, base, "openai").await;
        assert_eq!(ask(&server).await["answer"], "Hi there.");
        let sent = &llm.chats()[0];
        assert_eq!(sent.path, "/v1/chat/completions", "{base}");
        let expected = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "temperature": 0.7, "max_tokens": 64});
        assert_eq!(sent.body, expected);
        assert_eq!(
            (sent.headers["authorization"].as_str(), sent.headers["content-type"].as_str()),
            ("Bearer sk-1", "application/json")
        );
        assert_eq!(server.get("/api/llm/models").await.expect(200)["models"][0]["id"], "stub-model");
        assert_eq!(server.get("/api/llm/health").await.expect(200)["healthy"], true);
        assert!(llm.seen().iter().all(|seen| seen.headers["authorization"] == "Bearer sk-1"));
    }
}

#[tokio::test]
async fn ollama_is_asked_as_it_expects_whatever_the_base_url_looks_like() {
    for base in ["", "/", "/v1", "/api", "/api/chat", "/api/generate"] {
        let llm = Upstream::start(|seen, _| ollama(seen, "Hi there.")).await;
        let server = server_for(&llm, base, "ollama").await;
        let reply = ask(&server).await;
        assert_eq!((&reply["answer"], &reply["metadata"]["model"]), (&json!("Hi there."), &json!("llama:1b")));
        assert_eq!(reply["metadata"]["usage"], json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}));
        let sent = &llm.chats()[0];
        assert_eq!(sent.path, "/api/chat", "{base}");
        let expected = json!({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": false,
            "options": {"temperature": 0.7, "num_predict": 64}});
        assert_eq!(sent.body, expected);
        assert_eq!(
            server.get("/api/llm/models").await.expect(200)["models"],
            json!([{"id": "llama:1b", "name": "llama:1b"}])
        );
        assert_eq!(server.get("/api/llm/health").await.expect(200)["provider"], "ollama");
    }
}

#[tokio::test]
async fn auto_asks_the_server_once_and_does_not_guess_from_the_address() {
    let llm = Upstream::start(|seen, _| ollama(seen, "I am Ollama.")).await;
    let server = server_for(&llm, "", "auto").await;
    for _ in 0..3 {
        assert_eq!(ask(&server).await["answer"], "I am Ollama.");
    }
    assert_eq!(llm.seen().iter().filter(|seen| seen.path == "/api/version").count(), 1);

    // A path that the original took for Ollama, in front of an OpenAI-compatible server.
    let llm = Upstream::start(|seen, _| match seen.path.trim_start_matches("/ollama-proxy") {
        path if seen.method == "POST" => {
            assert_eq!(path, "/v1/chat/completions");
            openai(seen, "I am not.")
        }
        _ => openai(seen, ""),
    })
    .await;
    let server = server_for(&llm, "/ollama-proxy", "auto").await;
    for _ in 0..3 {
        assert_eq!(ask(&server).await["answer"], "I am not.");
    }
    assert_eq!(llm.seen().len(), 4, "one question for the format, three for answers");
}

#[tokio::test]
async fn a_server_that_cannot_tell_its_format_now_is_asked_again() {
    let llm = Upstream::start(|seen, nth| match (seen.method.as_str(), nth) {
        ("GET", 0) => json_reply("503 Service Unavailable", &json!({"error": "starting"})),
        ("POST", 1) => json_reply("404 Not Found", &json!({"error": "no such path"})),
        _ => ollama(seen, "Ready now."),
    })
    .await;
    let server = server_for(&llm, "", "auto").await;
    assert_eq!(server.post("/v1/chat", &json!({"prompt": "Hello"})).await.status, 502);
    assert_eq!(ask(&server).await["answer"], "Ready now.");
}

#[tokio::test]
async fn answers_in_every_shape_are_understood() {
    let shapes = [
        json!({"choices": [{"message": {"role": "assistant", "content": "text"}}]}),
        json!({"choices": [{"message": {"content": [{"type": "text", "text": "te"}, {"type": "image"}, {"type": "text", "text": "xt"}]}}], "usage": null}),
    ];
    for shape in shapes {
        let llm = Upstream::start(move |_, _| json_reply("200 OK", &shape)).await;
        let server = server_for(&llm, "", "openai").await;
        let reply = ask(&server).await;
        assert_eq!((&reply["answer"], &reply["metadata"]["model"]), (&json!("text"), &json!("m")));
    }
}

#[tokio::test]
async fn both_formats_are_streamed() {
    let body = json!({"prompt": "Hello", "stream": true});
    let llm = Upstream::start(|seen, _| ollama(seen, "one two three")).await;
    let frames = server_for(&llm, "", "ollama").await.chat_events(&body).await;
    let deltas: Vec<_> =
        frames.iter().filter(|frame| frame.event == "delta").map(|frame| frame.data["content"].clone()).collect();
    assert_eq!(deltas, ["one ", "two ", "three"]);
    let answer = &frames.last().unwrap().data;
    assert_eq!(
        (&answer["answer"], &answer["metadata"]["usage"]["total_tokens"]),
        (&json!("one two three"), &json!(10))
    );
    assert_eq!(llm.chats()[0].body["stream"], true);

    let llm = Upstream::saying("one two three").await;
    let frames = server_for(&llm, "", "openai").await.chat_events(&body).await;
    assert_eq!(frames.last().unwrap().data["answer"], "one two three");
    let sent = &llm.chats()[0].body;
    assert_eq!((&sent["stream"], &sent["stream_options"]), (&json!(true), &json!({"include_usage": true})));
}

#[tokio::test]
async fn a_server_that_ignores_the_wish_for_a_stream_is_understood() {
    let whole = json!({"choices": [{"message": {"content": "all at once"}, "finish_reason": "stop"}]});
    let llm = Upstream::start(move |_, _| json_reply("200 OK", &whole)).await;
    let frames = server_for(&llm, "", "openai").await.chat_events(&json!({"prompt": "Hello"})).await;
    assert_eq!(frames.last().unwrap().data["answer"], "all at once");
}

#[tokio::test]
async fn a_stream_that_keeps_its_connection_open_after_the_end_is_complete() {
    let llm = Upstream::start(|_, _| {
        let end =
            "data: {\"choices\":[{\"delta\":{\"content\":\"done\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        vec![open_head("text/event-stream"), Act::Send(": hello\n\n".to_owned()), Act::Send(end.to_owned()), Act::Hang]
    })
    .await;
    let frames = server_for(&llm, "", "openai").await.chat_events(&json!({"prompt": "Hello"})).await;
    assert_eq!(frames.last().unwrap().data["answer"], "done");
}

#[tokio::test]
async fn a_failing_model_is_replaced_by_the_next_one_on_the_list() {
    let llm = Upstream::start(|seen, _| match seen.body["model"].as_str() {
        Some("good") => openai(seen, "From the third."),
        Some("gone") => json_reply("404 Not Found", &json!({"error": {"message": "model not found"}})),
        _ => json_reply("400 Bad Request", &json!({"error": {"message": "broken model"}})),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_FALLBACK_MODELS", "gone, good")]).await;
    let reply = ask(&server).await;
    assert_eq!((&reply["answer"], &reply["metadata"]["model"]), (&json!("From the third."), &json!("good")));
    let tried: Vec<_> = llm.chats().iter().map(|seen| seen.body["model"].as_str().unwrap().to_owned()).collect();
    assert_eq!(tried, ["stub-model", "gone", "good"]);
    let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
    assert_eq!(frames.last().unwrap().data["metadata"]["model"], "good");
}

#[tokio::test]
async fn a_placeholder_for_a_key_does_not_garble_answers() {
    for key in ["ollama", "EMPTY", "1"] {
        let llm = Upstream::saying("ollama 1 EMPTY").await;
        let server = TestServer::with_llm(&llm, &[("LLM_API_KEY", key)]).await;
        assert_eq!(ask(&server).await["answer"], "ollama 1 EMPTY");
        let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
        assert_eq!(frames.last().unwrap().data["answer"], "ollama 1 EMPTY", "{key}");
    }
}

#[tokio::test]
async fn a_proxy_is_for_other_machines_only() {
    let llm = Upstream::saying("Direct.").await;
    let proxy = Upstream::saying("Through the proxy.").await;
    let server = TestServer::with_llm(&llm, &[("HTTP_PROXY", &proxy.url())]).await;
    assert_eq!(ask(&server).await["answer"], "Direct.");
    server.put("/api/llm/config", &json!({"base_url": "http://models.invalid"})).await.expect(200);
    assert_eq!(ask(&server).await["answer"], "Through the proxy.");
    assert_eq!(proxy.chats()[0].path, "http://models.invalid/v1/chat/completions");
}
