//! An LLM that is absent, refuses, hangs, lies or breaks off: what the client is told, and how soon.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::upstream::{json_reply, open_head, openai, openai_delta, reply};
use crate::common::{Act, Seen, TestServer, Upstream};

/// Asks once; gives status, body and how long it took.
async fn ask(server: &TestServer) -> (u16, Value, Duration) {
    let started = Instant::now();
    let answer = server.post("/v1/chat", &json!({"prompt": "Hello"})).await;
    (answer.status, answer.json(), started.elapsed())
}

/// A chat request that must fail: with this status and code, with an error text that holds all of `texts`, leaving an
/// execution that says so and no trace in the conversation.
async fn fails(server: &TestServer, status: u16, code: &str, texts: &[&str]) -> Duration {
    let (got, body, took) = ask(server).await;
    assert_eq!((got, body["code"].as_str()), (status, Some(code)), "{body}");
    assert_eq!((&body["answer"], &body["metadata"]["has_error"]), (&json!(""), &json!(true)));
    let error = body["error"].as_str().unwrap();
    assert_eq!(body["detail"], error);
    for text in texts {
        assert!(error.contains(text), "{error:?} lacks {text:?}");
    }
    let id = body["execution_id"].as_str().unwrap();
    let execution = server.get(&format!("/v1/executions/{id}")).await.expect(200);
    assert_eq!(
        (&execution["execution"]["status"], &execution["execution"]["error"]),
        (&json!("failed"), &json!(error))
    );
    assert_eq!(server.get("/api/memory/default/history").await.expect(200)["count"], 0);
    took
}

/// A server whose LLM behaves like this, with these variables besides.
async fn server_with(
    script: impl Fn(&Seen, usize) -> Vec<Act> + Send + Sync + 'static,
    variables: &[(&str, &str)],
) -> (TestServer, Upstream) {
    let llm = Upstream::start(script).await;
    (TestServer::with_llm(&llm, variables).await, llm)
}

#[tokio::test]
async fn an_llm_that_is_not_configured() {
    fails(&TestServer::bare().await, 503, "not_configured", &["LLM base URL not configured"]).await;
    let server = TestServer::with(&[("LLM_BASE_URL", "http://127.0.0.1:9"), ("LLM_PROVIDER", "openai")]).await;
    fails(&server, 503, "not_configured", &["No LLM model specified"]).await;
}

#[tokio::test]
async fn an_llm_that_is_not_there() {
    let base = "http://127.0.0.1:1".to_owned();
    let server = TestServer::with(&[("LLM_BASE_URL", &base), ("LLM_DEFAULT_MODEL", "m")]).await;
    let took = fails(&server, 502, "upstream_error", &[&format!("LLM at {base} refused the connection")]).await;
    assert!(took < Duration::from_secs(4), "two waits of at most 0.5 and 1 second: {took:?}");
    let test = server.post("/api/llm/test", &json!({})).await.expect(200);
    assert_eq!((&test["success"], &test["message"]), (&json!(false), &json!("LLM connection failed")));
    assert!(test["error"].as_str().unwrap().contains("refused the connection"));
    assert_eq!(server.get("/api/llm/health").await.expect(200)["healthy"], false);
    let models = server.get("/api/llm/models").await.expect(200);
    assert_eq!(
        (&models["models"], &models["message"]),
        (&json!([{"id": "m", "name": "m"}]), &json!("Using configured default model"))
    );
    assert_eq!(models["success"], true);
    assert!(models["error"].as_str().unwrap().contains("refused the connection"), "{models}");
}

#[tokio::test]
async fn a_wrong_key_shows_where_models_are_listed() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let refusal = move |_: &Seen, _| json_reply(status, &json!({"error": {"message": "Incorrect API key"}}));
        let (server, _llm) = server_with(refusal, &[("LLM_API_KEY", "sk-wrong-key-123")]).await;
        let models = server.get("/api/llm/models").await.expect(200);
        assert_eq!(
            (&models["success"], &models["models"][0]["id"]),
            (&json!(false), &models["default_model"]),
            "{models}"
        );
        let error = models["error"].as_str().unwrap();
        assert!(error.contains(&format!("answered {status}: Incorrect API key")), "{error}");
    }
    // One that has no such list is no misconfiguration.
    let (server, _llm) = server_with(|_, _| json_reply("404 Not Found", &json!({})), &[]).await;
    let models = server.get("/api/llm/models").await.expect(200);
    assert_eq!((&models["success"], models["error"].as_str().is_some()), (&json!(true), true), "{models}");
}

#[tokio::test]
async fn an_llm_whose_host_does_not_exist() {
    let server = TestServer::with(&[
        ("LLM_BASE_URL", "http://no-such-host.invalid"),
        ("LLM_DEFAULT_MODEL", "m"),
        ("LLM_MAX_RETRIES", "1"),
    ])
    .await;
    fails(&server, 502, "upstream_error", &["LLM at http://no-such-host.invalid could not be reached"]).await;
}

#[tokio::test]
async fn an_llm_that_hangs_is_given_up_at_the_timeout() {
    let (server, llm) = server_with(|_, _| vec![Act::Hang], &[("LLM_TIMEOUT_SECONDS", "1")]).await;
    let took = fails(&server, 504, "timeout", &["LLM at http://127.0.0.1", "did not answer in time"]).await;
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(3), "{took:?}");
    llm.client_left().await;
    assert_eq!(llm.chats().len(), 1, "no second attempt when the time is used up");
    let test = server.post("/api/llm/test", &json!({})).await.expect(200);
    assert!(test["error"].as_str().unwrap().contains("did not answer in time"));
}

#[tokio::test]
async fn the_deadline_of_the_whole_request_holds() {
    let (server, llm) = server_with(|_, _| vec![Act::Hang], &[("ORCHESTRATION_TIMEOUT_SECONDS", "1")]).await;
    let took = fails(&server, 504, "timeout", &[]).await;
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(3), "{took:?}");
    llm.client_left().await;
}

#[tokio::test]
async fn an_llm_that_trickles_its_answer_is_given_up_too() {
    let drip = |_: &Seen, _: usize| {
        let mut acts = vec![open_head("application/json")];
        acts.extend((0..100).flat_map(|_| [Act::Send(" ".to_owned()), Act::Sleep(Duration::from_millis(100))]));
        acts
    };
    let (server, llm) = server_with(drip, &[("LLM_TIMEOUT_SECONDS", "1")]).await;
    fails(&server, 504, "timeout", &["did not answer in time"]).await;
    llm.client_left().await;
}

#[tokio::test]
async fn an_llm_that_answers_what_cannot_be_used() {
    let cases: [(&str, &str, &str, &[&str]); 8] = [
        (
            "200 OK",
            "application/json",
            "not json at all",
            &["answered with something that is not JSON: not json at all"],
        ),
        ("200 OK", "text/html", "<html><h1>Login</h1></html>", &["not JSON: (an HTML page)"]),
        ("200 OK", "application/json", "", &["answered with an empty body"]),
        ("200 OK", "application/json", "{\"choices\": []}", &["answered without any choices"]),
        ("200 OK", "application/json", "{\"choices\": [{\"message\": {\"content\": null}}]}", &["without any text"]),
        ("200 OK", "application/json", "{\"error\": {\"message\": \"quota\"}}", &["answered with an error: quota"]),
        ("302 Found", "text/html", "", &["answered 302 Found"]),
        (
            "401 Unauthorized",
            "application/json",
            "{\"error\": {\"message\": \"who are you\"}}",
            &["answered 401 Unauthorized: who are you"],
        ),
    ];
    for (status, kind, body, texts) in cases {
        let (server, llm) = server_with(move |_, _| reply(status, kind, body), &[]).await;
        fails(&server, 502, "upstream_error", texts).await;
        assert_eq!(llm.chats().len(), 1, "{body}: nothing that another attempt could mend");
    }
}

#[tokio::test]
async fn an_llm_that_breaks_off_in_the_middle_of_a_complete_answer() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"choices\": [";
    let (server, llm) = server_with(move |_, _| vec![Act::Send(head.to_owned())], &[]).await;
    fails(&server, 502, "upstream_error", &["broke off its reply"]).await;
    assert_eq!(llm.chats().len(), 3, "LLM_MAX_RETRIES counts attempts");
}

#[tokio::test]
async fn two_errors_and_then_an_answer() {
    let (server, llm) = server_with(
        |seen, nth| match nth {
            0 | 1 => json_reply("500 Internal Server Error", &json!({"error": "warming up"})),
            _ => openai(seen, "Third time lucky."),
        },
        &[],
    )
    .await;
    let (status, body, took) = ask(&server).await;
    assert_eq!((status, &body["answer"]), (200, &json!("Third time lucky.")));
    assert_eq!(llm.chats().len(), 3);
    assert!(took < Duration::from_secs(3), "{took:?}");

    let (server, llm) = server_with(
        |_, _| json_reply("500 Internal Server Error", &json!({"error": "still down"})),
        &[("LLM_MAX_RETRIES", "2")],
    )
    .await;
    fails(&server, 502, "upstream_error", &["answered 500 Internal Server Error: still down"]).await;
    assert_eq!(llm.chats().len(), 2);
    let test = server.post("/api/llm/test", &json!({})).await.expect(200);
    assert_eq!(test["success"], false);
}

#[tokio::test]
async fn too_many_requests_are_not_made_again_before_retry_after() {
    let limited = |wait: u32| {
        let body = "{\"error\": {\"message\": \"slow down\"}}";
        let head = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nconnection: close";
        vec![Act::Send(format!("{head}\r\nretry-after: {wait}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))]
    };
    let (server, llm) =
        server_with(move |seen, nth| if nth == 0 { limited(1) } else { openai(seen, "Now.") }, &[]).await;
    let (status, body, took) = ask(&server).await;
    assert_eq!((status, &body["answer"]), (200, &json!("Now.")));
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(3), "{took:?}");
    assert_eq!(llm.chats().len(), 2);

    let (server, llm) = server_with(move |_, _| limited(120), &[]).await;
    let took = fails(&server, 502, "upstream_error", &["answered 429 Too Many Requests: slow down"]).await;
    assert!(took < Duration::from_secs(2), "a wait beyond the timeout is not begun: {took:?}");
    assert_eq!(llm.chats().len(), 1);
}

/// A streamed chat request that must end in an error event.
async fn stream_fails(server: &TestServer, code: &str, text: &str, deltas: usize) {
    let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
    assert_eq!(frames.iter().filter(|frame| frame.event == "delta").count(), deltas);
    assert!(frames.iter().all(|frame| frame.event != "answer"));
    let last = frames.last().unwrap();
    assert_eq!((last.event.as_str(), last.data["code"].as_str()), ("error", Some(code)), "{last:?}");
    let detail = last.data["detail"].as_str().unwrap();
    assert!(detail.contains(text), "{detail:?} lacks {text:?}");
    assert_eq!(server.get("/api/memory/default/history").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn failures_before_and_in_the_middle_of_a_stream() {
    stream_fails(&TestServer::bare().await, "not_configured", "LLM base URL not configured", 0).await;

    let cut = |_: &Seen, _: usize| vec![open_head("text/event-stream"), openai_delta("Once "), openai_delta("upon ")];
    stream_fails(&server_with(cut, &[]).await.0, "upstream_error", "broke off in the middle of its answer", 2).await;

    let error = |_: &Seen, _: usize| {
        let chunk = "data: {\"error\": {\"message\": \"out of memory\"}}\n\n";
        vec![open_head("text/event-stream"), openai_delta("Once "), Act::Send(chunk.to_owned())]
    };
    let (server, llm) = server_with(error, &[]).await;
    stream_fails(&server, "upstream_error", "broke off with an error: out of memory", 1).await;
    assert_eq!(llm.chats().len(), 1, "never again after the first byte");

    let silent = |_: &Seen, _: usize| vec![open_head("text/event-stream"), openai_delta("Once "), Act::Hang];
    stream_fails(&server_with(silent, &[("LLM_TIMEOUT_SECONDS", "1")]).await.0, "timeout", "did not answer in time", 1)
        .await;

    let empty = |_: &Seen, _: usize| vec![open_head("text/event-stream")];
    stream_fails(&server_with(empty, &[]).await.0, "upstream_error", "answered with an empty stream", 0).await;

    let html = |_: &Seen, _: usize| reply("200 OK", "text/html", "<html></html>");
    stream_fails(&server_with(html, &[]).await.0, "upstream_error", "text/html instead of a stream", 0).await;

    let garbage = |_: &Seen, _: usize| vec![open_head("text/event-stream"), Act::Send("data: {oops\n\n".to_owned())];
    stream_fails(&server_with(garbage, &[]).await.0, "upstream_error", "a chunk that is not JSON", 0).await;
}

#[tokio::test]
async fn ollama_errors_in_the_middle_of_a_stream_are_noticed() {
    let llm = Upstream::start(|_, _| {
        let lines = "{\"message\":{\"content\":\"Once \"},\"done\":false}\n{\"error\":\"model crashed\"}\n";
        vec![open_head("application/x-ndjson"), Act::Send(lines.to_owned())]
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_PROVIDER", "ollama")]).await;
    stream_fails(&server, "upstream_error", "broke off with an error: model crashed", 1).await;
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_byte_is_tried_again() {
    let (server, llm) = server_with(
        |seen, nth| {
            if nth == 0 {
                json_reply("503 Service Unavailable", &json!({"error": "loading"}))
            } else {
                openai(seen, "Here.")
            }
        },
        &[],
    )
    .await;
    let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
    assert_eq!(frames.last().unwrap().data["answer"], "Here.");
    assert_eq!(llm.chats().len(), 2);
}

#[tokio::test]
async fn an_error_whose_text_never_comes_does_not_cost_the_next_attempt() {
    let (server, llm) = server_with(
        |seen, nth| match nth {
            0 => vec![
                Act::Send("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 99\r\n\r\nhalf".to_owned()),
                Act::Hang,
            ],
            _ => openai(seen, "Better now."),
        },
        &[("LLM_TIMEOUT_SECONDS", "20")],
    )
    .await;
    let (status, body, took) = ask(&server).await;
    assert_eq!((status, &body["answer"]), (200, &json!("Better now.")));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(llm.chats().len(), 2);
}

#[tokio::test]
async fn a_stream_without_end_is_cut_off() {
    let endless = |_: &Seen, _: usize| {
        let text = "x".repeat(900_000);
        let deltas = (0..40).map(|_| openai_delta(&text));
        [open_head("text/event-stream")].into_iter().chain(deltas).collect()
    };
    let (server, _llm) = server_with(endless, &[]).await;
    let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
    let last = frames.last().unwrap();
    assert_eq!(last.event, "error");
    assert!(last.data["detail"].as_str().unwrap().contains("sent a reply of more than"), "{}", last.data["detail"]);
}
