//! A server that takes nothing but what all servers take, and says what it minds in the words of those that do.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::common::chat::{Wanted, rest, source, wanted};
use crate::common::mcp::{harmless, is, modern, tools};
use crate::common::tools::{http_tool, offered, with_tools};
use crate::common::upstream::{json_reply, openai, openai_calls};
use crate::common::{Act, Seen, TestServer, Upstream};

/// A server that answers with what `say` says if it does not mind the request.
async fn strict(say: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Upstream {
    Upstream::start(move |seen, _| match objection(&seen.body) {
        Some(text) => json_reply("400 Bad Request", &json!({"error": {"message": text, "code": "strict"}})),
        None => say(seen),
    })
    .await
}

fn objection(body: &Value) -> Option<String> {
    let all = body["messages"].as_array()?;
    let messages = all.strip_prefix(&all[..usize::from(all[0]["role"] == "system")])?;
    order(messages).or_else(|| contents(messages)).or_else(|| calls(messages)).or_else(|| {
        let tools = body["tools"].as_array().into_iter().flatten();
        tools.map(|tool| &tool["function"]).find_map(|function| {
            let (name, about) = (function["name"].as_str()?, function["description"].as_str()?);
            let letters = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
            if name.is_empty() || name.len() > 64 || !name.chars().all(letters) || about.chars().count() > 1024 {
                return Some(format!("the function {name:?} has a bad name or description"));
            }
            let root = &function["parameters"];
            let is_object = root["type"] == "object" && root["properties"].is_object();
            if is_object { schema(root) } else { Some(format!("object needs properties: {root}")) }
        })
    })
}

/// vLLM with Mistral's template, Anthropic's and Gemini's endpoints.
fn order(messages: &[Value]) -> Option<String> {
    let mut before = "";
    for message in messages {
        let role = message["role"].as_str()?;
        let may = match before {
            "" => role == "user",
            "user" => role == "assistant",
            "tool" => role == "assistant" || role == "tool",
            "calls" => role == "tool",
            _ => role == "user",
        };
        if !may {
            return Some(format!(
                "Unexpected role '{role}' after '{before}'; a system message must be at the beginning"
            ));
        }
        before = if message["tool_calls"].is_array() { "calls" } else { role };
    }
    (before != "user" && before != "tool").then(|| format!("Expected last role User or Tool but got {before}"))
}

fn contents(messages: &[Value]) -> Option<String> {
    let is_sound = |message: &Value| match &message["content"] {
        Value::String(text) => !text.trim().is_empty(),
        content => content.is_null() && message["tool_calls"].is_array(),
    };
    messages.iter().find(|message| !is_sound(message)).map(|message| format!("content must be text: {message}"))
}

fn calls(messages: &[Value]) -> Option<String> {
    let (mut seen, mut open) = (HashSet::new(), HashSet::new());
    for message in messages {
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            let id = call["id"].as_str()?;
            let arguments: Result<Value, _> = serde_json::from_str(call["function"]["arguments"].as_str()?);
            if id.is_empty()
                || id.len() > 40
                || !seen.insert(id.to_owned())
                || !arguments.is_ok_and(|all| all.is_object())
            {
                return Some(format!("a call with a bad id or bad arguments: {call}"));
            }
            open.insert(id.to_owned());
        }
        if message["role"] == "tool" && !open.remove(message["tool_call_id"].as_str()?) {
            return Some("a result without its call".to_owned());
        }
    }
    (!open.is_empty()).then(|| "an assistant message with 'tool_calls' must be followed by tool messages".to_owned())
}

/// OpenAI's and Gemini's validators together.
fn schema(schema: &Value) -> Option<String> {
    const KNOWN: [&str; 17] = [
        "type",
        "description",
        "properties",
        "required",
        "items",
        "enum",
        "anyOf",
        "default",
        "format",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "pattern",
        "additionalProperties",
    ];
    for (keyword, value) in schema.as_object()? {
        if value.is_null() || !KNOWN.contains(&keyword.as_str()) {
            return Some(format!("Unknown name \"{keyword}\""));
        }
    }
    if !schema["type"].is_null() && !schema["type"].is_string() {
        return Some(format!("Proto field is not repeating: {}", schema["type"]));
    }
    if !schema["format"].is_null() && schema["format"] != "date-time" {
        return Some(format!("only 'enum' and 'date-time' are supported: {}", schema["format"]));
    }
    if schema["type"] == "array" && !schema["items"].is_object() {
        return Some("array schema missing items".to_owned());
    }
    let names = schema["required"].as_array().into_iter().flatten();
    if let Some(name) = names.into_iter().find(|name| schema["properties"][name.as_str().unwrap_or("")].is_null()) {
        return Some(format!("required: {name} is no property"));
    }
    let properties = schema["properties"].as_object().into_iter().flat_map(|all| all.values());
    let options = schema["anyOf"].as_array().into_iter().flatten();
    properties.chain(options).chain(schema.get("items")).find_map(self::schema)
}

#[tokio::test]
async fn a_second_turn_that_asks_for_data_has_its_instructions_at_the_beginning() {
    let llm = strict(|seen| match wanted(seen) {
        Wanted::Query => openai(seen, "SELECT name FROM plans"),
        _ => openai(seen, "Here you are."),
    })
    .await;
    let plans = source(json!([{"name": "basic"}])).await;
    let sources = crate::common::chat::catalog(&[("shop", rest(&plans.url()))]);
    let server = TestServer::with_llm(&llm, &[("DATASOURCES", &sources)]).await;
    for prompt in ["Hello there", "How many plans are there in shop?", "And how many plans are there in shop now?"] {
        let reply = server.post("/v1/chat", &json!({"prompt": prompt, "user_id": "ada"})).await.expect(200);
        assert!(reply["answer"].as_str().unwrap().starts_with("Here you are."), "{reply}");
        assert_eq!(reply["error"], json!(null), "{reply}");
    }
    let last = llm.chats().pop().unwrap().body["messages"].take();
    assert!(last[0]["content"].as_str().unwrap().contains("make up no data"), "{last}");
}

#[tokio::test]
async fn conversations_in_any_order_are_shown_by_turns() {
    let llm = strict(|seen| openai(seen, "Yes.")).await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let long = "nine hundred ".repeat(70);
    let conversations: [(&str, Vec<(&str, &str)>); 5] = [
        ("long", (0..60).map(|turn| (if turn % 2 == 0 { "user" } else { "assistant" }, long.as_str())).collect()),
        ("greeted", vec![("assistant", "Welcome!"), ("user", "Hi"), ("assistant", "Hello.")]),
        ("ruled", vec![("user", "Hi"), ("system", "Be brief."), ("assistant", "Hi."), ("system", "Be kind.")]),
        ("unanswered", vec![("user", "One"), ("user", "Two")]),
        ("monologue", vec![("user", "Go"), ("assistant", "One"), ("assistant", "Two"), ("assistant", "Three")]),
    ];
    for (user, messages) in conversations {
        for (role, content) in messages {
            let message = json!({"role": role, "content": content});
            server.post(&format!("/api/memory/{user}/message"), &message).await.expect(200);
        }
        let reply = server.post("/v1/chat", &json!({"prompt": "Is that so?", "user_id": user})).await;
        assert_eq!(reply.expect(200)["answer"], "Yes.", "{user}");
    }
    let ruled = llm.chats().into_iter().find(|seen| seen.text.contains("Be brief.")).unwrap();
    assert_eq!(ruled.body["messages"][0], json!({"role": "system", "content": "Be brief.\n\nBe kind."}));
    let unanswered = llm.chats().into_iter().find(|seen| seen.text.contains("Two\\n\\nIs that so?"));
    assert!(unanswered.is_some(), "nothing is lost");
}

#[tokio::test]
async fn arguments_that_are_no_object_are_not_sent_back() {
    for arguments in ["{\"url\": \"/a\" \"/b\"", "look at /a", "[1]", "\"/a\"", "17", "", "{\"url\": \"/a\",}"] {
        let llm = strict(move |seen| match seen.text.contains("\"role\":\"tool\"") {
            false => openai_calls(seen, "", &[("weather", json!(arguments)), ("weather", json!({"url": "/oslo"}))]),
            true => openai(seen, "It rains."),
        })
        .await;
        let api = Upstream::answering(json!({"rain": true})).await;
        let server = with_tools(&llm, &[("weather", http_tool(&api))], &[]).await;
        for stream in [false, true] {
            let body =
                json!({"prompt": "Tell me about Lisbon, please", "stream": stream, "metadata": {"use_cache": false}});
            let answer = match stream {
                false => server.post("/v1/chat", &body).await.expect(200)["answer"].clone(),
                true => server.chat_events(&body).await.last().unwrap().data["answer"].clone(),
            };
            assert_eq!(answer, "It rains.", "{arguments}");
        }
    }
}

#[tokio::test]
async fn tools_with_schemas_as_they_come_are_offered_in_words_that_all_providers_know() {
    let schemas = [
        ("bare", json!({"type": "object"})),
        (
            "nulls",
            json!({"type": "object", "required": [], "properties": {"a": {"type": ["string", "null"], "default": null}}}),
        ),
        (
            "pydantic",
            json!({"type": "object", "title": "Args", "$defs": {"Place": {"type": "object", "title": "Place",
            "properties": {"city": {"type": "string"}}, "required": ["city"]}},
            "properties": {"at": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]}, "n": {"type": "integer", "exclusiveMinimum": 0}}}),
        ),
        (
            "zod",
            json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
            "properties": {"url": {"type": "string", "format": "uri"}, "mode": {"const": "fast"},
                "list": {"type": "array", "items": [{"type": "string"}, {"type": "number"}]}}}),
        ),
        (
            "choice",
            json!({"type": "object", "oneOf": [{"properties": {"id": {"type": "integer"}}, "required": ["id"]},
            {"properties": {"name": {"type": "string"}}, "required": ["name"]}]}),
        ),
        (
            "old",
            json!({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object", "properties": {"n": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
            "any": {"type": ["integer", "string", "array"]}}}),
        ),
    ];
    let names: Vec<_> = schemas.iter().map(|(name, _)| format!("mcp__{name}")).collect();
    let files = modern(move |seen| {
        let listed = schemas
            .iter()
            .map(|(name, schema)| json!({"name": name, "description": "word ".repeat(500), "inputSchema": schema}));
        Some(if is(seen, "tools/list") { tools(seen, &listed.collect::<Vec<_>>()) } else { harmless(seen) })
    })
    .await;
    let llm = strict(|seen| openai(seen, "Fine.")).await;
    let catalog = crate::common::chat::catalog(&[("mcp", json!({"type": "mcp", "config": {"url": files.url()}}))]);
    let server = TestServer::with_llm(&llm, &[("TOOLS", &catalog)]).await;
    let reply = server.post("/v1/chat", &json!({"prompt": "What can you do?"})).await.expect(200);
    assert_eq!((&reply["answer"], &reply["metadata"]["missing"]), (&json!("Fine."), &json!([])), "{reply}");
    let mut got = offered(&llm.chats()[0]);
    got.sort();
    let mut names = names;
    names.sort();
    assert_eq!(got, names);
    assert_eq!(llm.chats().len(), 1, "it is asked once");
}
