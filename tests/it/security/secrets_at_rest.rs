//! Credentials that were configured through the API are encrypted wherever they are stored: files, history, Postgres, exports.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::common::databases::postgres;
use crate::common::replicas::{two, within};
use crate::common::resources::{AGENTS, SOURCES, TOOLS, with};
use crate::common::{Program, TestServer, Upstream};

const FIRST: &str = "yXg0FvUjT1oG9m8kq3nB7cW5dZ2aLhR4sP6eQxK0iVM=";
const SECOND: &str = "5f3c9a0b7e6d1248fe90ab34cd56ef7801928374655647382910aabbccddeeff";
/// What all planted credentials have in them.
const CANARY: &str = "7f3a9c-canary";

/// The files below a folder that have the canary in them.
fn files_with_canary(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_canary(&path));
        } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(CANARY) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Configures something of each kind with credentials in it, changes it, and removes some of it.
async fn configure(server: &TestServer, llm: &Upstream) {
    let connection = json!({"base_url": llm.url(), "default_model": "stub-model", "provider": "openai",
        "api_key": format!("key-{CANARY}")});
    server.put("/api/llm/config", &connection).await.expect(200);
    let agent = AGENTS.with_token(&AGENTS.entry("a", &llm.url()), json!(format!("first-{CANARY}")));
    server.post(AGENTS.path, &agent).await.expect(201);
    let agent = with(&agent, "auth_token", json!(format!("second-{CANARY}")));
    server.put(&AGENTS.at("a"), &agent).await.expect(200);
    AGENTS.add(server, "open").await;
    let source = json!({"name": "shop", "type": "postgres", "url": format!("postgres://u:{CANARY}@127.0.0.1:9/shop")});
    server.post(SOURCES.path, &source).await.expect(201);
    let tool = json!({"name": "t", "type": "http_request", "config": {"base_url": llm.url(),
        "headers": {"X-Team": format!("team-{CANARY}")}, "api_key": CANARY}});
    server.post(TOOLS.path, &tool).await.expect(201);
    server.post(TOOLS.path, &with(&tool, "name", json!("gone"))).await.expect(201);
    server.delete(&TOOLS.at("gone")).await.expect(200);
}

/// What the LLM is sent as authorization.
async fn authorization(server: &TestServer, llm: &Upstream) -> String {
    server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    llm.chats().pop().unwrap().headers["authorization"].clone()
}

#[tokio::test]
async fn a_data_folder_has_no_credential_in_clear_from_the_first_change_on() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with(&[("SECRETS_KEY", FIRST), ("CACHE_ENABLED", "false")]).await;
    configure(&server, &llm).await;
    assert_eq!(files_with_canary(server.folder()), [""; 0], "while it runs");
    // Nobody can pass a text off as an encrypted one.
    let odd = with(&AGENTS.entry("open", "http://127.0.0.1:9"), "metadata", json!({"note": "enc:v1:x:y"}));
    let refused = server.put(&AGENTS.at("open"), &odd).await.expect(422);
    assert!(refused.to_string().contains("begins with enc:v1:"), "{refused}");
    let shown = server.get(AGENTS.path).await.expect(200);
    let server = server.restart().await;
    assert_eq!(server.get(AGENTS.path).await.expect(200), shown);
    assert_eq!(authorization(&server, &llm).await, format!("Bearer key-{CANARY}"));
    server.post("/api/config/rollback", &json!({"revision": 2})).await.expect(200);
    let agents = std::fs::read_to_string(server.folder().join("config/agents.json")).unwrap();
    assert!(agents.contains("\"auth_token\": \"enc:v1:") && agents.contains(&llm.url()), "{agents}");
    let folder = server.keep_folder().await;
    assert_eq!(files_with_canary(folder.path()), [""; 0]);

    // What is exported is encrypted too, and good for whoever has the key.
    let data = folder.path().display().to_string();
    let exported =
        Program::run_with(&["config", "export"], folder.path(), &[("SECRETS_KEY", FIRST), ("DATA_DIR", &data)]);
    let exported = String::from_utf8(exported.stdout).unwrap();
    assert!(exported.contains("enc:v1:") && !exported.contains(CANARY), "{exported}");
    let elsewhere = TempDir::new().unwrap();
    let file = elsewhere.path().join("exported.json");
    std::fs::write(&file, &exported).unwrap();
    let import = ["config", "import", file.to_str().unwrap()];
    let lost = Program::run_with(&import, elsewhere.path(), &[("SECRETS_KEY", SECOND)]);
    let said = String::from_utf8(lost.stderr).unwrap();
    assert!(lost.status.code() == Some(1) && said.contains("can't be decrypted"), "{said}");
    let done = Program::run_with(&import, elsewhere.path(), &[("SECRETS_KEY", SECOND), ("SECRETS_KEYS_OLD", FIRST)]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(files_with_canary(elsewhere.path()), [""; 0]);
}

#[tokio::test]
async fn a_key_that_comes_later_changes_or_is_lost() {
    let llm = Upstream::saying("Hi.").await;
    let server = TestServer::with(&[("CACHE_ENABLED", "false")]).await;
    configure(&server, &llm).await;
    assert!(files_with_canary(server.folder()).len() > 2);
    // It is switched on: what was in clear, in the history and in what the database had deleted, is not any more.
    let server = server.restart_with(&[("SECRETS_KEY", FIRST)]).await;
    let folder = server.keep_folder().await;
    assert_eq!(files_with_canary(folder.path()), [""; 0]);
    // Elsewhere: files under `config/` of the folder that it starts in are not its own.
    let elsewhere = std::sync::Arc::new(TempDir::new().unwrap());
    let start = |key: &'static str, old: &'static str| {
        let (folder, elsewhere) = (folder.clone(), elsewhere.clone());
        async move {
            let data = folder.path().display().to_string();
            let variables =
                [("SECRETS_KEY", key), ("SECRETS_KEYS_OLD", old), ("DATA_DIR", &*data), ("CACHE_ENABLED", "false")];
            let given: Vec<_> = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            Program::start("serve", elsewhere.path(), &given).await
        }
    };
    let names = async |server: &Program| {
        let list = server.client.get(AGENTS.path).await.expect(200);
        list.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // A wrong key: each entry is named, all others are served, changes of others keep it.
    for (key, what) in [(SECOND, "another key"), ("", "no key")] {
        let server = start(key, "").await;
        assert_eq!(names(&server).await, ["open"], "{what}");
        let log = server.log();
        for entry in ["agents.a", "datasources.shop", "tools.t", "llm.connection"] {
            assert!(log.contains(&format!("{entry}: can't be decrypted")), "{what}: {entry}: {log}");
        }
        let changed = with(&AGENTS.entry("open", "http://127.0.0.1:9"), "timeout_seconds", json!(key.len() + 7));
        server.client.put(&AGENTS.at("open"), &changed).await.expect(200);
        server.client.put("/api/llm/config", &json!({"temperature": 0.2})).await.expect(503);
        if key.is_empty() {
            let with_token = AGENTS.with_token(&AGENTS.entry("clear", "http://127.0.0.1:9"), json!(CANARY));
            let refused = server.client.post(AGENTS.path, &with_token).await.expect(503);
            assert!(refused["detail"].as_str().unwrap().contains("SECRETS_KEY is not set"), "{refused}");
        }
        let refused = server.client.post("/api/config/rollback", &json!({"revision": 2})).await.expect(409);
        assert!(refused["detail"].as_str().unwrap().contains("can't be decrypted"), "{refused}");
        assert!(!server.client.get("/api/config/revisions/2").await.expect(200).to_string().contains(CANARY));
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        let data = folder.path().display().to_string();
        let export = Program::run_with(&["config", "export"], elsewhere.path(), &[("DATA_DIR", &data)]);
        let said = String::from_utf8_lossy(&export.stderr).into_owned();
        assert!(
            export.status.code() == Some(1)
                && export.stdout.is_empty()
                && said.contains("llm.connection: can't be decrypted"),
            "{said}"
        );
    }
    // Another key takes over from the first, which is then not needed any more.
    for (key, old) in [(SECOND, FIRST), (SECOND, "")] {
        let server = start(key, old).await;
        assert_eq!(names(&server).await, ["a", "open"]);
        server.client.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
        assert_eq!(llm.chats().pop().unwrap().headers["authorization"], format!("Bearer key-{CANARY}"));
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0));
        assert_eq!(files_with_canary(folder.path()), [""; 0]);
    }
    // And off again.
    let data = folder.path().display().to_string();
    let off = Program::run_with(
        &["secrets", "rotate"],
        elsewhere.path(),
        &[("SECRETS_KEYS_OLD", SECOND), ("DATA_DIR", &data)],
    );
    assert_eq!(off.status.code(), Some(0), "{}", String::from_utf8_lossy(&off.stderr));
    let server = start("", "").await;
    assert_eq!(names(&server).await, ["a", "open"]);
    assert!(server.log().contains("stored in clear; SECRETS_KEY encrypts them"), "{}", server.log());
}

#[tokio::test]
async fn postgres_has_no_credential_in_clear_and_its_key_is_changed_under_load() {
    let (database, llm) = (postgres(&[]).await, Upstream::saying("Hi.").await);
    // A key is made known everywhere before it is used anywhere.
    let both = [("SECRETS_KEY", FIRST), ("SECRETS_KEYS_OLD", SECOND), ("CACHE_ENABLED", "false")];
    let (one, two) = two(&database.url, &both).await;
    configure(&one, &llm).await;
    assert!(!database.contents().await.contains(CANARY));
    let second = Duration::from_secs(1);
    within(second, "learnt", async || AGENTS.names(&two, "").await == ["a", "open"]).await;
    for server in [&one, &two] {
        assert_eq!(authorization(server, &llm).await, format!("Bearer key-{CANARY}"));
        assert_eq!(files_with_canary(server.folder()), [""; 0]);
    }
    let folder = TempDir::new().unwrap();
    let of_second = [("SECRETS_KEY", SECOND), ("SECRETS_KEYS_OLD", FIRST), ("POSTGRES_DSN", database.url.as_str())];
    let stop = std::cell::Cell::new(false);
    let load = async |server: &TestServer, prefix: &str| {
        let mut added = Vec::new();
        while !stop.get() {
            let name = format!("{prefix}-{}", added.len());
            let agent = AGENTS.with_token(&AGENTS.entry(&name, &llm.url()), json!(format!("{name}-{CANARY}")));
            server.post(AGENTS.path, &agent).await.expect(201);
            added.push(name);
        }
        added
    };
    let rotating = async {
        tokio::time::sleep(second).await;
        let (folder, dsn) = (folder.path().to_owned(), database.url.clone());
        let rotate = move || {
            let of_second = [("SECRETS_KEY", SECOND), ("SECRETS_KEYS_OLD", FIRST), ("POSTGRES_DSN", dsn.as_str())];
            Program::run_with(&["secrets", "rotate"], &folder, &of_second)
        };
        let output = tokio::task::spawn_blocking(rotate).await.unwrap();
        tokio::time::sleep(second).await;
        stop.set(true);
        output
    };
    let (first, other, output) = tokio::join!(load(&one, "one"), load(&two, "two"), rotating);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("were encrypted anew"),
        "{said} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(first.len() > 3 && other.len() > 3, "{} {}", first.len(), other.len());

    // Servers that encrypt with the second, one after the other; what they had made meanwhile is encrypted anew at last.
    let one = one.restart_with(&of_second).await;
    let two = two.restart_with(&of_second).await;
    let again = Program::run_with(&["secrets", "rotate"], folder.path(), &of_second);
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    let last = Program::run_with(&["secrets", "rotate"], folder.path(), &of_second);
    assert!(String::from_utf8_lossy(&last.stdout).starts_with("0 entries and 0 changes"), "{last:?}");
    for server in [one, two] {
        let server = server.restart_with(&[("SECRETS_KEYS_OLD", "")]).await;
        let names = AGENTS.names(&server, "").await;
        assert!(first.iter().chain(&other).all(|name| names.contains(name)), "{names:?}");
        assert_eq!(authorization(&server, &llm).await, format!("Bearer key-{CANARY}"));
        assert_eq!(files_with_canary(server.folder()), [""; 0]);
    }
    let server = TestServer::with(&[of_second[0], of_second[2]]).await;
    server.post("/api/config/rollback", &json!({"revision": 2})).await.expect(200);
    assert_eq!(AGENTS.names(&server, "").await, ["a"]);
    assert_eq!(AGENTS.token_sent(&server, "a", &llm).await, Some(format!("Bearer first-{CANARY}")));
    assert!(!database.contents().await.contains(CANARY));
}

#[tokio::test]
async fn what_was_stored_before_postgres_and_before_the_key_is_encrypted_too() {
    let (database, llm) = (postgres(&[]).await, Upstream::saying("Hi.").await);
    let server = TestServer::with(&[("CACHE_ENABLED", "false")]).await;
    configure(&server, &llm).await;
    let server = server.restart_with(&[("POSTGRES_DSN", &database.url)]).await;
    assert_eq!(AGENTS.names(&server, "").await, ["a", "open"], "taken to Postgres");
    let server = server.restart_with(&[("SECRETS_KEY", FIRST)]).await;
    let folder = TempDir::new().unwrap();
    let of_first = [("SECRETS_KEY", FIRST), ("POSTGRES_DSN", database.url.as_str())];
    let rotated = Program::run_with(&["secrets", "rotate"], folder.path(), &of_first);
    assert_eq!(rotated.status.code(), Some(0), "{}", String::from_utf8_lossy(&rotated.stderr));
    assert!(!database.contents().await.contains(CANARY));
    let second = Duration::from_secs(2);
    within(second, "copied", async || files_with_canary(server.folder()).is_empty()).await;
    assert_eq!(authorization(&server, &llm).await, format!("Bearer key-{CANARY}"));

    // Who has no key can neither write credentials beside it, nor take away what it can't read.
    let keyless = TestServer::with(&[("POSTGRES_DSN", &database.url)]).await;
    assert_eq!(AGENTS.names(&keyless, "").await, ["open"]);
    let token = AGENTS.with_token(&AGENTS.entry("clear", "http://127.0.0.1:9"), json!(CANARY));
    keyless.post(AGENTS.path, &token).await.expect(503);
    AGENTS.add(&keyless, "plain").await;
    keyless.put("/api/llm/config", &json!({"temperature": 0.2})).await.expect(503);
    let without = &of_first[1..];
    let export = Program::run_with(&["config", "export"], folder.path(), without);
    assert!(export.status.code() == Some(1) && export.stdout.is_empty(), "{export:?}");
    let file = folder.path().join("plain.json");
    let entry = json!({"section": "agents", "name": "clear", "value": token});
    std::fs::write(&file, json!({"format": "orchestrator-studio-config-1", "entries": [entry]}).to_string()).unwrap();
    let import = Program::run_with(&["config", "import", file.to_str().unwrap()], folder.path(), without);
    assert_eq!(import.status.code(), Some(1), "{import:?}");
    assert_eq!(AGENTS.names(&server, "").await, ["a", "open", "plain"]);
    assert_eq!(authorization(&server, &llm).await, format!("Bearer key-{CANARY}"));
    // A connection that can't be read can be given up, for all.
    keyless.delete("/api/llm/config").await.expect(200);
    within(second, "given up", async || server.get("/api/llm/config").await.expect(200)["base_url"].is_null()).await;
}
