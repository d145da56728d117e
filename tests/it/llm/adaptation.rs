//! Servers that refuse a part of a request by its name: it is tried once more without it, and remembered.

use serde_json::{Value, json};

use crate::common::chat::{catalog, rest, source};
use crate::common::mcp::{harmless, is, modern, tools};
use crate::common::tools::offered;
use crate::common::upstream::{json_reply, ollama, openai};
use crate::common::{Act, Seen, TestServer, Upstream};

async fn ask(server: &TestServer, stream: bool) -> Value {
    let body = json!({"prompt": "Hello", "stream": stream, "metadata": {"use_cache": false}});
    match stream {
        false => server.post("/v1/chat", &body).await.json(),
        true => server.chat_events(&body).await.pop().unwrap().data,
    }
}

async fn adaptations(server: &TestServer) -> Vec<String> {
    let health = server.get("/api/llm/health").await.expect(200);
    health["adaptations"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn refuse(status: &str, body: &Value) -> Vec<Act> {
    json_reply(status, body)
}

/// A refusal: the parameter in question, whether a body is refused, status and body of the refusal, what is done about it.
type Refusal = (fn(&Value) -> bool, &'static str, Value, &'static str);

/// What servers refuse, each in the form and the words of one.
fn refusals() -> Vec<Refusal> {
    let has = |name: &'static str| -> fn(&Value) -> bool {
        match name {
            "temperature" => |body| !body["temperature"].is_null(),
            "stream_options" => |body| !body["stream_options"].is_null(),
            _ => |body| !body["max_tokens"].is_null(),
        }
    };
    let system = |body: &Value| body["messages"][0]["role"] == "system";
    let not_developer = |body: &Value| body["messages"][0]["role"] != "developer";
    vec![
        (
            has("temperature"),
            "400 Bad Request",
            json!({"error": {"message": "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
                "type": "invalid_request_error", "param": "temperature", "code": "unsupported_value"}}),
            "'temperature' is not sent",
        ),
        (
            has("temperature"),
            "400 Bad Request",
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "`temperature` is deprecated for this model."}}),
            "'temperature' is not sent",
        ),
        (
            has("temperature"),
            "422 Unprocessable Entity",
            json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "temperature"], "msg": "Extra inputs are not permitted", "input": 0.7}]}),
            "'temperature' is not sent",
        ),
        (
            has("stream_options"),
            "422 Unprocessable Entity",
            json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}, "type": "invalid_request_error"}),
            "'stream_options' is not sent",
        ),
        (
            has("stream_options"),
            "400 Bad Request",
            json!([{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \"stream_options\": Cannot find field.", "status": "INVALID_ARGUMENT"}}]),
            "'stream_options' is not sent",
        ),
        (
            has("stream_options"),
            "400 Bad Request",
            json!({"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options'), 'msg': 'Extra inputs are not permitted'}]", "code": 400}),
            "'stream_options' is not sent",
        ),
        (
            |body| body["stream"] == true,
            "400 Bad Request",
            json!({"error": {"message": "Your organization must be verified to stream this model.", "type": "invalid_request_error", "param": "stream", "code": "unsupported_value"}}),
            "'stream' is not sent",
        ),
        (
            has("max_tokens"),
            "400 Bad Request",
            json!({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}}),
            "'max_tokens' is sent as 'max_completion_tokens'",
        ),
        (
            has("max_tokens"),
            "400 Bad Request",
            json!({"error": {"message": "Provider returned error", "code": 400, "metadata": {"provider_name": "Azure",
                "raw": "{\"error\":{\"message\":\"max_tokens is too large: 64. This model supports at most 32 completion tokens\",\"param\":\"max_tokens\"}}"}}}),
            "'max_tokens' is not sent",
        ),
        (
            system,
            "400 Bad Request",
            json!({"error": {"message": "Unsupported value: 'messages[0].role' does not support 'system' with this model.", "param": "messages[0].role", "code": "unsupported_value"}}),
            "instructions are sent with the user's first message",
        ),
        (
            system,
            "500 Internal Server Error",
            json!({"error": {"code": 500, "message": "Jinja Exception: System role not supported", "type": "server_error"}}),
            "instructions are sent with the user's first message",
        ),
        (
            not_developer,
            "400 Bad Request",
            json!({"error": {"message": "The role 'system' is not supported, use 'developer'.", "param": "messages[0].role"}}),
            "instructions are sent in the role 'developer'",
        ),
    ]
}

#[tokio::test]
async fn what_a_server_refuses_by_its_name_is_left_out_once_and_for_all() {
    for (is_refused, status, body, done) in refusals() {
        let refusal = body.clone();
        let llm = Upstream::start(move |seen, _| match seen.method == "POST" && is_refused(&seen.body) {
            true => refuse(status, &refusal),
            false => openai(seen, "Hi there."),
        })
        .await;
        let server = TestServer::with_llm(&llm, &[("LLM_MAX_TOKENS", "64"), ("LLM_MAX_RETRIES", "1")]).await;
        let rule = json!({"role": "system", "content": "Be brief."});
        server.post("/api/memory/default/message", &rule).await.expect(200);
        for round in 0..2 {
            // Twice, since some things are sent with a stream only.
            for stream in [true, false] {
                let reply = ask(&server, stream).await;
                assert_eq!(reply["answer"], "Hi there.", "{round} {body}: {reply}");
            }
        }
        let refused = llm.chats().iter().filter(|seen| is_refused(&seen.body)).count();
        assert_eq!((refused, llm.chats().len()), (1, 5), "{body}");
        assert_eq!(adaptations(&server).await, [format!("stub-model: {done}")]);
        assert!(llm.chats().iter().all(|seen| seen.text.contains("Be brief.")), "nothing else is lost: {body}");
    }
}

#[tokio::test]
async fn several_refusals_in_a_row_are_met_one_by_one_and_counted() {
    let llm = Upstream::start(|seen, _| {
        let refused =
            ["temperature", "stream_options", "max_tokens"].into_iter().find(|name| !seen.body[*name].is_null());
        match refused.filter(|_| seen.method == "POST") {
            Some(name) => refuse(
                "400 Bad Request",
                &json!({"error": {"message": format!("Unknown parameter: '{name}'."), "param": name}}),
            ),
            None => openai(seen, "At last."),
        }
    })
    .await;
    let variables = [("LLM_MAX_TOKENS", "64"), ("LLM_MAX_RETRIES", "1"), ("LLM_DEFAULT_MODEL", "picky-model")];
    let server = TestServer::with_llm(&llm, &variables).await;
    assert_eq!(ask(&server, true).await["answer"], "At last.");
    assert_eq!(llm.chats().len(), 4);
    assert_eq!(llm.chats()[3].body["max_completion_tokens"], 64);
    let metrics = server.get("/metrics").await.text;
    for kind in ["temperature", "stream_options", "max_tokens"] {
        let line = format!("orchestrator_llm_adaptations_total{{model=\"picky-model\",kind=\"{kind}\"}} 1");
        assert!(metrics.contains(&line), "{line} is missing");
    }
    // Another connection knows nothing of it.
    server.put("/api/llm/config", &json!({"temperature": 1})).await.expect(200);
    assert!(adaptations(&server).await.is_empty());
    assert_eq!(ask(&server, true).await["answer"], "At last.");
    assert_eq!(llm.chats().len(), 8);
}

#[tokio::test]
async fn a_request_is_not_tried_again_for_other_reasons() {
    for (status, body, code) in [
        (
            "400 Bad Request",
            json!({"error": {"message": "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.", "code": "context_length_exceeded"}}),
            "context_length_exceeded",
        ),
        (
            "400 Bad Request",
            json!({"error": {"message": "The response was filtered due to the prompt triggering a content policy."}}),
            "upstream_error",
        ),
        (
            "422 Unprocessable Entity",
            json!({"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 512 `max_new_tokens`", "error_type": "validation"}),
            "context_length_exceeded",
        ),
        (
            "400 Bad Request",
            json!({"error": {"message": "Invalid prompt: 'a temperature that is not supported' was flagged as potentially violating our usage policy."}}),
            "upstream_error",
        ),
        (
            "400 Bad Request",
            json!({"error": {"message": "Invalid value, as temperature is not supported there", "param": "messages[3].tool_calls"}}),
            "upstream_error",
        ),
        (
            "401 Unauthorized",
            json!({"error": {"message": "temperature: who are you?", "param": "temperature"}}),
            "unauthorized",
        ),
        (
            "404 Not Found",
            json!({"error": {"message": "The model `temperature` does not exist", "code": "model_not_found"}}),
            "model_not_found",
        ),
        ("500 Internal Server Error", json!({"error": {"message": "temperature sensor broke"}}), "upstream_error"),
    ] {
        let llm = Upstream::start(move |_, _| refuse(status, &body)).await;
        let server = TestServer::with_llm(&llm, &[("LLM_MAX_RETRIES", "1")]).await;
        let reply = ask(&server, false).await;
        assert_eq!((reply["code"].as_str(), llm.chats().len()), (Some(code), 1), "{reply}");
        assert!(adaptations(&server).await.is_empty());
    }
    // What refuses everything is not asked forever.
    let llm = Upstream::start(|seen, _| {
        let name = seen.body.as_object().and_then(|body| body.keys().next_back().cloned()).unwrap_or_default();
        refuse("400 Bad Request", &json!({"error": {"message": format!("Unknown parameter: '{name}'"), "param": name}}))
    })
    .await;
    let server = TestServer::with_llm(&llm, &[("LLM_MAX_TOKENS", "64"), ("LLM_MAX_RETRIES", "1")]).await;
    assert_eq!(ask(&server, true).await["code"], "upstream_error");
    assert!(llm.chats().len() <= 7, "{}", llm.chats().len());
}

#[tokio::test]
async fn questions_for_data_work_with_models_that_take_one_temperature_only() {
    let llm = Upstream::start(|seen, _| {
        let temperature = &seen.body["temperature"];
        if seen.method == "POST" && !temperature.is_null() && *temperature != 1.0 {
            let text = format!("Unsupported value: 'temperature' does not support {temperature} with this model.");
            return refuse(
                "400 Bad Request",
                &json!({"error": {"message": text, "param": "temperature", "code": "unsupported_value"}}),
            );
        }
        let asked = seen.body["messages"].to_string();
        openai(seen, if asked.contains("Write one ") { "SELECT name FROM plans" } else { "One plan." })
    })
    .await;
    let plans = source(json!([{"name": "basic"}])).await;
    let sources = catalog(&[("shop", rest(&plans.url()))]);
    for temperature in ["1", "0.7", "none"] {
        let variables = [("LLM_TEMPERATURE", temperature), ("DATASOURCES", sources.as_str()), ("LLM_MAX_RETRIES", "1")];
        let server = TestServer::with_llm(&llm, &variables).await;
        let body = json!({"prompt": "How many plans are there in shop?"});
        let reply = server.post("/v1/chat", &body).await.expect(200);
        assert_eq!((&reply["error"], &reply["metadata"]["data"][0]["row_count"]), (&json!(null), &json!(1)), "{reply}");
        assert_eq!(adaptations(&server).await.len(), usize::from(temperature == "0.7"), "{temperature}");
    }
    let sent = llm.chats();
    assert!(sent.iter().all(|seen| seen.body["temperature"].is_null() || seen.body["temperature"] != 0.0));
}

#[tokio::test]
async fn temperature_and_length_can_be_left_to_the_server() {
    let llm = Upstream::start(|seen, _| openai(seen, "Hi.")).await;
    let server = TestServer::with_llm(&llm, &[("LLM_MAX_TOKENS", "64")]).await;
    assert_eq!(server.get("/api/llm/config").await.expect(200)["temperature"], 0.7);
    let cleared = server.put("/api/llm/config", &json!({"temperature": "", "max_tokens": ""})).await.expect(200);
    assert_eq!((&cleared["config"]["temperature"], &cleared["config"]["max_tokens"]), (&json!(null), &json!(null)));
    let server = server.restart().await;
    assert_eq!(server.get("/api/llm/config").await.expect(200)["temperature"], json!(null));
    assert_eq!(ask(&server, false).await["answer"], "Hi.");
    let sent = llm.chats().pop().unwrap().body;
    assert!(sent.get("temperature").is_none() && sent.get("max_tokens").is_none(), "{sent}");
    server.put("/api/llm/config", &json!({"temperature": null})).await.expect(200);
    assert_eq!(server.get("/api/llm/config").await.expect(200)["temperature"], json!(null), "null keeps");
    server.delete("/api/llm/config").await.expect(200);
    assert_eq!(server.get("/api/llm/config").await.expect(200)["temperature"], 0.7);

    let llm = Upstream::start(|seen, _| ollama(seen, "Hi.")).await;
    let variables = [("LLM_PROVIDER", "ollama"), ("LLM_TEMPERATURE", "none")];
    let server = TestServer::with_llm(&llm, &variables).await;
    assert_eq!(ask(&server, false).await["answer"], "Hi.");
    assert!(llm.chats()[0].body.get("options").is_none());
}

/// A server with an MCP server that lists these tools.
async fn with_functions(llm: &Upstream, functions: &'static [&'static str]) -> (TestServer, Upstream) {
    let files = modern(move |seen| {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}});
        let listed =
            functions.iter().map(|name| json!({"name": name, "description": "Does it", "inputSchema": schema}));
        Some(if is(seen, "tools/list") { tools(seen, &listed.collect::<Vec<_>>()) } else { harmless(seen) })
    })
    .await;
    let tools = catalog(&[("mcp", json!({"type": "mcp", "config": {"url": files.url()}}))]);
    (TestServer::with_llm(llm, &[("TOOLS", &tools), ("LLM_MAX_RETRIES", "1")]).await, files)
}

fn has_keyword(seen: &Seen, keyword: &str) -> bool {
    seen.body["tools"].to_string().contains(&format!("\"{keyword}\":"))
}

#[tokio::test]
async fn one_function_that_a_server_refuses_does_not_cost_the_others() {
    type Words = fn(usize) -> Value;
    let refusals: [Words; 4] = [
        |_| json!({"error": {"message": "Invalid schema for function 'mcp__bad': unknown keyword", "param": null}}),
        |at| json!({"error": {"message": "Invalid schema", "param": format!("tools[{at}].function.parameters")}}),
        |at| json!([{"error": {"code": 400, "message": format!("Unknown name \"x\" at 'tools[0].function_declarations[{at}].parameters': Cannot find field.")}}]),
        |at| json!({"detail": [{"loc": ["body", "tools", at, "function", "parameters"], "msg": "schema is not valid"}]}),
    ];
    for words in refusals {
        let llm = Upstream::start(move |seen, _| {
            match offered(seen).iter().position(|name| name == "mcp__bad").filter(|_| seen.method == "POST") {
                Some(at) => refuse("400 Bad Request", &words(at)),
                None => openai(seen, "Done."),
            }
        })
        .await;
        let (server, _files) = with_functions(&llm, &["first", "bad", "last"]).await;
        for _ in 0..2 {
            let reply = ask(&server, false).await;
            assert_eq!((&reply["answer"], &reply["error"]), (&json!("Done."), &json!(null)), "{reply}");
            let missing = reply["metadata"]["missing"].to_string();
            assert!(missing.contains("the function 'mcp__bad' was not offered"), "{missing}");
        }
        let chats = llm.chats();
        assert_eq!(chats.len(), 4, "as it is, in plain words, without it, and then at once without it");
        assert_eq!(offered(&chats[3]), ["mcp__first", "mcp__last"]);
    }
}

#[tokio::test]
async fn schemas_are_sent_in_their_plainest_form_to_who_knows_no_other() {
    let llm = Upstream::start(|seen, _| match has_keyword(seen, "pattern") {
        true => refuse("400 Bad Request", &json!({"error": {"message": "Invalid schema for function 'mcp__first': 'pattern' is not permitted.", "param": "tools[0].function.parameters", "code": "invalid_function_parameters"}})),
        false => openai(seen, "Done."),
    })
    .await;
    let (server, _files) = with_functions(&llm, &["first", "last"]).await;
    for _ in 0..2 {
        let reply = ask(&server, false).await;
        assert_eq!((&reply["answer"], &reply["metadata"]["missing"]), (&json!("Done."), &json!([])), "{reply}");
    }
    assert_eq!(llm.chats().len(), 3);
    assert_eq!(offered(&llm.chats()[2]), ["mcp__first", "mcp__last"]);
    assert_eq!(adaptations(&server).await, ["stub-model: schemas of functions are sent in their plainest form"]);
}

#[tokio::test]
async fn a_server_that_takes_few_functions_gets_few_and_one_that_takes_none_none() {
    let llm = Upstream::start(|seen, _| match offered(seen).len() {
        0..=2 => openai(seen, "Done."),
        many => refuse("400 Bad Request", &json!({"error": {"message": format!("Invalid 'tools': array too long. Expected an array with maximum length 2, but got an array with length {many} instead."), "param": "tools", "code": "array_above_max_length"}})),
    })
    .await;
    let (server, _files) = with_functions(&llm, &["one", "two", "three"]).await;
    let reply = ask(&server, false).await;
    assert_eq!((&reply["answer"], offered(&llm.chats()[1]).len()), (&json!("Done."), 2));
    assert!(reply["metadata"]["missing"].to_string().contains("was not offered"), "{reply}");

    let llm = Upstream::start(|seen, _| match offered(seen).is_empty() {
        true => openai(seen, "Done."),
        false => refuse("400 Bad Request", &json!({"error": {"message": "this model does not support tools"}})),
    })
    .await;
    let (server, _files) = with_functions(&llm, &["one"]).await;
    for _ in 0..2 {
        assert_eq!(ask(&server, false).await["answer"], "Done.");
    }
    assert_eq!(llm.chats().iter().filter(|seen| !offered(seen).is_empty()).count(), 1);
    assert_eq!(adaptations(&server).await, ["stub-model: no functions are offered"]);
}
