//! Messages of a conversation, all of them kept word for word: chats in a new one and in a long one.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::comparison::{Comparison, Side, show};
use crate::load::{Connection, Server, Talker, number};

pub async fn measure(llm: &str, rounds: usize) -> Value {
    let many = number("GROWTH_MESSAGES", 10_000);
    let kept = many.to_string();
    let variables =
        [("MEMORY_MAX_MESSAGES", kept.as_str()), ("MEMORY_SUMMARY_ENABLED", "false"), ("LOG_LEVEL", "warn")];
    let server = Server::start(TempDir::new().unwrap(), llm, &variables).await;
    let mut connection = Connection::open(&server.address).await.unwrap();
    for nth in 0..many {
        let role = if nth % 2 == 0 { "user" } else { "assistant" };
        let message = json!({"role": role, "content": format!("What was said as number {nth} of this conversation")});
        let reply = connection.send("POST", "/api/memory/long-0/message", &message.to_string()).await.unwrap();
        assert!(reply.status < 300, "{}: {}", reply.status, String::from_utf8_lossy(&reply.body));
    }
    let mut new = Talker::new(&server.address, "new", 1);
    let mut long = Talker::new(&server.address, "long", usize::MAX);
    let chats = Comparison::of("chat", rounds, 100, [Side::Chat(&mut new), Side::Chat(&mut long)]).await;
    show("no messages", &format!("{many} messages"), &[chats])
}
