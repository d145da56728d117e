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
    let cases: [(&str, &str, &str, &[&str]); 7] = [
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
    let took = fails(&server, 502, "rate_limited", &["answered 429 Too Many Requests: slow down", "120 s"]).await;
    assert!(took < Duration::from_secs(2), "a wait beyond the timeout is not begun: {took:?}");
    assert_eq!(llm.chats().len(), 1);
}

#[tokio::test]
async fn what_a_caller_can_do_something_about_has_a_code_of_its_own() {
    let cases = [
        ("401 Unauthorized", json!({"error": {"message": "who are you"}}), "unauthorized"),
        ("403 Forbidden", json!({"detail": "Invalid API key"}), "unauthorized"),
        (
            "400 Bad Request",
            json!({"error": {"message": "This model's maximum context length is 4096 tokens.", "code": "context_length_exceeded"}}),
            "context_length_exceeded",
        ),
        (
            "400 Bad Request",
            json!({"error": {"code": 400, "message": "the request exceeds the available context size, try increasing it", "type": "exceed_context_size_error"}}),
            "context_length_exceeded",
        ),
        (
            "400 Bad Request",
            json!([{"error": {"code": 400, "message": "The input token count (9000) exceeds the maximum number of tokens allowed (8192).", "status": "INVALID_ARGUMENT"}}]),
            "context_length_exceeded",
        ),
        (
            "404 Not Found",
            json!({"error": {"message": "The model `x` does not exist.", "code": "model_not_found"}}),
            "model_not_found",
        ),
        ("404 Not Found", json!({"error": "model \"x\" not found, try pulling it first"}), "model_not_found"),
        (
            "400 Bad Request",
            json!({"error": {"message": "Model Not Exist", "code": "invalid_request_error"}}),
            "model_not_found",
        ),
        ("429 Too Many Requests", json!({"error": {"message": "slow down"}}), "rate_limited"),
        (
            "413 Payload Too Large",
            json!({"error": {"message": "Request too large", "code": "rate_limit_exceeded"}}),
            "rate_limited",
        ),
        ("404 Not Found", json!({"detail": "Not Found"}), "upstream_error"),
        ("500 Internal Server Error", json!({"error": "boom"}), "upstream_error"),
    ];
    for (status, body, code) in cases {
        let (server, _llm) = server_with(move |_, _| json_reply(status, &body), &[("LLM_MAX_RETRIES", "1")]).await;
        fails(&server, 502, code, &[&format!("answered {status}")]).await;
        let test = server.post("/api/llm/test", &json!({})).await.expect(200);
        assert_eq!((&test["success"], test["code"].as_str()), (&json!(false), Some(code)), "{test}");
        let event = server.chat_events(&json!({"prompt": "Hello"})).await.pop().unwrap();
        assert_eq!((event.event.as_str(), event.data["code"].as_str()), ("error", Some(code)));
    }
}

#[tokio::test]
async fn callers_are_told_how_long_the_llm_wants_to_be_left_alone() {
    let limited = |_: &Seen, _: usize| {
        let body = "{\"error\": {\"message\": \"slow down\"}}";
        let head = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\nretry-after: 77";
        vec![Act::Send(format!("{head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()))]
    };
    let (server, _llm) = server_with(limited, &[("LLM_MAX_RETRIES", "1")]).await;
    let answer = server.post("/v1/chat", &json!({"prompt": "Hello"})).await;
    assert_eq!((answer.status, &answer.headers["retry-after"]), (502, &"77".parse().unwrap()));
    let (server, _llm) =
        server_with(|_, _| json_reply("500 Internal Server Error", &json!({})), &[("LLM_MAX_RETRIES", "1")]).await;
    assert!(!server.post("/v1/chat", &json!({"prompt": "Hello"})).await.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn an_answer_that_was_cut_says_so() {
    for (word, reason, warns) in [
        ("stop", "stop", false),
        ("length", "length", true),
        ("content_filter", "content_filter", true),
        ("eos", "stop", false),
    ] {
        let llm = Upstream::start(move |seen, _| match seen.body["stream"] == true {
            true => {
                let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": word}]});
                vec![
                    open_head("text/event-stream"),
                    openai_delta("Half of"),
                    Act::Send(format!("data: {end}\n\ndata: [DONE]\n\n")),
                ]
            }
            false => {
                json_reply("200 OK", &json!({"choices": [{"message": {"content": "Half of"}, "finish_reason": word}]}))
            }
        })
        .await;
        let server = TestServer::with_llm(&llm, &[]).await;
        let whole = server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
        let event = server.chat_events(&json!({"prompt": "Hello again"})).await.pop().unwrap();
        for reply in [&whole, &event.data] {
            assert_eq!(reply["metadata"]["finish_reason"], reason, "{reply}");
            let warnings = reply["metadata"]["warnings"].to_string();
            assert_eq!(
                (warnings.contains("cut off"), reply["metadata"]["degraded"] == true),
                (warns, warns),
                "{reply}"
            );
        }
        let again = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "bob"})).await.expect(200);
        let fresh = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "eve"})).await.expect(200);
        assert_eq!(
            (&again["metadata"]["finish_reason"], &fresh["metadata"]["cached"]),
            (&json!(reason), &json!(!warns)),
            "{word}"
        );
    }
    let llm = Upstream::start(|seen, _| {
        let last = json!({"model": "m", "message": {"role": "assistant", "content": "Half of"}, "done": true, "done_reason": "length"});
        if seen.method == "GET" { json_reply("404 Not Found", &json!({})) } else { reply("200 OK", "application/x-ndjson", &format!("{last}\n")) }
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_PROVIDER", "ollama")]).await;
    let event = server.chat_events(&json!({"prompt": "Hello"})).await.pop().unwrap();
    assert_eq!(event.data["metadata"]["finish_reason"], "length");
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
async fn a_stream_that_breaks_before_anything_was_shown_is_tried_again() {
    let breaks: [fn() -> Vec<Act>; 4] = [
        || vec![open_head("text/event-stream")],
        || vec![open_head("text/event-stream"), Act::Send(": keep-alive\n\n".to_owned())],
        || {
            let role = json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
            vec![open_head("text/event-stream"), Act::Send(format!("data: {role}\n\n"))]
        },
        // Chunked, and cut amid a chunk.
        || {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nff\r\ndata: {\"ch";
            vec![Act::Send(head.to_owned())]
        },
    ];
    for broken in breaks {
        let (server, llm) =
            server_with(move |seen, nth| if nth == 0 { broken() } else { openai(seen, "Here it is.") }, &[]).await;
        let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
        assert_eq!(frames.last().unwrap().data["answer"], "Here it is.");
        assert_eq!(llm.chats().len(), 2);
        // Where attempts are used up, another model may do better.
        let script = move |seen: &Seen, _: usize| match seen.body["model"] == "other" {
            true => openai(seen, "Here it is."),
            false => broken(),
        };
        let variables = [("LLM_MAX_RETRIES", "1"), ("LLM_FALLBACK_MODELS", "other")];
        let (server, llm) = server_with(script, &variables).await;
        let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
        assert_eq!(frames.last().unwrap().data["metadata"]["model"], "other");
        assert_eq!(llm.chats().len(), 2);
    }
}

#[tokio::test]
async fn what_was_shown_before_a_stream_broke_is_kept_in_the_record() {
    let cut = |_: &Seen, _: usize| vec![open_head("text/event-stream"), openai_delta("Once "), openai_delta("upon ")];
    let (server, llm) = server_with(cut, &[]).await;
    let event = server.chat_events(&json!({"prompt": "Hello"})).await.pop().unwrap();
    assert_eq!((event.event.as_str(), &event.data["answer"]), ("error", &json!("")));
    assert_eq!(llm.chats().len(), 1, "what was shown can't be taken back");
    let id = event.data["execution_id"].as_str().unwrap();
    let execution = server.get(&format!("/v1/executions/{id}")).await.expect(200)["execution"].clone();
    assert_eq!((&execution["status"], &execution["answer"]), (&json!("failed"), &json!("Once upon ")));
    assert!(execution["error"].as_str().unwrap().contains("broke off in the middle"), "{execution}");
    assert_eq!(server.get("/api/memory/default/history").await.expect(200)["count"], 0);
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
