//! A disk without room: chats are answered all the same, say what is lacking, and leave nothing half-written.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::upstream::openai;
use crate::common::{Program, Upstream};

/// Runs what follows on a data folder that has 3 MB.
const SMALL_DISK: &[&str] =
    &["unshare", "-rm", "sh", "-c", "mkdir data && mount -t tmpfs -o size=3m,mode=700 none data && exec \"$0\" \"$@\""];

impl Program {
    /// The data folder as the server sees it.
    fn data(&self, folder: &Path) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.pid())).join(folder.strip_prefix("/").unwrap()).join("data")
    }

    async fn chat(&self, prompt: &str) -> Value {
        self.client.post("/v1/chat", &json!({"prompt": prompt, "user_id": "ada"})).await.expect(200)
    }

    async fn said(&self) -> Vec<Value> {
        let history = self.client.get("/api/memory/ada/history").await.expect(200);
        history["messages"].as_array().unwrap().iter().rev().map(|message| message["content"].clone()).collect()
    }
}

fn fill(path: &Path) {
    let mut filler = File::create(path).unwrap();
    for size in [100_000, 4096, 1] {
        while filler.write_all(&vec![0; size]).is_ok() {}
    }
}

#[tokio::test]
async fn a_full_disk_costs_nobody_an_answer_and_is_forgotten_once_there_is_room() {
    let (llm, folder) = (Upstream::start(|seen, _| openai(seen, "ok")).await, TempDir::new().unwrap());
    let base = llm.url();
    let variables = [("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "m")];
    let program = Program::start_through(SMALL_DISK, "serve", folder.path(), &variables).await;
    assert_eq!(program.chat("first").await["metadata"]["degraded"], false);

    let filler = program.data(folder.path()).join("filler");
    fill(&filler);
    // What the log of the database still has room for is written.
    let mut kept = vec![json!("first"), json!("ok")];
    let mut refused = 0;
    for number in 0..100 {
        let prompt = format!("{number} {}", "x".repeat(50_000));
        let reply = program.chat(&prompt).await;
        assert_eq!(reply["answer"], "ok");
        if reply["metadata"]["memory_saved"] == true {
            assert_eq!(refused, 0, "{reply}");
            kept.extend([json!(prompt), json!("ok")]);
            continue;
        }
        assert_eq!(reply["error"], "The conversation could not be saved; The execution could not be recorded");
        assert_eq!((&reply["metadata"]["memory_saved"], &reply["metadata"]["degraded"]), (&json!(false), &json!(true)));
        refused += 1;
        if refused == 3 {
            break;
        }
    }
    assert_eq!(refused, 3, "there was room for everything");
    assert!(kept.ends_with(&program.said().await), "nothing is half-written");

    fs::remove_file(&filler).unwrap();
    let reply = program.chat("there is room").await;
    assert_eq!((&reply["metadata"]["memory_saved"], &reply["metadata"]["degraded"]), (&json!(true), &json!(false)));
    kept.extend([json!("there is room"), json!("ok")]);
    assert!(kept.ends_with(&program.said().await));
    let execution = program.client.get(&format!("/v1/executions/{}", reply["execution_id"].as_str().unwrap())).await;
    assert_eq!(execution.expect(200)["execution"]["status"], "completed");
}
