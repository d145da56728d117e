//! Secrets that stand in files, as Docker and Kubernetes hand them to containers: `NAME_FILE` names the file that holds `NAME`.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::json;
use tempfile::TempDir;

use crate::common::redis::RedisServer;
use crate::common::upstream::{json_reply, openai};
use crate::common::{Program, TestServer, Upstream};

const KEY: &str = "canary-key-of-a-file";

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// What a run has said.
fn told(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

#[tokio::test]
async fn a_key_of_a_file_is_sent_to_the_llm_and_shown_nowhere() {
    let secrets = TempDir::new().unwrap();
    let key = file(secrets.path(), "llm_api_key", &format!("{KEY}\n"));
    let llm = Upstream::start(|seen, _| openai(seen, &format!("You said {}", seen.headers["authorization"]))).await;
    let server = TestServer::with_llm(&llm, &[("LLM_API_KEY_FILE", &key)]).await;
    let reply = server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    assert_eq!(llm.chats()[0].headers["authorization"], format!("Bearer {KEY}"));
    assert!(reply["answer"].as_str().unwrap().starts_with("You said ") && !reply.to_string().contains(KEY), "{reply}");
    for path in ["/api/llm/config", "/api/monitoring/status", "/api/memory/ada/history", "/v1/executions", "/metrics"] {
        let shown = server.get(path).await;
        assert!(shown.status == 200 && !shown.text.contains(KEY), "{path}: {}", shown.text);
    }
    let sources = server.get("/api/monitoring/status").await.expect(200)["sources"].to_string();
    assert!(sources.contains("environment"), "{sources}");
}

#[tokio::test]
async fn stores_sign_in_with_passwords_of_files() {
    let secrets = TempDir::new().unwrap();
    let redis = RedisServer::start();
    redis.cli(&["ACL", "SETUSER", "default", ">pass/w#rd@ 1"]);
    let password = file(secrets.path(), "redis_password", "pass/w#rd@ 1\r\n");
    let url = file(secrets.path(), "redis_url", &redis.url());
    let port = redis.port().to_string();
    let ways = [
        vec![("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), ("REDIS_PASSWORD_FILE", &password)],
        vec![("REDIS_URL_FILE", &url)],
    ];
    for variables in ways {
        let server = TestServer::with(&variables).await;
        let stores = server.get("/api/memory/health").await.expect(200);
        assert!(!stores.to_string().contains("w#rd"), "{stores}");
        server.post("/api/memory/ada/message", &json!({"role": "user", "content": "Hi."})).await.expect(200);
        assert_eq!(redis.cli(&["DEL", "conversation:ada"]), "1", "{stores}");
    }
}

#[tokio::test]
async fn a_reference_in_a_json_file_may_stand_for_a_file() {
    let folder = TempDir::new().unwrap();
    let agent = Upstream::start(|_, _| json_reply("200 OK", &json!({"answer": "Yes."}))).await;
    let entry = json!({"name": "zain", "url": agent.url(), "auth_token": "${ZAIN_TOKEN}"});
    let agents = file(folder.path(), "agents.json", &json!({"agents": [entry]}).to_string());
    let token = file(folder.path(), "token", KEY);
    let variables = [("AGENTS_CONFIG_PATH", agents.as_str()), ("ZAIN_TOKEN_FILE", &token)];
    let server = TestServer::with(&variables).await;
    server.post("/api/agents/zain/call", &json!({"body": {}})).await.expect(200);
    assert_eq!(agent.seen()[0].headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(server.get("/api/agents/zain").await.expect(200)["auth_token"], "********");

    let missing = [("AGENTS_CONFIG_PATH", agents.as_str()), ("ZAIN_TOKEN_FILE", "/no/such/token")];
    let refused = told(&Program::run("check-config", folder.path(), &missing));
    let expected = "ZAIN_TOKEN_FILE, which this value refers to: Input should be the path of a file";
    assert!(refused.contains(expected) && refused.contains("/no/such/token is not there"), "{refused}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_by_the_check_and_by_the_start() {
    let folder = TempDir::new().unwrap();
    let path = file(folder.path(), "secret", KEY);
    let empty = file(folder.path(), "empty", "\n");
    let cases = [
        (vec![("LLM_API_KEY_FILE", "/run/secrets/none")], "LLM_API_KEY_FILE: ", "/run/secrets/none is not there"),
        (
            vec![("POSTGRES_PASSWORD_FILE", folder.path().to_str().unwrap())],
            "POSTGRES_PASSWORD_FILE: ",
            "can't be read",
        ),
        (vec![("AUTH_SECRET_KEY_FILE", empty.as_str())], "AUTH_SECRET_KEY_FILE: ", "empty is empty"),
        (vec![("EXTERNAL_AGENT_AUTH_TOKEN_FILE", KEY)], "EXTERNAL_AGENT_AUTH_TOKEN_FILE: ", "is not there"),
        (
            vec![("HTTPS_PROXY", KEY), ("HTTPS_PROXY_FILE", path.as_str())],
            "HTTPS_PROXY_FILE: ",
            "left out where HTTPS_PROXY is set",
        ),
        (vec![("POSTGRES_DSN_FILE", path.as_str())], "POSTGRES_DSN: ", "Input should be"),
    ];
    for (variables, name, expected) in &cases {
        for command in ["check-config", "serve"] {
            let output = Program::run(command, folder.path(), variables);
            let told = told(&output);
            assert_eq!(output.status.code(), Some(2), "{told}");
            let line = told.lines().find(|line| line.contains(name)).unwrap_or_default();
            assert!(line.contains(expected) && !told.contains("canary"), "{told}");
        }
    }
    fs::write(folder.path().join(".env"), "REDIS_PASSWORD=x\nredis_password_file='/run/secrets/redis'\n").unwrap();
    let output = Program::run("check-config", folder.path(), &[]);
    assert!(
        told(&output).contains("REDIS_PASSWORD_FILE: Input should be left out where REDIS_PASSWORD is set, since only one of them can count"),
        "{output:?}"
    );
}
