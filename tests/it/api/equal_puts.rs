//! A PUT that says what a file or a variable says already: nothing is pinned, the file and the variable go on counting.

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::common::TestServer;
use crate::common::resources::{AGENTS, ALL, MASK, ResourceKind, SECRET, SOURCES, TOOLS, with};

/// A resource's file on disk.
struct ResourceFile {
    folder: TempDir,
    section: &'static str,
}

impl ResourceFile {
    fn new(resource: &ResourceKind, entries: &[Value]) -> Self {
        let file = Self { folder: TempDir::new().unwrap(), section: resource.section };
        file.write(entries);
        file
    }

    fn write(&self, entries: &[Value]) {
        std::fs::write(self.path(), json!({self.section: entries}).to_string()).unwrap();
    }

    fn path(&self) -> String {
        self.folder.path().join("entries.json").display().to_string()
    }
}

/// What the GUI sends for an entry that it has read, if its user has changed nothing.
fn as_the_gui_sends_it(entry: &Value) -> Value {
    let mut sent = with(entry, "status", json!({"connected": false, "message": "Not tested"}));
    if let Some(config) = entry.get("config").and_then(Value::as_object).filter(|_| entry.get("url").is_none()) {
        let mut form: Map<String, Value> =
            ["endpoint", "port", "api_key"].map(|key| (key.to_owned(), json!(""))).into_iter().collect();
        form.insert("timeout".to_owned(), json!("30"));
        form.extend(config.clone());
        sent["config"] = form.into();
        if sent["description"].is_null() {
            sent["description"] = json!("");
        }
    }
    // JavaScript writes 10.0 as 10.
    serde_json::from_str(&sent.to_string().replace("10.0", "10")).unwrap()
}

/// Four entries, two of them with what the GUI or JavaScript changes on the way.
fn entries(resource: &ResourceKind) -> Vec<Value> {
    let plain = ["one", "two", "three", "four"].map(|name| resource.entry(name, "http://127.0.0.1:9"));
    let [one, two, three, four] = plain;
    let numbers = json!({"max_rows": 10.0, "description": "Ten", "base_url": "http://127.0.0.1:9"});
    vec![resource.with_token(&one, json!(SECRET)), with(&two, resource.free, numbers), three, four]
}

#[tokio::test]
async fn what_is_saved_unchanged_goes_on_following_its_file() {
    for resource in ALL {
        let mut entries = entries(resource);
        let file = ResourceFile::new(resource, &entries);
        let mut server = TestServer::with(&[(resource.file, &file.path())]).await;
        let shown = server.get(resource.path).await;
        // "Save All"
        for entry in shown.expect(200).as_array().unwrap() {
            let at = resource.at(entry["name"].as_str().unwrap());
            let before = server.get(&at).await.tag();
            let saved = server.put(&at, &as_the_gui_sends_it(entry)).await;
            assert_eq!((&saved.expect(200)[resource.key], saved.tag()), (entry, before), "{at}");
        }
        assert!(!server.folder().join("config").exists(), "{}: nothing is stored", resource.section);

        // One is changed, and all are saved once more.
        let shown = server.get(resource.path).await.expect(200);
        let changed = with(&shown[3], "enabled", json!(false));
        server.put(&resource.at("four"), &as_the_gui_sends_it(&changed)).await.expect(200);
        for entry in server.get(resource.path).await.expect(200).as_array().unwrap() {
            server.put(&resource.at(entry["name"].as_str().unwrap()), &as_the_gui_sends_it(entry)).await.expect(200);
        }
        let stored: Value = serde_json::from_str(&resource.stored(server.folder())).unwrap();
        let names: Vec<_> = stored[resource.section].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
        assert_eq!(names, ["four"]);

        for entry in &mut entries {
            *entry = resource.with_timeout(entry, json!(77));
        }
        file.write(&entries);
        server = server.restart().await;
        let after = server.get(resource.path).await.expect(200);
        let timeout = |nth: usize| after[nth].get("timeout_seconds").or(after[nth]["config"].get("timeout")).cloned();
        assert_eq!([0, 1, 2].map(timeout), [77, 77, 77].map(|seconds| Some(json!(seconds))), "{after}");
        assert_ne!(timeout(3), Some(json!(77)), "what was changed stays");
        assert_eq!((&after[3]["enabled"], &after[2]["enabled"]), (&json!(false), &json!(true)));
    }
}

#[tokio::test]
async fn what_was_stored_stays_stored_even_if_the_file_says_the_same_later() {
    for resource in ALL {
        let entry = resource.entry("one", "http://127.0.0.1:9");
        let file = ResourceFile::new(resource, std::slice::from_ref(&entry));
        let mut server = TestServer::with(&[(resource.file, &file.path())]).await;
        let mine = with(&entry, "enabled", json!(false));
        server.put(&resource.at("one"), &mine).await.expect(200);
        server.put(&resource.at("one"), &mine).await.expect(200);
        file.write(&[resource.entry("one", "http://127.0.0.1:10")]);
        server = server.restart().await;
        let after = server.get(&resource.at("one")).await.expect(200);
        assert_eq!(after["enabled"], false);
        assert!(after.to_string().contains("127.0.0.1:9"), "{after}");
    }
}

#[tokio::test]
async fn a_change_that_is_one_is_stored_however_small() {
    for (resource, changes) in [
        (
            &AGENTS,
            vec![
                json!({"metadata": {"note": ""}}),
                json!({"timeout_seconds": 31}),
                json!({"auth_token": "a-new-token"}),
            ],
        ),
        (&SOURCES, vec![json!({"config": {"note": null}}), json!({"type": "rest"})]),
        (
            &TOOLS,
            vec![
                json!({"description": "Weather"}),
                json!({"type": "http"}),
                json!({"config": {"base_url": "http://127.0.0.1:9", "timeout": 31}}),
            ],
        ),
    ] {
        for change in changes {
            let entry = resource.entry("one", "http://127.0.0.1:9");
            let file = ResourceFile::new(resource, std::slice::from_ref(&entry));
            let server = TestServer::with(&[(resource.file, &file.path())]).await;
            let mut changed = entry.clone();
            changed.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let before = server.get(&resource.at("one")).await.tag();
            let saved = server.put(&resource.at("one"), &changed).await;
            saved.expect(200);
            assert_ne!(saved.tag(), before, "{change}");
            assert!(resource.stored(server.folder()).contains("one"), "{change}");
        }
    }
}

#[tokio::test]
async fn the_llm_page_saves_what_it_was_shown_and_pins_only_what_was_changed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("llm.json");
    let path = file.display().to_string();
    let write = |model: &str| {
        let content =
            json!({"base_url": "http://127.0.0.1:9", "default_model": model, "temperature": 1.0, "max_tokens": 2048});
        std::fs::write(&file, content.to_string()).unwrap();
    };
    write("from-file");
    let variables =
        [("LLM_CONFIG_PATH", path.as_str()), ("LLM_API_KEY", "sk-first-canary"), ("LLM_TIMEOUT_SECONDS", "45")];
    let mut server = TestServer::with(&variables).await;
    let sources = async |server: &TestServer| {
        let all = server.get("/api/monitoring/status").await.expect(200)["sources"].clone();
        ["BASE_URL", "API_KEY", "DEFAULT_MODEL", "TIMEOUT_SECONDS", "TEMPERATURE", "MAX_RETRIES"]
            .map(|name| all[format!("LLM_{name}")].as_str().unwrap().to_owned())
    };
    let before = sources(&server).await;
    assert_eq!(before, ["file", "environment", "file", "environment", "file", "default"]);
    let shown = server.get("/api/llm/config").await.expect(200);
    // JavaScript writes 1.0 as 1; all that is shown is sent, and what is empty as "".
    let page = json!({"base_url": shown["base_url"], "default_model": shown["default_model"], "api_key": MASK,
        "timeout_seconds": 45, "max_tokens": 2048, "temperature": 1, "provider": "", "fallback_models": [], "max_retries": "3"});
    assert_eq!(server.put("/api/llm/config", &page).await.expect(200)["config"], shown);
    assert_eq!(sources(&server).await, before);
    assert!(!server.folder().join("config").exists(), "nothing is stored");

    let changed = with(&page, "temperature", json!(0.5));
    server.put("/api/llm/config", &changed).await.expect(200);
    server.put("/api/llm/config", &changed).await.expect(200);
    assert_eq!(sources(&server).await, ["file", "environment", "file", "environment", "api", "default"]);
    write("from-file-later");
    server = server.restart_with(&[("LLM_TIMEOUT_SECONDS", "50"), ("LLM_TEMPERATURE", "0.1")]).await;
    let after = server.get("/api/llm/config").await.expect(200);
    assert_eq!(
        (&after["default_model"], &after["timeout_seconds"], &after["temperature"]),
        (&json!("from-file-later"), &json!(50), &json!(0.5))
    );
}

/// A key that is spelt out for a server of the caller's choice: what its variable says later is not for that server.
#[tokio::test]
async fn a_variables_next_key_does_not_go_to_a_server_that_was_given_the_last_one() {
    let mut server = TestServer::with(&[("LLM_BASE_URL", "http://127.0.0.1:9"), ("LLM_API_KEY", "sk-first")]).await;
    let moved = json!({"base_url": "http://127.0.0.1:10", "api_key": "sk-first"});
    server.put("/api/llm/config", &moved).await.expect(200);
    server = server.restart_with(&[("LLM_API_KEY", "sk-second")]).await;
    let status = server.get("/api/monitoring/status").await.expect(200);
    assert_eq!((&status["sources"]["LLM_BASE_URL"], &status["sources"]["LLM_API_KEY"]), (&json!("api"), &json!("api")));
}
