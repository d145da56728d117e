//! Executions of a server that is gone, or that everybody takes for gone: the others say so, whatever becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::common::databases::{TestDatabase, postgres};
use crate::common::replicas::within;
use crate::common::upstream::openai;
use crate::common::{Act, Client, Program, Upstream};

/// A lease, a round of renewals, and what a busy machine takes beyond that.
const LEASE_TIMEOUT: Duration = Duration::from_secs(40);

/// A model that does not answer to what is slow until it is told to, however often it is asked.
#[derive(Default)]
struct Word {
    given: AtomicBool,
    waiting: Arc<Notify>,
}

impl Word {
    fn give(&self) {
        self.given.store(true, Ordering::SeqCst);
        self.waiting.notify_waiters();
    }
}

async fn llm() -> (Upstream, Arc<Word>) {
    let word = Arc::new(Word::default());
    let told = word.clone();
    let llm = Upstream::start(move |seen, _| {
        let mut acts = openai(seen, "Done.");
        if seen.body["messages"].to_string().contains("slow") && !told.given.load(Ordering::SeqCst) {
            acts.insert(0, Act::Wait(told.waiting.clone()));
        }
        acts
    })
    .await;
    (llm, word)
}

async fn program(folder: &TempDir, database: &TestDatabase, llm: &Upstream) -> Program {
    let base = llm.url();
    let variables = [
        ("POSTGRES_DSN", database.url.as_str()),
        ("LLM_BASE_URL", &base),
        ("LLM_DEFAULT_MODEL", "m"),
        ("CACHE_ENABLED", "false"),
    ];
    Program::start("serve", folder.path(), &variables).await
}

/// Asks something; gives the answer, if the server lives to give one.
fn ask(client: &Client, prompt: &str) -> JoinHandle<Option<Value>> {
    let (client, body) = (client.clone(), json!({"prompt": prompt, "user_id": "ada"}));
    tokio::spawn(async move {
        let asking = client.request("POST", "/v1/chat").header("content-type", "application/json");
        let reply = asking.body(body.to_string()).send().await.ok()?;
        assert_eq!(reply.status(), 200);
        Some(serde_json::from_str(&reply.text().await.unwrap()).unwrap())
    })
}

async fn statuses(client: &Client) -> Vec<String> {
    let listed = client.get("/v1/executions?user_id=ada").await.expect(200)["executions"].clone();
    let listed = listed.as_array().unwrap().iter();
    listed.map(|execution| execution["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_a_killed_server_was_at_is_interrupted_though_it_comes_back_with_another_folder() {
    let (database, (llm, _word)) = (postgres(&[]).await, llm().await);
    let folders = [(); 3].map(|()| TempDir::new().unwrap());
    let killed = program(&folders[0], &database, &llm).await;
    let other = program(&folders[1], &database, &llm).await;
    let asking = ask(&killed.client, "something slow");
    within(LEASE_TIMEOUT, "it runs", async || statuses(&other.client).await == ["running"]).await;
    killed.kill();
    assert_eq!(asking.await.unwrap(), None, "only its own client is cut off");
    let returned = program(&folders[2], &database, &llm).await;
    ask(&returned.client, "something quick").await.unwrap().unwrap();
    assert_eq!(statuses(&other.client).await, ["completed", "running"]);
    let took = within(LEASE_TIMEOUT, "it is interrupted", async || {
        statuses(&other.client).await == ["completed", "interrupted"]
    })
    .await;
    assert!(took > Duration::from_secs(2), "its lease was still good: {took:?}");
}

#[tokio::test]
async fn the_late_end_of_a_server_that_stood_still_is_refused_and_its_client_has_the_answer() {
    let (database, (llm, word)) = (postgres(&[]).await, llm().await);
    let folders = [(); 2].map(|()| TempDir::new().unwrap());
    let still = program(&folders[0], &database, &llm).await;
    let other = program(&folders[1], &database, &llm).await;
    let asking = ask(&still.client, "something slow");
    within(LEASE_TIMEOUT, "it runs", async || statuses(&other.client).await == ["running"]).await;
    still.signal("STOP");
    within(LEASE_TIMEOUT, "it is interrupted", async || statuses(&other.client).await == ["interrupted"]).await;
    word.give();
    still.signal("CONT");
    let answer = asking.await.unwrap().unwrap();
    assert_eq!(answer["answer"], "Done.");
    assert_eq!(statuses(&other.client).await, ["interrupted"], "its end comes too late");

    within(LEASE_TIMEOUT, "it has found out", async || still.log().contains("took this one for dead")).await;
    ask(&still.client, "something quick").await.unwrap().unwrap();
    for client in [&still.client, &other.client] {
        assert_eq!(statuses(client).await, ["completed", "interrupted"]);
    }
}
