//! Users who chat with a real server, how long each answer took, and what must be there afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::common::{Client, Program};

/// What a user does before the next prompt, so that the server is busy but not drowned.
const THINKING: Duration = Duration::from_millis(30);
/// Turns of a conversation; then the user begins another one, so that a request costs the same at any time.
const TURNS: usize = 20;

/// Users who are chatting.
pub struct Users {
    stop: Arc<AtomicBool>,
    all: Vec<JoinHandle<User>>,
}

/// What one user has said in each conversation, and how the requests went.
#[derive(Default)]
pub struct User {
    pub conversations: Vec<Conversation>,
    pub requests: Vec<Request>,
}

/// What was acknowledged of a conversation: prompts, and which executions they were.
pub struct Conversation {
    pub name: String,
    pub prompts: Vec<String>,
    pub executions: Vec<String>,
}

/// One request.
#[derive(Clone, Copy)]
pub struct Request {
    pub sent: Instant,
    pub took: Duration,
    pub failed: bool,
}

impl Users {
    /// This many users begin to chat.
    pub fn start(client: &Client, count: usize) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let all = (0..count).map(|nth| tokio::spawn(talk(client.clone(), format!("user-{nth}"), stop.clone())));
        Self { all: all.collect(), stop }
    }

    /// They stop.
    pub async fn stop(self) -> Vec<User> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for user in self.all {
            all.push(user.await.unwrap());
        }
        all
    }
}

async fn talk(client: Client, name: String, stop: Arc<AtomicBool>) -> User {
    let mut user = User::default();
    while !stop.load(Ordering::SeqCst) {
        let name = format!("{name}-{}", user.conversations.len());
        let mut conversation = Conversation { name, prompts: vec![], executions: vec![] };
        for turn in 0..TURNS {
            if !stop.load(Ordering::SeqCst) {
                user.requests.push(say(&client, &mut conversation, turn).await);
                tokio::time::sleep(THINKING).await;
            }
        }
        user.conversations.push(conversation);
    }
    user
}

async fn say(client: &Client, conversation: &mut Conversation, turn: usize) -> Request {
    let prompt = format!("{} says {turn}", conversation.name);
    let sent = Instant::now();
    let answer = client.post("/v1/chat", &json!({"prompt": prompt, "user_id": conversation.name})).await;
    let took = sent.elapsed();
    let reply: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let kept = answer.status == 200 && reply["metadata"]["memory_saved"] == true;
    if kept {
        conversation.prompts.push(prompt);
        conversation.executions.push(reply["execution_id"].as_str().unwrap_or_default().to_owned());
    }
    Request { sent, took, failed: !kept }
}

/// How requests went that were sent in some time.
#[derive(Clone, Copy)]
pub struct Figures {
    pub count: usize,
    pub failed: usize,
    pub p50: f64,
    pub p99: f64,
    pub longest: f64,
}

impl Figures {
    pub fn of(users: &[User], from: Instant, until: Instant) -> Self {
        let requests = users.iter().flat_map(|user| &user.requests);
        let within: Vec<Request> = requests.filter(|it| it.sent >= from && it.sent < until).copied().collect();
        let mut took: Vec<f64> = within.iter().map(|it| it.took.as_secs_f64() * 1000.0).collect();
        Self {
            count: within.len(),
            failed: within.iter().filter(|it| it.failed).count(),
            p50: quantile(&mut took, 0.5),
            p99: quantile(&mut took, 0.99),
            longest: quantile(&mut took, 1.0),
        }
    }
}

/// The value below which this share of all lies; 0 of none.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Waits until health says this of a store.
pub async fn until(client: &Client, store: &str, wanted: &str) {
    for _ in 0..1200 {
        let health = client.get("/api/monitoring/health").await.json();
        if health["components"][store]["status"] == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{store} did not become {wanted}");
}

/// The memory that the server occupies, in MB.
pub fn resident(program: &Program) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
