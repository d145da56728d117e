//! Users who chat all the time, one turn after the other, and remember what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use super::Client;

/// Users who are chatting.
pub struct Load {
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicUsize>,
    users: Vec<JoinHandle<Vec<(String, String)>>>,
}

/// What one user has said and was answered, and which executions that were.
pub struct Transcript {
    pub user: String,
    pub prompts: Vec<String>,
    pub executions: Vec<String>,
}

impl Load {
    /// This many users begin to chat. Any answer but 200 fails the test, unless the server is to be killed.
    pub fn start(client: &Client, users: usize, name: &str, may_die: bool) -> Self {
        let (stop, heard) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let counter = heard.clone();
        let users = (0..users).map(|number| {
            let (client, stop, user) = (client.clone(), stop.clone(), format!("{name}-{number}"));
            let heard = counter.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let prompt = format!("{user} says {}", acknowledged.len());
                    let request = client.request("POST", "/v1/chat").header("content-type", "application/json");
                    let body = json!({"prompt": prompt, "user_id": user}).to_string();
                    match request.body(body).send().await {
                        Ok(reply) => {
                            let status = reply.status().as_u16();
                            let text = reply.text().await.unwrap_or_default();
                            if may_die && !text.ends_with('}') {
                                break;
                            }
                            assert_eq!(status, 200, "{text}");
                            let reply: serde_json::Value = serde_json::from_str(&text).unwrap();
                            assert_eq!(reply["metadata"]["memory_saved"], true, "{text}");
                            acknowledged.push((prompt, reply["execution_id"].as_str().unwrap().to_owned()));
                            heard.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) if may_die => {
                            drop(error);
                            break;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                acknowledged
            })
        });
        Self { users: users.collect(), stop, heard }
    }

    /// Waits until this many more requests were answered.
    pub async fn answered(&self, more: usize) {
        let wanted = self.heard.load(Ordering::SeqCst) + more;
        for _ in 0..1500 {
            if self.heard.load(Ordering::SeqCst) >= wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no {more} answers within half a minute");
    }

    /// They stop; what each of them has said is returned.
    pub async fn stop(self, name: &str) -> Vec<Transcript> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for (number, user) in self.users.into_iter().enumerate() {
            let (prompts, executions) = user.await.unwrap().into_iter().unzip();
            all.push(Transcript { user: format!("{name}-{number}"), prompts, executions });
        }
        all
    }
}

impl Transcript {
    /// Everything is there once and in order. What was said last may be there without having been acknowledged.
    pub fn assert_stored(&self, stored: &[String], may_die: bool) {
        let extra = stored.len().saturating_sub(self.prompts.len());
        assert!(extra <= usize::from(may_die), "{}: {} stored, {} said", self.user, stored.len(), self.prompts.len());
        assert_eq!(stored[..stored.len() - extra], self.prompts[..], "{}", self.user);
    }

    /// What the API shows of it, oldest first.
    pub async fn stored(&self, client: &Client) -> Vec<String> {
        let history = client.get(&format!("/api/memory/{}/history", self.user)).await.expect(200);
        let messages = history["messages"].as_array().unwrap().iter().rev();
        let asked = messages.filter(|message| message["role"] == "user");
        asked.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
    }
}
