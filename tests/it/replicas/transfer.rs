//! A configuration is carried from one place to another: `config export` and `config import`.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::common::databases::postgres;
use crate::common::replicas::{two, within};
use crate::common::resources::{AGENTS, ALL, SECRET, TOOLS};
use crate::common::{Program, TestServer};

/// Runs `config` with these arguments; its exit code, and what it says on standard output and on standard error.
fn config(arguments: &[&str], folder: &Path, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Program::run_with(&[&["config"], arguments].concat(), folder, variables);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn a_configuration_in_files_is_carried_into_postgres_beside_running_servers() {
    let (database, folder) = (postgres(&[]).await, TempDir::new().unwrap());
    let seed = r#"{"seed": {"url": "http://127.0.0.1:9"}}"#;
    let variables = [("EXTERNAL_AGENTS", seed), ("AGENT_TOKEN", "t"), ("API_REFERENCES", "AGENT_TOKEN")];
    let old = TestServer::with(&variables).await;
    for resource in ALL {
        resource.add(&old, "first").await;
        resource.add(&old, "second").await;
    }
    let referring = AGENTS.with_token(&AGENTS.entry("referring", "http://127.0.0.1:9"), json!("${AGENT_TOKEN}"));
    old.post(AGENTS.path, &referring).await.expect(201);
    old.delete(&AGENTS.at("seed")).await.expect(200);
    old.put("/api/llm/config", &json!({"default_model": "m", "api_key": SECRET})).await.expect(200);
    let listed = old.get(AGENTS.path).await.expect(200);
    let data = old.folder().display().to_string();
    let of_files = [variables[0], variables[1], variables[2], ("DATA_DIR", data.as_str())];
    let (code, _, error) = config(&["export"], folder.path(), &of_files);
    assert!(code == Some(1) && error.contains("another server uses this DATA_DIR"), "{error}");
    let kept = old.keep_folder().await;
    let (code, exported, error) = config(&["export"], folder.path(), &of_files);
    assert_eq!(code, Some(0), "{error}");
    assert!(exported.contains("${AGENT_TOKEN}") && exported.contains(SECRET) && !exported.contains("revision"));
    let file = folder.path().join("exported.json");
    std::fs::write(&file, &exported).unwrap();

    let (one, two) = two(&database.url, &variables).await;
    TOOLS.add(&one, "to be replaced").await;
    let elsewhere = [variables[0], variables[1], variables[2], ("POSTGRES_DSN", database.url.as_str())];
    let (code, said, error) = config(&["import", file.to_str().unwrap()], folder.path(), &elsewhere);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.ends_with("as revision 2\n"), "{said}");
    let second = Duration::from_secs(1);
    for server in [&one, &two] {
        within(second, "imported", async || server.get(AGENTS.path).await.expect(200) == listed).await;
        assert_eq!(TOOLS.names(server, "").await, ["first", "second"]);
        assert_eq!(server.get("/api/llm/config").await.expect(200)["default_model"], "m");
    }
    let (_, said, _) = config(&["import", file.to_str().unwrap()], folder.path(), &elsewhere);
    assert_eq!(said, "nothing to change; the last revision is 2\n");
    let (_, again, _) = config(&["export"], folder.path(), &elsewhere);
    assert_eq!(again, exported, "what is taken out is what was put in");
    let history = one.get("/api/config/history").await.expect(200);
    assert_eq!((&history["count"], &history["revisions"][0]["author"]), (&json!(2), &json!("import")));

    // And back into files of another server.
    let empty = TempDir::new().unwrap();
    let (code, said, error) = config(&["import", file.to_str().unwrap()], empty.path(), &variables);
    assert!(code == Some(0) && said.ends_with("as revision 1\n"), "{said} {error}");
    let (_, again, _) = config(&["export"], empty.path(), &variables);
    assert_eq!(again, exported);
    drop(kept);
}

#[test]
fn what_cant_be_imported_is_named_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("import.json");
    let (code, _, error) = config(&["import", file.to_str().unwrap()], folder.path(), &[]);
    assert!(code == Some(1) && error.contains("import.json"), "{error}");
    let agent = |url: &str| json!({"section": "agents", "name": "a", "value": {"name": "a", "url": url}});
    let tool = json!({"section": "tools", "name": "t", "value": {"name": "t", "type": "code_executor"}});
    let rows = [
        ("[]".to_owned(), "no exported configuration"),
        (
            json!({"format": "orchestrator-studio-config-1", "entries": [tool, agent("nowhere")]}).to_string(),
            "agents.a.url",
        ),
    ];
    for (text, expected) in rows {
        std::fs::write(&file, text).unwrap();
        let (code, said, error) = config(&["import", file.to_str().unwrap()], folder.path(), &[]);
        assert!(code == Some(1) && said.is_empty() && error.contains(expected), "{error}");
    }
    let (_, exported, _) = config(&["export"], folder.path(), &[]);
    assert!(exported.contains("\"entries\": []"), "{exported}");
}
