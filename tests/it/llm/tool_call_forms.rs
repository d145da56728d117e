//! Calls of tools in every form that servers send them: numbered, named, split and repeated as they like, or written as text.

use serde_json::{Value, json};

use crate::common::tools::{ask, http_tool, offered, weather, with_tools};
use crate::common::upstream::{json_reply, ollama, open_head, openai, openai_message, openai_stream};
use crate::common::{Act, Seen, Upstream};

/// It does not say that a tool is needed: what to call is the model's to decide.
const PROMPT: &str = "Tell me about Lisbon, please";

/// A model that answers the first question like this and says `Done.` when it is told results.
async fn model(first: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |seen, nth| if nth == 0 { first(seen) } else { openai(seen, "Done.") }).await
}

/// The paths that are asked for when a streaming client asks a model that begins with these deltas, and the answer.
async fn streamed(deltas: Vec<Value>, finish: &'static str) -> (Vec<String>, String) {
    let (llm, api) = (model(move |_| openai_stream(&deltas, finish)).await, weather().await);
    let server = with_tools(&llm, &[("weather", http_tool(&api))], &[]).await;
    let frames = server.chat_events(&json!({"prompt": PROMPT, "user_id": "ada"})).await;
    let last = &frames.last().unwrap().data;
    assert_eq!(last["error"], json!(null), "{last}");
    let heard: String = frames
        .iter()
        .filter(|frame| frame.event == "delta")
        .map(|frame| frame.data["content"].as_str().unwrap())
        .collect();
    assert_eq!(last["answer"], json!(heard));
    assert_eq!(offered(&llm.chats()[0]), ["weather"]);
    (paths(&api), heard)
}

/// The same for a reply in one piece.
async fn whole(message: Value) -> (Vec<String>, String) {
    let (llm, api) = (model(move |_| openai_message(&message, "tool_calls")).await, weather().await);
    let server = with_tools(&llm, &[("weather", http_tool(&api))], &[]).await;
    let reply = ask(&server, PROMPT, json!({})).await;
    assert_eq!(reply["error"], json!(null), "{reply}");
    (paths(&api), reply["answer"].as_str().unwrap().to_owned())
}

fn paths(api: &Upstream) -> Vec<String> {
    let mut paths: Vec<_> = api.seen().into_iter().map(|seen| seen.path).collect();
    paths.sort();
    paths
}

fn calls(pieces: Value) -> Value {
    json!({"tool_calls": pieces})
}

#[tokio::test]
async fn two_calls_stay_two_calls_however_they_are_numbered_and_named() {
    let (a, b) = (r#"{"url":"/a"}"#, r#"{"url":"/b"}"#);
    let call = |arguments: &str| json!({"name": "weather", "arguments": arguments});
    let streams = [
        // Gemini: all numbered 0.
        vec![
            calls(json!([{"index": 0, "id": "x", "function": call(a)}])),
            calls(json!([{"index": 0, "id": "y", "function": call(b)}])),
        ],
        // No ids, one chunk.
        vec![calls(json!([{"index": 0, "id": "", "function": call(a)}, {"index": 0, "id": "", "function": call(b)}]))],
        vec![
            calls(json!([{"index": 0, "id": null, "function": call(a)}])),
            calls(json!([{"index": 0, "id": null, "function": call(b)}])),
        ],
        // No numbers.
        vec![calls(json!([{"function": call(a)}])), calls(json!([{"function": call(b)}]))],
        // Numbered from 1 and in turns, in parts.
        vec![
            calls(
                json!([{"index": 1, "id": "x", "function": call("")}, {"index": 2, "id": "y", "function": call("{\"url\"")}]),
            ),
            calls(json!([{"index": 1, "function": {"arguments": "{\"url\":\"/a"}}])),
            calls(json!([{"index": 2, "function": {"arguments": ":\"/b\"}"}}])),
            calls(json!([{"index": 1, "function": {"arguments": "\"}"}}])),
        ],
        // Id and name with each piece.
        vec![
            calls(json!([{"index": 0, "id": "x", "function": call("{\"url\"")}])),
            calls(json!([{"index": 0, "id": "x", "function": call(":\"/a\"}")}])),
            calls(json!([{"index": 0, "id": "y", "function": call("{\"url\"")}])),
            calls(json!([{"index": 0, "id": "y", "function": call(":\"/b\"}")}])),
        ],
        // All arguments so far with each piece, and whole ones as objects.
        vec![
            calls(json!([{"id": "x", "function": call("{\"url\"")}])),
            calls(json!([{"id": "x", "function": call("{\"url\":\"/a")}])),
            calls(json!([{"id": "x", "function": call(a)}])),
            calls(json!([{"id": "y", "function": {"name": "weather", "arguments": {"url": "/b"}}}])),
        ],
    ];
    for deltas in streams {
        let what = format!("{deltas:?}");
        assert_eq!(
            streamed(deltas, "tool_calls").await,
            (vec!["/a".to_owned(), "/b".to_owned()], "Done.".to_owned()),
            "{what}"
        );
    }
    let messages = [
        json!({"content": null, "tool_calls": [{"id": "", "function": call(a)}, {"id": "", "function": call(b)}]}),
        json!({"content": null, "tool_calls": [{"index": 0, "id": "x", "function": call(a)}, {"index": 0, "id": "x", "function": call(b)}]}),
    ];
    for message in messages {
        assert_eq!(whole(message).await.0, ["/a", "/b"]);
    }
}

#[tokio::test]
async fn one_call_stays_one_call_however_it_is_cut() {
    let streams = [
        vec![
            calls(json!([{"id": "x", "function": {"name": "weather", "arguments": ""}}])),
            calls(json!([{"function": {"arguments": "{\"url\""}}])),
            calls(json!([{"function": {"arguments": ":\"/a\"}"}}])),
        ],
        vec![
            calls(json!([{"index": 0, "id": "x", "function": {"name": "weather", "arguments": ""}}])),
            calls(json!([{"index": 0, "function": {"name": "weather", "arguments": "{\"url\""}}])),
            calls(json!([{"index": 0, "function": {"name": "weather", "arguments": ":\"/a\"}"}}])),
        ],
        vec![
            calls(json!([{"index": 0, "id": "x", "function": {"name": "wea", "arguments": ""}}])),
            calls(json!([{"index": 0, "function": {"name": "ther", "arguments": "{}"}}])),
            calls(json!([{"index": 0, "function": {"arguments": "{\"url\":\"/a\"}"}}])),
        ],
        vec![
            json!({"function_call": {"name": "weather", "arguments": "{\"url\""}}),
            json!({"function_call": {"arguments": ":\"/a\"}"}}),
        ],
        vec![calls(
            json!([{"index": 0, "id": "x", "function": {"name": "functions.weather", "arguments": {"url": "/a"}}}]),
        )],
    ];
    for deltas in streams {
        let what = format!("{deltas:?}");
        assert_eq!(streamed(deltas, "tool_calls").await, (vec!["/a".to_owned()], "Done.".to_owned()), "{what}");
    }
}

#[tokio::test]
async fn arguments_that_are_almost_json_are_understood() {
    let twice = json!(r#"{"url": "/a"}"#).to_string();
    for arguments in [
        json!(twice),
        json!(json!(twice).to_string()),
        json!(r#"{"url": "/a",}"#),
        json!("{'url': '/a'}"),
        json!("{url: \"/a\"}"),
        json!("{'url': '/a', 'params': None}"),
        json!("```json\n{\"url\": \"/a\"}\n```"),
        json!({"url": "/a"}),
    ] {
        let what = arguments.to_string();
        let message = json!({"content": null, "tool_calls": [{"id": "x", "type": "function", "function": {"name": "weather", "arguments": arguments}}]});
        assert_eq!(whole(message).await.0, ["/a"], "{what}");
    }
    let former = json!({"content": null, "function_call": {"name": "weather", "arguments": "{\"url\": \"/a\"}"}});
    assert_eq!(whole(former).await.0, ["/a"]);
}

#[tokio::test]
async fn calls_written_as_text_are_carried_out_and_never_shown() {
    let call = r#"{"name": "weather", "arguments": {"url": "/a"}}"#;
    let texts = [
        format!("<tool_call>\n{call}\n</tool_call>"),
        format!("<tool_call>\n{call}"),
        "<function=weather>{\"url\": \"/a\"}</function>".to_owned(),
        "<tool_call>\n<function=weather>\n<parameter=url>\n/a\n</parameter>\n</function>\n</tool_call>".to_owned(),
        format!("[TOOL_CALLS][{call}]"),
        r#"<|python_tag|>{"name": "weather", "parameters": {"url": "/a"}}"#.to_owned(),
        format!("```json\n{call}\n```"),
        r#"{"name": "weather", "parameters": {"url": "/a"}}"#.to_owned(),
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"url\": \"/a\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>".to_owned(),
        format!("<think>I need it.</think>\n<tool_call>{call}</tool_call>"),
    ];
    for text in texts {
        let pieces = text.char_indices().filter(|(at, _)| at % 5 == 0).map(|(at, _)| at).collect::<Vec<_>>();
        let pieces = pieces.windows(2).map(|ends| &text[ends[0]..ends[1]]).chain([&text[*pieces.last().unwrap()..]]);
        let deltas: Vec<_> = pieces.map(|piece| json!({"content": piece})).collect();
        assert_eq!(streamed(deltas, "stop").await, (vec!["/a".to_owned()], "Done.".to_owned()), "{text}");
        assert_eq!(whole(json!({"content": text})).await, (vec!["/a".to_owned()], "Done.".to_owned()), "{text}");
    }
    let (asked, answer) = streamed(
        vec![json!({"content": "Let me look.\n"}), json!({"content": format!("<tool_call>{call}</tool_call>")})],
        "stop",
    )
    .await;
    assert_eq!((asked, answer.starts_with("Let me look.")), (vec!["/a".to_owned()], true));
    assert!(answer.ends_with("Done.") && !answer.contains("tool_call"), "{answer}");
}

#[tokio::test]
async fn what_is_no_call_of_an_offered_tool_is_not_carried_out() {
    let call = r#"{"name": "delete_all", "arguments": {}}"#;
    let (asked, answer) = whole(json!({"content": format!("<tool_call>{call}</tool_call>")})).await;
    assert_eq!((asked, answer.as_str()), (vec![], "Done."), "it is asked again, without tools");
    let block = format!("```json\n{call}\n```");
    assert_eq!(streamed(vec![json!({"content": block})], "stop").await, (vec![], block));

    // Without tools the same text is an answer about it, unless it is nothing but mark-up.
    let about = "A call is `<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>`.";
    let llm = Upstream::saying(about).await;
    let server = with_tools(&llm, &[], &[]).await;
    assert_eq!(ask(&server, "Hello", json!({})).await["answer"], about);
}

#[tokio::test]
async fn ollama_calls_need_neither_ids_nor_objects() {
    let line = |calls: Value| {
        let message = json!({"role": "assistant", "content": "", "tool_calls": calls});
        Act::Send(format!("{}\n", json!({"model": "m", "message": message, "done": false})))
    };
    let first = move |_: &Seen| {
        vec![
            open_head("application/x-ndjson"),
            line(json!([{"function": {"name": "weather", "arguments": {"url": "/a"}}}])),
            line(json!([{"function": {"name": "weather", "arguments": "{\"url\": \"/b\"}"}}])),
            Act::Send("{\"model\":\"m\",\"done\":true,\"done_reason\":\"stop\"}\n".to_owned()),
        ]
    };
    let llm = Upstream::start(move |seen, _| match seen.text.contains("\"role\":\"tool\"") {
        false if seen.body["stream"] == true => first(seen),
        false => json_reply(
            "200 OK",
            &json!({"model": "m", "done": true, "done_reason": "stop", "message": {"role": "assistant",
            "content": "<tool_call>{\"name\": \"weather\", \"arguments\": {\"url\": \"/a\"}}</tool_call>"}}),
        ),
        true => ollama(seen, "Done."),
    })
    .await;
    let api = weather().await;
    let server = with_tools(&llm, &[("weather", http_tool(&api))], &[("LLM_PROVIDER", "ollama")]).await;
    let frames = server.chat_events(&json!({"prompt": PROMPT})).await;
    assert_eq!(
        (&frames.last().unwrap().data["answer"], paths(&api)),
        (&json!("Done."), vec!["/a".to_owned(), "/b".to_owned()])
    );
    assert_eq!(ask(&server, "Tell me about Porto, please", json!({})).await["answer"], "Done.");
    assert_eq!(paths(&api), ["/a", "/a", "/b"]);
}
