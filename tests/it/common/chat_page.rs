//! What the stories about the chat page share: its calls, as the GUI makes them.

use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};

use super::{Client, Seen};

pub const CONVERSATIONS: &str = "/api/chat/ui/conversations";

/// Begins a conversation as the page does, and gives its id.
pub async fn begin(server: &Client, profile: &str) -> String {
    let body = json!({"title": "New Conversation", "model_id": null, "routing_profile": profile, "user_id": "ada"});
    let begun = server.post(CONVERSATIONS, &body).await.expect(200);
    assert_eq!(begun["success"], true);
    begun["conversation"]["id"].as_str().unwrap().to_owned()
}

/// A message as the page sends it.
pub fn message(conversation: &str, profile: &str, text: &str) -> Value {
    json!({"conversation_id": conversation, "message": text, "model_id": null, "routing_profile": profile,
        "use_memory": true, "use_tools": false, "stream": false, "metadata": {}})
}

/// Sends a message of this profile.
pub async fn send(server: &Client, conversation: &str, profile: &str, text: &str) -> Value {
    server.post("/api/chat/ui/send", &message(conversation, profile, text)).await.expect(200)
}

/// A conversation as the page loads it.
pub async fn load(server: &Client, conversation: &str) -> Value {
    server.get(&format!("{CONVERSATIONS}/{conversation}")).await.expect(200)
}

/// Who said what in it.
pub async fn said(server: &Client, conversation: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let messages = load(server, conversation).await["messages"].clone();
    messages.as_array().unwrap().iter().map(|it| (text(&it["role"]), text(&it["content"]))).collect()
}

/// The same as literals are.
pub fn turns(turns: &[(&str, &str)]) -> Vec<(String, String)> {
    turns.iter().map(|(role, content)| ((*role).to_owned(), (*content).to_owned())).collect()
}

/// What a model was shown before the prompt: role and content.
pub fn shown_before(seen: &Seen) -> Vec<(String, String)> {
    let messages = seen.body["messages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    messages[..messages.len() - 1].iter().map(|it| (text(&it["role"]), text(&it["content"]))).collect()
}

/// The lines of a streamed answer as they come. Dropping them closes the connection.
pub async fn lines(server: &Client, body: &Value) -> impl Stream<Item = String> + Unpin + use<> {
    let request = server.request("POST", "/api/chat/ui/send/stream").header("content-type", "application/json");
    let reply = request.body(body.to_string()).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "text/event-stream");
    let mut bytes = reply.bytes_stream();
    Box::pin(async_stream::stream! {
        let mut text = String::new();
        while let Some(Ok(chunk)) = bytes.next().await {
            text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((line, rest)) = text.split_once('\n').map(|(line, rest)| (line.to_owned(), rest.to_owned())) {
                text = rest;
                yield line;
            }
        }
    })
}

/// Reads a stream as version B of the GUI does: what follows `data: ` on a line, until a line says `event: done`.
pub async fn read_as_the_page_does(mut lines: impl Stream<Item = String> + Unpin) -> (String, bool) {
    let mut answer = String::new();
    while let Some(line) = lines.next().await {
        if line == "event: done" {
            return (answer, true);
        }
        answer.push_str(line.strip_prefix("data: ").unwrap_or_default());
    }
    (answer, false)
}

/// Reads a stream as the standard has it: the data of each event, its lines joined by line feeds, and its name.
pub async fn read_as_events(lines: impl Stream<Item = String> + Unpin) -> Vec<(String, String)> {
    let lines: Vec<String> = lines.collect().await;
    let mut events = Vec::new();
    for frame in lines.split(String::is_empty).filter(|frame| !frame.is_empty()) {
        let field = |name: &str| -> Vec<String> {
            frame
                .iter()
                .filter_map(|line| line.strip_prefix(name))
                .map(|it| it.trim_start_matches(' ').to_owned())
                .collect()
        };
        let data: Vec<_> = frame.iter().filter_map(|line| line.strip_prefix("data:")).map(one_blank_less).collect();
        if !data.is_empty() {
            events.push((field("event:").concat(), data.join("\n")));
        }
    }
    events
}

fn one_blank_less(value: &str) -> &str {
    value.strip_prefix(' ').unwrap_or(value)
}

/// The ids of all conversations, in the order in which they are listed.
pub async fn listed(server: &Client, query: &str) -> Vec<String> {
    let page = server.get(&format!("{CONVERSATIONS}{query}")).await.expect(200);
    page["conversations"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}
