//! Somebody who chats: over a connection of their own, in a conversation that grows, with prompts that nobody has said before.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Connection;
use super::figures::milliseconds;
use super::stand_in::{expected, now};

/// Longest wait for a reply.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The number of the next prompt.
static NEXT: AtomicU64 = AtomicU64::new(1);

pub struct Talker {
    address: String,
    connection: Option<Connection>,
    name: String,
    turns: usize,
    said: usize,
}

/// How one chat went. Only an answer to that very prompt is right.
#[derive(Clone, Copy)]
pub struct Chat {
    pub took: Duration,
    pub is_right: bool,
}

/// How a streamed chat went: when its first piece came, and how old each one was then, in ms.
#[derive(Default)]
pub struct StreamedChat {
    pub first: f64,
    pub ages: Vec<f64>,
    pub is_complete: bool,
}

impl Talker {
    /// One who begins another conversation after so many turns.
    pub fn new(address: &str, name: &str, turns: usize) -> Self {
        Self { address: address.to_owned(), connection: None, name: name.to_owned(), turns, said: 0 }
    }

    /// Opens the connection, so that no chat has to wait for it.
    pub async fn connect(&mut self) {
        self.connection = Connection::open(&self.address).await.ok();
    }

    /// Says something and waits for the answer.
    pub async fn chat(&mut self) -> Chat {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (body, started) = (self.body(number, false), Instant::now());
        let answered = tokio::time::timeout(TIMEOUT, self.answer(&body, number)).await;
        let is_right = matches!(answered, Ok(Ok(true)));
        let chat = Chat { took: started.elapsed(), is_right };
        if !is_right {
            self.connection = None;
        }
        chat
    }

    /// Says something and listens to the answer.
    pub async fn stream(&mut self) -> StreamedChat {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (body, mut heard) = (self.body(number, true), StreamedChat::default());
        let ended = tokio::time::timeout(TIMEOUT, self.listen(&body, number, &mut heard)).await;
        heard.is_complete = matches!(ended, Ok(Ok(true)));
        if !heard.is_complete {
            self.connection = None;
        }
        heard
    }

    fn body(&mut self, number: u64, stream: bool) -> String {
        let user = format!("{}-{}", self.name, self.said / self.turns);
        self.said += 1;
        let prompt = format!("Tell me in a few words what you think of number #{number}#, would you?");
        json!({"prompt": prompt, "user_id": user, "stream": stream}).to_string()
    }

    async fn connection(&mut self) -> io::Result<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address).await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn answer(&mut self, body: &str, number: u64) -> io::Result<bool> {
        let reply = self.connection().await?.send("POST", "/v1/chat", body).await?;
        Ok(reply.status == 200 && holds(&reply.body, &expected(number)))
    }

    async fn listen(&mut self, body: &str, number: u64, heard: &mut StreamedChat) -> io::Result<bool> {
        let (started, connection) = (Instant::now(), self.connection().await?);
        let status = connection.begin("POST", "/v1/chat", body).await?;
        let (mut text, mut is_right, mut has_ended) = (Vec::new(), false, false);
        while let Some(piece) = connection.piece().await? {
            text.extend(piece);
            while let Some(end) = text.windows(2).position(|bytes| bytes == b"\n\n") {
                let frame: Vec<u8> = text.drain(..end + 2).collect();
                let frame = String::from_utf8_lossy(&frame);
                has_ended |= frame.contains("event: answer") || frame.contains("[DONE]");
                // The server's own frames have names; its last one repeats the answer.
                if !frame.contains("event: ") || frame.contains("event: delta") {
                    is_right |= frame.contains(&expected(number));
                    if is_right && heard.first == 0.0 {
                        heard.first = milliseconds(started.elapsed());
                    }
                    heard.ages.extend(ages(&frame));
                }
            }
        }
        Ok(status == 200 && is_right && has_ended)
    }
}

/// How old the pieces in a frame are, in ms.
fn ages(frame: &str) -> impl Iterator<Item = f64> {
    let now = now();
    frame.split('@').skip(1).filter_map(move |text| {
        let sent: u64 = text.split(' ').next()?.parse().ok()?;
        Some(now.saturating_sub(sent) as f64 / 1000.0)
    })
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
