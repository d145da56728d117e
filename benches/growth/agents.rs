//! Configured resources: reading one, changing one, and a chat that has to find out that it needs none of them.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::comparison::{Comparison, Side, show};
use crate::load::{Connection, Server, Talker, number};

const FEW: usize = 10;
const SUBJECTS: [&str; 8] =
    ["invoices", "payments", "shipments", "salaries", "contracts", "campaigns", "warehouses", "refunds"];

/// A server with this many agents.
async fn server(llm: &str, count: usize) -> Server {
    let folder = TempDir::new().unwrap();
    let entry = |nth: usize| {
        let about = format!("Knows the {} of region {nth}", SUBJECTS[nth % SUBJECTS.len()]);
        let metadata = json!({"description": about});
        json!({"name": format!("agent-{nth}"), "url": format!("http://127.0.0.1:9/{nth}"), "metadata": metadata})
    };
    let entries: Vec<_> = (0..count).map(entry).collect();
    let file = folder.path().join("agents.json");
    std::fs::write(&file, json!({"agents": entries}).to_string()).unwrap();
    Server::start(folder, llm, &[("AGENTS_CONFIG_PATH", "agents.json"), ("LOG_LEVEL", "warn")]).await
}

pub async fn measure(llm: &str, rounds: usize) -> Value {
    let many = number("GROWTH_AGENTS", 10_000);
    let servers = [server(llm, FEW).await, server(llm, many).await];
    let [a, b] = &servers;
    let mut connections = [Connection::open(&a.address).await.unwrap(), Connection::open(&b.address).await.unwrap()];
    let mut found = Vec::new();
    let put = r#"{"name": "agent-{n}", "url": "http://127.0.0.1:9", "timeout_seconds": {value}}"#;
    for (method, body, count) in [("GET", "", 500), ("PUT", put, 30)] {
        let [few, more] = &mut connections;
        let side = |connection, names| Side::Request { connection, method, path: "/api/agents/agent-{n}", body, names };
        let what = format!("{method} /api/agents/NAME");
        found.push(Comparison::of(&what, rounds, count, [side(few, FEW), side(more, many)]).await);
    }
    let [mut few, mut more] = [a, b].map(|server| Talker::new(&server.address, "somebody", 20));
    found.push(Comparison::of("chat", rounds, 100, [Side::Chat(&mut few), Side::Chat(&mut more)]).await);
    show(&format!("{FEW} agents"), &format!("{many} agents"), &found)
}
