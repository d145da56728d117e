//! What a model thinks before it answers, in every form that servers send it: it is neither shown nor kept, and told if asked for.

use serde_json::{Value, json};

use crate::common::upstream::{json_reply, ollama, open_head, openai, openai_message, openai_stream};
use crate::common::{Act, TestServer, Upstream};

const ANSWER: &str = "Here it is.";

/// Messages, as deltas of a stream, that say [`ANSWER`] after some thinking.
fn forms() -> Vec<Vec<Value>> {
    let text = |pieces: &[&str]| pieces.iter().map(|piece| json!({"content": piece})).collect::<Vec<_>>();
    let whole = |member: &str, value: Value| vec![json!({"content": "", member: value}), json!({"content": ANSWER})];
    vec![
        text(&["<think>\nThe user", " wants\n</th", "ink>\n\nHere it is."]),
        text(&["<", "thi", "nk>wants</think>", "Here ", "it is."]),
        text(&["\n<thinking>wants</thinking>\n", ANSWER]),
        text(&["[THINK]wants[/THINK]", ANSWER]),
        text(&["<think>a</think>\n<reasoning>wants</reasoning>", ANSWER]),
        text(&["<think>a<think>wants</think>b</think>", ANSWER]),
        text(&[
            "<|channel|>analysis<|message|>wants<|end|><|start|>assistant<|channel|>final<|message|>",
            ANSWER,
            "<|return|>",
        ]),
        whole("reasoning_content", json!("wants")),
        whole("reasoning", json!("wants")),
        whole("thinking", json!("wants")),
        whole("reasoning_details", json!([{"type": "reasoning.text", "text": "wants"}])),
        vec![
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "wants"}]}]}),
            json!({"content": [{"type": "text", "text": ANSWER}]}),
        ],
        vec![json!({"content": [{"type": "reasoning", "text": "wants"}, {"type": "text", "text": ANSWER}]})],
    ]
}

fn is_clean(text: &str) -> bool {
    !text.contains("wants") && !text.to_lowercase().contains("think")
}

#[tokio::test]
async fn thoughts_are_not_shown_streamed_stored_cached_or_sent_back() {
    for form in forms() {
        let what = format!("{form:?}");
        let llm = Upstream::start(move |seen, _| match seen.body["stream"] == true {
            true => openai_stream(&form, "stop"),
            false => match form.as_slice() {
                [only] => openai_message(only, "stop"),
                pieces
                    if pieces
                        .iter()
                        .all(|piece| piece["content"].is_string() && piece.as_object().unwrap().len() == 1) =>
                {
                    let text: String = pieces.iter().map(|piece| piece["content"].as_str().unwrap()).collect();
                    openai_message(&json!({"role": "assistant", "content": text}), "stop")
                }
                [thought, said] => {
                    let mut message = thought.clone();
                    match (message["content"].as_array().cloned(), said["content"].as_array()) {
                        (Some(parts), Some(more)) => message["content"] = [parts, more.clone()].concat().into(),
                        _ => message["content"] = said["content"].clone(),
                    }
                    openai_message(&message, "stop")
                }
                _ => panic!("more than two pieces"),
            },
        })
        .await;
        let server = TestServer::with_llm(&llm, &[]).await;
        let body = json!({"prompt": "Hello", "user_id": "ada"});
        let reply = server.post("/v1/chat", &body).await.expect(200);
        assert_eq!(reply["answer"], ANSWER, "{what}");
        assert_eq!(reply["metadata"].get("reasoning"), None, "nobody asked: {what}");
        let id = reply["execution_id"].as_str().unwrap();
        let record = server.get(&format!("/v1/executions/{id}")).await.expect(200).to_string();
        assert!(is_clean(&record), "{what}: {record}");

        let frames = server.chat_events(&json!({"prompt": "Again", "user_id": "ada"})).await;
        let heard: String = frames
            .iter()
            .filter(|frame| frame.event == "delta")
            .map(|frame| frame.data["content"].as_str().unwrap())
            .collect();
        assert_eq!((heard.as_str(), &frames.last().unwrap().data["answer"]), (ANSWER, &json!(ANSWER)), "{what}");

        let history = server.get("/api/memory/ada/history").await.expect(200).to_string();
        assert!(is_clean(&history), "{what}: {history}");
        let sent = llm.chats().last().unwrap().text.clone();
        assert!(sent.contains(ANSWER) && is_clean(&sent), "{what}: {sent}");
    }
}

#[tokio::test]
async fn thoughts_are_told_to_whoever_asks() {
    let llm = Upstream::start(|seen, _| match seen.body["stream"] == true {
        true => openai_stream(
            &[
                json!({"reasoning_content": "She wants"}),
                json!({"reasoning_content": " it."}),
                json!({"content": ANSWER}),
            ],
            "stop",
        ),
        false => openai(seen, "<think>She wants it.</think>Here it is."),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let body = json!({"prompt": "Hello", "metadata": {"include_reasoning": true}});
    for _ in 0..2 {
        let reply = server.post("/v1/chat", &body).await.expect(200);
        assert_eq!((&reply["answer"], &reply["metadata"]["reasoning"]), (&json!(ANSWER), &json!("She wants it.")));
        let id = reply["execution_id"].as_str().unwrap();
        let record = server.get(&format!("/v1/executions/{id}")).await.expect(200).to_string();
        assert!(is_clean(&record), "{record}");
    }
    assert_eq!(llm.chats().len(), 2, "an answer of the cache has no thoughts");
    let frames = server.chat_events(&body).await;
    assert_eq!(frames.last().unwrap().data["metadata"]["reasoning"], "She wants it.");
    let wrong = json!({"prompt": "Hello", "metadata": {"include_reasoning": "perhaps"}});
    assert_eq!(
        server.post("/v1/chat", &wrong).await.expect(422)["errors"][0]["loc"],
        json!(["body", "metadata", "include_reasoning"])
    );
}

#[tokio::test]
async fn a_model_that_never_opens_its_thoughts_is_understood() {
    let pieces = ["The user", " wants\n</th", "ink>\n\nHere ", "it is."].map(|piece| json!({"content": piece}));
    let llm = Upstream::start(move |seen, _| match seen.body["stream"] == true {
        true => openai_stream(&pieces, "stop"),
        false => openai(seen, "The user wants\n</think>\n\nHere it is."),
    })
    .await;
    // Known by its name, and known by what it did before.
    for (model, prompts) in [("DeepSeek-R1:7b", 1), ("some-model", 2)] {
        let server = TestServer::with_llm(&llm, &[("LLM_DEFAULT_MODEL", model)]).await;
        let mut heard = String::new();
        for nth in 0..prompts {
            let frames = server.chat_events(&json!({"prompt": format!("Hello {nth}"), "user_id": "ada"})).await;
            assert_eq!(frames.last().unwrap().data["answer"], ANSWER, "{model}");
            let deltas = frames.iter().filter(|frame| frame.event == "delta");
            heard = deltas.map(|frame| frame.data["content"].as_str().unwrap()).collect();
        }
        assert_eq!(heard, ANSWER, "{model}");
        let history = server.get("/api/memory/ada/history").await.expect(200).to_string();
        assert!(is_clean(&history), "{history}");
    }
    let server = TestServer::with_llm(&llm, &[]).await;
    assert_eq!(server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200)["answer"], ANSWER);
}

#[tokio::test]
async fn an_answer_about_the_tags_is_given_whole() {
    for text in [
        "Models write <think> and </think> around it.",
        "Like this:\n```\n<think>Hm.</think>\n```\nThat is all.",
        "The tag `</think>` ends it.",
        "a < b and <b>bold</b>",
    ] {
        let llm = Upstream::start(move |seen, _| openai(seen, text)).await;
        let server = TestServer::with_llm(&llm, &[]).await;
        assert_eq!(server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200)["answer"], text);
        let frames = server.chat_events(&json!({"prompt": "Again"})).await;
        assert_eq!(frames.last().unwrap().data["answer"], text);
    }
}

#[tokio::test]
async fn a_model_that_only_thinks_is_said_to_and_not_asked_in_vain() {
    let used_up = "used up its tokens while thinking";
    for (message, finish, said) in [
        (json!({"content": null, "reasoning_content": "Hmm"}), "length", used_up),
        (json!({"content": "", "reasoning": "Hmm"}), "max_tokens", used_up),
        (json!({"content": "<think>Hmm"}), "length", used_up),
        (json!({"content": null, "reasoning_content": "Hmm"}), "stop", "it only thought"),
        (json!({"content": null}), "content_filter", "content_filter"),
        (json!({"content": null}), "length", "no tokens left"),
    ] {
        let delta = message.clone();
        let llm = Upstream::start(move |seen, _| match seen.body["stream"] == true {
            true => openai_stream(std::slice::from_ref(&delta), finish),
            false => openai_message(&message, finish),
        })
        .await;
        let server = TestServer::with_llm(&llm, &[]).await;
        let failed = server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(502);
        assert!(failed["error"].as_str().unwrap().contains(said), "{failed}");
        assert_eq!(llm.chats().len(), 1, "{said}");
        let frames = server.chat_events(&json!({"prompt": "Hello"})).await;
        let last = frames.last().unwrap();
        assert!(last.event == "error" && last.data["error"].as_str().unwrap().contains(said), "{last:?}");
    }
}

#[tokio::test]
async fn ollama_keeps_thoughts_apart_too() {
    let line = |message: Value| format!("{}\n", json!({"model": "m", "message": message, "done": false}));
    let thinking = move |cut: bool| {
        let mut lines = vec![line(json!({"role": "assistant", "content": "", "thinking": "She wants it."}))];
        if !cut {
            lines.push(line(json!({"role": "assistant", "content": ANSWER})));
        }
        let reason = if cut { "length" } else { "stop" };
        lines.push(format!(
            "{}\n",
            json!({"model": "m", "done": true, "done_reason": reason, "prompt_eval_count": 1, "eval_count": 2})
        ));
        [open_head("application/x-ndjson")].into_iter().chain(lines.into_iter().map(Act::Send)).collect::<Vec<_>>()
    };
    let llm = Upstream::start(move |seen, _| match (seen.method.as_str(), seen.body["stream"] == true) {
        ("GET", _) => ollama(seen, ""),
        (_, true) => thinking(seen.text.contains("cut off")),
        (_, false) if seen.text.contains("cut off") => {
            let message = json!({"role": "assistant", "content": "", "thinking": "She wants it."});
            json_reply("200 OK", &json!({"model": "m", "message": message, "done": true, "done_reason": "length"}))
        }
        (_, false) => ollama(seen, "<think>She wants it.</think>Here it is."),
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_PROVIDER", "ollama")]).await;
    let body = |prompt: &str| json!({"prompt": prompt, "metadata": {"include_reasoning": true}});
    let whole = server.post("/v1/chat", &body("Hello")).await.expect(200);
    let frames = server.chat_events(&body("Hello again")).await;
    for reply in [&whole, &frames.last().unwrap().data] {
        assert_eq!((&reply["answer"], &reply["metadata"]["reasoning"]), (&json!(ANSWER), &json!("She wants it.")));
    }
    let cut = server.post("/v1/chat", &body("cut off")).await.expect(502);
    assert!(cut["error"].as_str().unwrap().contains("used up its tokens while thinking"), "{cut}");
    let frames = server.chat_events(&body("cut off")).await;
    assert!(frames.last().unwrap().data["error"].as_str().unwrap().contains("used up its tokens while thinking"));
}

#[tokio::test]
async fn tokens_of_thoughts_are_counted() {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 90, "total_tokens": 95,
        "completion_tokens_details": {"reasoning_tokens": 80, "audio_tokens": 0}});
    let reply = json!({"choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}], "usage": usage});
    let llm = Upstream::start(move |_, _| json_reply("200 OK", &reply)).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let reply = server.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
    let counted = json!({"prompt_tokens": 5, "completion_tokens": 90, "total_tokens": 95,
        "completion_tokens_details": {"reasoning_tokens": 80}});
    assert_eq!(reply["metadata"]["usage"], counted);
}
