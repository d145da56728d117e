//! What the stories about chat with agents and data sources share: stand-ins that know what they are asked.

use serde_json::{Value, json};

use crate::common::upstream::{json_reply, openai};
use crate::common::{Act, Seen, Upstream};

/// What the LLM is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Query,
    Pick,
    Answer,
}

pub fn wanted(seen: &Seen) -> Wanted {
    match prompt_of(seen) {
        prompt if prompt.starts_with("Write one ") => Wanted::Query,
        prompt if prompt.starts_with("Which of these agents ") => Wanted::Pick,
        _ => Wanted::Answer,
    }
}

/// What the LLM was asked: its last message, without the data before the prompt.
pub fn prompt_of(seen: &Seen) -> String {
    last_message(seen).1
}

/// What the LLM was told before the prompt: our instructions, and the data.
pub fn notes_of(seen: &Seen) -> String {
    let notes = [instructions_of(seen), last_message(seen).0];
    notes.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// What the LLM was told by the server itself before the prompt.
pub fn instructions_of(seen: &Seen) -> String {
    let messages = seen.body["messages"].as_array().unwrap();
    let ours = messages.first().filter(|message| message["role"] == "system");
    ours.map(|message| message["content"].as_str().unwrap().to_owned()).unwrap_or_default()
}

/// The data before the prompt, and the prompt.
fn last_message(seen: &Seen) -> (String, String) {
    let last = seen.body["messages"].as_array().and_then(|messages| messages.last());
    let last = last.map(|message| message["content"].as_str().unwrap()).unwrap_or_default();
    let (data, prompt) = last.split_once("\n\nThe user's request:\n\n").unwrap_or(("", last));
    (data.to_owned(), prompt.to_owned())
}

/// The requests of one kind that the LLM got.
pub fn asked_for(llm: &Upstream, what: Wanted) -> Vec<Seen> {
    llm.chats().into_iter().filter(|seen| wanted(seen) == what).collect()
}

/// An LLM that writes this query, picks this agent, and answers everything else with `Here you are.`
pub async fn llm(query: &'static str, agent: &'static str) -> Upstream {
    Upstream::start(move |seen, _| match wanted(seen) {
        Wanted::Query => openai(seen, query),
        Wanted::Pick => openai(seen, agent),
        Wanted::Answer => openai(seen, "Here you are."),
    })
    .await
}

/// A data source over HTTP with a table `plans` that gives these rows.
pub async fn source(rows: Value) -> Upstream {
    Upstream::start(move |seen, _| source_reply(seen, &rows)).await
}

pub fn source_reply(seen: &Seen, rows: &Value) -> Vec<Act> {
    match seen.path.as_str() {
        "/schema" => json_reply(
            "200 OK",
            &json!({"tables": [{"name": "plans", "columns": [
            {"name": "name", "type": "text"}, {"name": "price", "type": "numeric"}]}]}),
        ),
        _ => json_reply("200 OK", &json!({"data": rows})),
    }
}

/// An agent that answers with this.
pub async fn agent(answer: Value) -> Upstream {
    Upstream::start(move |_, _| json_reply("200 OK", &answer)).await
}

/// Entries of a catalog as a variable holds them.
pub fn catalog(entries: &[(&str, Value)]) -> String {
    let entries: serde_json::Map<_, _> =
        entries.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone())).collect();
    Value::Object(entries).to_string()
}

/// One source over HTTP.
pub fn rest(url: &str) -> Value {
    json!({"type": "api", "url": url, "timeout_seconds": 5})
}

/// The texts of a list.
pub fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// One member of each step, in order of their ids.
pub fn of_steps<'a>(reply: &'a Value, member: &str) -> Vec<&'a Value> {
    let mut steps: Vec<_> = reply["metadata"]["steps"].as_array().unwrap().iter().collect();
    steps.sort_by_key(|step| step["id"].as_str().unwrap());
    steps.into_iter().map(|step| &step[member]).collect()
}
