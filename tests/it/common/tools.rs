//! What the stories about chat with tools share: a model that follows a script, tools and what stands behind them.

use serde_json::{Value, json};

use crate::common::chat::catalog;
use crate::common::upstream::{json_reply, openai, openai_calls};
use crate::common::{Act, Seen, TestServer, Upstream};

/// What the model says next.
#[derive(Clone)]
pub enum Say {
    Text(&'static str),
    /// Asks for tools: name and arguments.
    Calls(Vec<(&'static str, Value)>),
    /// The same after some words.
    Both(&'static str, Vec<(&'static str, Value)>),
}

/// Asks for one tool.
pub fn call(name: &'static str, arguments: Value) -> Say {
    Say::Calls(vec![(name, arguments)])
}

/// Asks for the weather of a city.
pub fn weather_of(city: &str) -> Say {
    call("weather", json!({"url": format!("/{city}")}))
}

pub fn say(seen: &Seen, what: &Say) -> Vec<Act> {
    match what {
        Say::Text(text) => openai(seen, text),
        Say::Calls(calls) => openai_calls(seen, "", calls),
        Say::Both(text, calls) => openai_calls(seen, text, calls),
    }
}

/// A model that says these one after the other, and the last again and again.
pub async fn model(script: Vec<Say>) -> Upstream {
    Upstream::start(move |seen, nth| say(seen, &script[nth.min(script.len() - 1)])).await
}

/// A weather service: each path is a city, and its degrees are the length of its name; `/nowhere` is not found.
pub async fn weather() -> Upstream {
    Upstream::start(|seen, _| match seen.path.trim_start_matches('/') {
        "nowhere" => json_reply("404 Not Found", &json!({"error": "no such city"})),
        city => json_reply("200 OK", &json!({"city": city, "degrees": city.len()})),
    })
    .await
}

/// A search engine in SearXNG's format that finds these pages: title, address, text.
pub async fn engine(pages: &'static [(&'static str, &'static str, &'static str)]) -> Upstream {
    Upstream::start(move |_, _| {
        let page = |(title, url, content): &(&str, &str, &str)| json!({"title": title, "url": url, "content": content});
        json_reply("200 OK", &json!({"query": "", "results": pages.iter().map(page).collect::<Vec<_>>()}))
    })
    .await
}

pub fn http_tool(upstream: &Upstream) -> Value {
    json!({"type": "http_request", "description": "The weather of a city", "config": {"base_url": upstream.url()}})
}

pub fn search_tool(upstream: &Upstream) -> Value {
    json!({"type": "web_search", "config": {"provider": "searxng", "endpoint": upstream.url()}})
}

/// A server with this model and these tools.
pub async fn with_tools(llm: &Upstream, tools: &[(&str, Value)], more: &[(&str, &str)]) -> TestServer {
    let tools = catalog(tools);
    let mut all = vec![("TOOLS", tools.as_str())];
    all.extend_from_slice(more);
    TestServer::with_llm(llm, &all).await
}

pub async fn ask(server: &TestServer, prompt: &str, metadata: Value) -> Value {
    let body = json!({"prompt": prompt, "user_id": "ada", "metadata": metadata});
    server.post("/v1/chat", &body).await.expect(200)
}

/// The names of the functions that a request offers.
pub fn offered(seen: &Seen) -> Vec<String> {
    let tools = seen.body["tools"].as_array().cloned().unwrap_or_default();
    tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap().to_owned()).collect()
}

/// The results of tools that a request tells the model, in their order.
pub fn results(seen: &Seen) -> Vec<String> {
    let messages = seen.body["messages"].as_array().unwrap();
    let results = messages.iter().filter(|message| message["role"] == "tool");
    results.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

/// One member of the steps of an action.
pub fn of_action<'a>(reply: &'a Value, action: &str, member: &str) -> Vec<&'a Value> {
    let steps = reply["metadata"]["steps"].as_array().unwrap().iter();
    steps.filter(|step| step["action"] == action).map(|step| &step[member]).collect()
}
