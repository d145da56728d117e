//! A stand-in for an LLM server or another upstream, down to the bytes: it can refuse, hang, trickle, lie and break off.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    /// Null unless it is JSON.
    pub body: Value,
    pub text: String,
}

/// What the stand-in does next on a connection. After the last act it closes it.
pub enum Act {
    Send(String),
    /// Sends what is no text.
    SendBytes(Vec<u8>),
    Sleep(Duration),
    /// Waits for the test's word.
    Wait(Arc<Notify>),
    /// Says nothing more until the client leaves.
    Hang,
}

pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    left: Arc<Notify>,
}

impl Upstream {
    /// Answers every request with what `script` says; it is told which request this is, from 0.
    pub async fn start(script: impl Fn(&Seen, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), seen: Arc::default(), left: Arc::default() };
        let (seen, left, script) = (upstream.seen.clone(), upstream.left.clone(), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, left, script) = (seen.clone(), left.clone(), script.clone());
                tokio::spawn(async move { serve(stream, &seen, &left, &*script).await });
            }
        });
        upstream
    }

    /// An OpenAI-compatible LLM that answers each prompt with `text`, streamed word by word if asked to.
    pub async fn saying(text: &'static str) -> Self {
        Self::start(move |seen, _| openai(seen, text)).await
    }

    /// An OpenAI-compatible LLM that streams these pieces, and goes on after each one only when it is told to.
    pub async fn paced(pieces: &'static [&'static str], word: &Arc<Notify>) -> Self {
        let word = word.clone();
        Self::start(move |_, _| {
            let spoken = pieces.iter().flat_map(|piece| [openai_delta(piece), Act::Wait(word.clone())]);
            [open_head("text/event-stream")].into_iter().chain(spoken).chain([openai_end()]).collect()
        })
        .await
    }

    /// An agent or data source that answers every request with this JSON.
    pub async fn answering(body: Value) -> Self {
        Self::start(move |_, _| json_reply("200 OK", &body)).await
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests that asked for an answer.
    pub fn chats(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method == "POST").collect()
    }

    /// Done when a client closes its connection before the stand-in did.
    pub async fn client_left(&self) {
        self.left.notified().await;
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Seen>>,
    left: &Notify,
    script: &(dyn Fn(&Seen, usize) -> Vec<Act> + Send + Sync),
) {
    let Some(request) = read(&mut stream).await else { return };
    let nth = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let acts = script(&request, nth);
    let (mut reader, mut writer) = stream.split();
    let play = async {
        for act in acts {
            match act {
                Act::Send(text) => {
                    if writer.write_all(text.as_bytes()).await.is_err() {
                        return false;
                    }
                }
                Act::SendBytes(bytes) => {
                    if writer.write_all(&bytes).await.is_err() {
                        return false;
                    }
                }
                Act::Sleep(pause) => tokio::time::sleep(pause).await,
                Act::Wait(word) => word.notified().await,
                Act::Hang => std::future::pending().await,
            }
        }
        true
    };
    let mut rest = [0; 64];
    let finished = tokio::select! {
        finished = play => finished,
        _ = reader.read(&mut rest) => false,
    };
    if !finished {
        left.notify_one();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < head + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let text = String::from_utf8_lossy(&bytes[head + 4..]).into_owned();
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some(Seen { method, path, headers, body, text })
}

/// A complete reply.
pub fn reply(status: &str, content_type: &str, body: &str) -> Vec<Act> {
    vec![Act::Send(format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ))]
}

pub fn json_reply(status: &str, body: &Value) -> Vec<Act> {
    reply(status, "application/json", &body.to_string())
}

/// The head of a reply that ends when the connection does.
pub fn open_head(content_type: &str) -> Act {
    Act::Send(format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n"))
}

/// One frame of an OpenAI stream.
pub fn openai_delta(text: &str) -> Act {
    let chunk = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]});
    Act::Send(format!("data: {chunk}\n\n"))
}

/// A chunk of an OpenAI stream whose choice has this `delta`.
pub fn openai_chunk(delta: &Value) -> Act {
    let chunk = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]});
    Act::Send(format!("data: {chunk}\n\n"))
}

/// An OpenAI stream of chunks with these `delta`s that ends for this reason.
pub fn openai_stream(deltas: &[Value], finish_reason: &str) -> Vec<Act> {
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]});
    let mut acts = vec![open_head("text/event-stream")];
    acts.extend(deltas.iter().map(openai_chunk));
    acts.push(Act::Send(format!("data: {end}\n\ndata: [DONE]\n\n")));
    acts
}

/// A complete OpenAI reply with this message.
pub fn openai_message(message: &Value, finish_reason: &str) -> Vec<Act> {
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason});
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    json_reply("200 OK", &json!({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}))
}

/// The end of an OpenAI stream.
pub fn openai_end() -> Act {
    let chunk = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    Act::Send(format!("data: {chunk}\n\ndata: [DONE]\n\n"))
}

/// An OpenAI-compatible answer, complete or streamed as the request asks.
pub fn openai(seen: &Seen, text: &str) -> Vec<Act> {
    if seen.method == "GET" {
        return match seen.path.as_str() {
            "/v1/models" => {
                json_reply("200 OK", &json!({"object": "list", "data": [{"id": "stub-model", "object": "model"}]}))
            }
            _ => json_reply("404 Not Found", &json!({"error": {"message": "no such path"}})),
        };
    }
    let model = seen.body["model"].as_str().unwrap_or_default();
    if seen.body["stream"] == true {
        let mut acts = vec![open_head("text/event-stream")];
        acts.extend(text.split_inclusive(' ').map(openai_delta));
        acts.push(openai_end());
        return acts;
    }
    json_reply(
        "200 OK",
        &json!({
            "id": "x", "object": "chat.completion", "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        }),
    )
}

/// An Ollama answer, complete or streamed as the request asks.
pub fn ollama(seen: &Seen, text: &str) -> Vec<Act> {
    match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/api/version") => return json_reply("200 OK", &json!({"version": "0.9.0"})),
        ("GET", "/api/tags") => return json_reply("200 OK", &json!({"models": [{"name": "llama:1b", "size": 1}]})),
        ("POST", "/api/chat") => {}
        _ => return reply("404 Not Found", "text/plain", "404 page not found"),
    }
    let last = json!({"model": "llama:1b", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop",
        "prompt_eval_count": 7, "eval_count": 3});
    if seen.body["stream"] == false {
        let mut whole = last;
        whole["message"]["content"] = json!(text);
        return json_reply("200 OK", &whole);
    }
    let line = |word: &str| {
        Act::Send(format!(
            "{}\n",
            json!({"model": "llama:1b", "message": {"role": "assistant", "content": word}, "done": false})
        ))
    };
    let mut acts = vec![open_head("application/x-ndjson")];
    acts.extend(text.split_inclusive(' ').map(line));
    acts.push(Act::Send(format!("{last}\n")));
    acts
}

/// A wish of the model to have these tools called, `(name, arguments)`, with some words before it, in OpenAI's format:
/// complete, or streamed in pieces as the request asks.
pub fn openai_calls(seen: &Seen, text: &str, calls: &[(&str, Value)]) -> Vec<Act> {
    let call = |(at, (name, arguments)): (usize, &(&str, Value))| {
        // What is no JSON travels as the text that it is.
        let arguments = arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned);
        json!({"index": at, "id": format!("call_{at}"), "type": "function", "function": {"name": name, "arguments": arguments}})
    };
    let calls: Vec<_> = calls.iter().enumerate().map(call).collect();
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    if seen.body["stream"] == true {
        let chunk = |delta: Value, finish: Value| {
            Act::Send(format!(
                "data: {}\n\n",
                json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
            ))
        };
        let mut acts = vec![open_head("text/event-stream")];
        acts.extend(text.split_inclusive(' ').map(openai_delta));
        for mut call in calls {
            // The arguments come in two pieces.
            let arguments = call["function"]["arguments"].as_str().unwrap().to_owned();
            let middle = arguments.floor_char_boundary(arguments.len() / 2);
            call["function"]["arguments"] = json!(arguments[..middle]);
            acts.push(chunk(json!({"tool_calls": [call]}), Value::Null));
            let rest = json!({"index": call["index"], "function": {"arguments": arguments[middle..]}});
            acts.push(chunk(json!({"tool_calls": [rest]}), Value::Null));
        }
        acts.push(chunk(json!({}), json!("tool_calls")));
        acts.push(Act::Send(format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [], "usage": usage}))));
        return acts;
    }
    let message = json!({"role": "assistant", "content": text, "tool_calls": calls});
    json_reply(
        "200 OK",
        &json!({"id": "x", "object": "chat.completion", "model": seen.body["model"], "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}),
    )
}

/// The same in Ollama's format, complete.
pub fn ollama_calls(calls: &[(&str, Value)]) -> Vec<Act> {
    let call = |(name, arguments): &(&str, Value)| json!({"function": {"name": name, "arguments": arguments}});
    let calls: Vec<_> = calls.iter().map(call).collect();
    let message = json!({"role": "assistant", "content": "", "tool_calls": calls});
    json_reply(
        "200 OK",
        &json!({"model": "llama:1b", "message": message, "done": true, "done_reason": "stop", "prompt_eval_count": 7,
            "eval_count": 3}),
    )
}
