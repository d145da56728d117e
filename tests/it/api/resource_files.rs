//! Agents and data sources that the operator's files and variables give, and what the API makes of them.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::resources::{AGENTS, AGENTS_AND_SOURCES, MASK, SECRET, SOURCES, TOOLS, with};
use crate::common::{Program, TestServer};

#[tokio::test]
async fn entries_of_files_are_overridden_removed_and_renamed_and_stay_so_and_the_file_is_never_touched() {
    for resource in AGENTS_AND_SOURCES {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("entries.json");
        let entries: Vec<_> =
            ["one", "two", "three", "four"].map(|name| resource.entry(name, "http://127.0.0.1:9")).into();
        let text = format!("{:#}\n\n", json!({"comment": "mine", resource.section: entries}));
        std::fs::write(&file, &text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).unwrap();
        let mut server = TestServer::with(&[(resource.file, file.to_str().unwrap())]).await;
        assert_eq!(server.get(resource.path).await.expect(200), json!(entries));
        assert!(!server.folder().join("config").exists(), "nothing is stored unless something is changed");

        server.put(&resource.at("one"), &with(&entries[0], "timeout_seconds", json!(7))).await.expect(200);
        server.delete(&resource.at("two")).await.expect(200);
        server.put(&resource.at("three"), &with(&entries[2], "name", json!("drei"))).await.expect(200);
        resource.add(&server, "five").await;
        for _ in 0..2 {
            assert_eq!(resource.names(&server, "").await, ["one", "four", "drei", "five"]);
            assert_eq!(server.get(&resource.at("one")).await.expect(200)["timeout_seconds"], 7);
            server.get(&resource.at("two")).await.expect(404);
            server.get(&resource.at("three")).await.expect(404);
            server = server.restart().await;
        }
        // The names are free again.
        server.put(&resource.at("drei"), &with(&entries[2], "name", json!("two"))).await.expect(200);
        server.post(resource.path, &with(&entries[2], "timeout_seconds", json!(8))).await.expect(201);
        server = server.restart().await;
        let mut names = resource.names(&server, "").await;
        names.sort();
        assert_eq!(names, ["five", "four", "one", "three", "two"]);
        assert_eq!(server.get(&resource.at("three")).await.expect(200)["timeout_seconds"], 8);
        for name in names {
            server.delete(&resource.at(&name)).await.expect(200);
        }
        server = server.restart().await;
        assert_eq!(server.get(resource.path).await.text, "[]");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn variables_win_over_the_file_and_the_originals_own_make_the_default() {
    for resource in AGENTS_AND_SOURCES {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("entries.json");
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let entries = [resource.entry("file", &url(1)), resource.entry("both", &url(2))];
        std::fs::write(&file, json!({resource.section: entries}).to_string()).unwrap();
        let variable = json!({"both": {"type": "api", "url": url(3), "name": "ignored"}, "variable": {"type": "api", "url": url(4)}}).to_string();
        let default = if resource.section == "agents" { "EXTERNAL_AGENT" } else { "DATASOURCE" };
        let [base, token, timeout] =
            ["BASE_URL", "AUTH_TOKEN", "TIMEOUT_SECONDS"].map(|name| format!("{default}_{name}"));
        let variables = [
            (resource.file, file.to_str().unwrap()),
            (resource.variable, &variable),
            (&base, "http://127.0.0.1:5"),
            (&token, SECRET),
            (&timeout, "12"),
        ];
        let mut server = TestServer::with(&variables).await;
        let mut last =
            with(&with(&resource.entry("default", &url(5)), "auth_token", json!(MASK)), "timeout_seconds", json!(12));
        let expected = json!([
            resource.entry("file", &url(1)),
            resource.entry("both", &url(3)),
            resource.entry("variable", &url(4)),
            last
        ]);
        assert_eq!(server.get(resource.path).await.expect(200), expected);

        last["timeout_seconds"] = json!(13);
        server.put(&resource.at("default"), &last).await.expect(200);
        server.delete(&resource.at("both")).await.expect(200);
        server = server.restart().await;
        assert_eq!(resource.names(&server, "").await, ["file", "variable", "default"]);
        assert_eq!(server.get(&resource.at("default")).await.expect(200), last);
    }
}

#[tokio::test]
async fn the_originals_files_and_the_examples_load_unchanged() {
    // As the original wrote them: indented by two, every field, tokens in clear.
    let originals = [
        (
            &AGENTS,
            json!({"agents": [{"name": "zain_agent", "url": "http://localhost:8001", "auth_token": "zain-canary", "timeout_seconds": 30, "enabled": true,
            "metadata": {"system_prompt": "Hi", "llm_connection": "default", "attached_tools": [], "langgraph_profile": ""}},
            {"name": "second", "url": "http://localhost:8002/", "auth_token": "", "timeout_seconds": 60, "enabled": false, "metadata": {}}]}),
        ),
        (
            &SOURCES,
            json!({"datasources": [{"name": "cubejs", "type": "cubejs", "url": "http://localhost:4000", "auth_token": null, "timeout_seconds": 30, "enabled": true, "config": {}},
            {"name": "old", "type": "mongodb", "url": "mongodb://localhost:27017/crm", "auth_token": "zain-canary", "timeout_seconds": 30, "enabled": true, "config": {"max_rows": "100"}}]}),
        ),
        (
            &TOOLS,
            json!({"tools": [{"name": "web", "type": "web_search", "config": {"endpoint": "http://localhost:8080", "port": "", "api_key": "zain-canary",
            "timeout": "30", "base_url": "", "headers": {}, "max_results": "10", "provider": "generic"}, "enabled": true, "description": null},
            {"name": "odd", "type": "custom", "config": {"endpoint": "", "timeout": "30"}, "enabled": false, "description": "As it was"}]}),
        ),
    ];
    for (resource, content) in originals {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("entries.json");
        std::fs::write(&file, format!("{content:#}")).unwrap();
        let server = TestServer::with(&[(resource.file, file.to_str().unwrap())]).await;
        let text = content[resource.section]
            .to_string()
            .replace("\"zain-canary\"", "\"********\"")
            .replace("\"auth_token\":\"\"", "\"auth_token\":null");
        assert_eq!(server.get(resource.path).await.text, text);

        let example = format!("{}/config/{}.example.json", env!("CARGO_MANIFEST_DIR"), resource.section);
        let content: Value = serde_json::from_str(&std::fs::read_to_string(&example).unwrap()).unwrap();
        let variables = [
            (resource.file, &*example),
            ("BILLING_AGENT_TOKEN", "t"),
            ("CUBE_API_TOKEN", "t"),
            ("WEATHER_API_TOKEN", "t"),
            ("SEARCH_API_KEY", "t"),
            ("DOCS_MCP_TOKEN", "t"),
            ("CUSTOMERS_DATABASE_URL", "postgres://u:pw-canary@db/x"),
        ];
        let server = TestServer::with(&variables).await;
        let shown = server.get(resource.path).await;
        assert_eq!(shown.expect(200).as_array().unwrap().len(), content[resource.section].as_array().unwrap().len());
        assert!(!shown.text.contains("canary"));
    }
}

#[test]
fn a_stored_file_that_makes_no_sense_stops_the_start_and_is_named() {
    for resource in AGENTS_AND_SOURCES {
        let entry = resource.entry("a", "http://127.0.0.1:9");
        let rows = [
            ("{\"revision\": 1,".to_owned(), "line 1"),
            (json!({"revision": 1, resource.section: {}}).to_string(), resource.section),
            (json!({"revision": 1}).to_string(), resource.section),
            (json!({"revision": 1, resource.section: ["a"]}).to_string(), "[0]"),
            (json!({"revision": 1, resource.section: [with(&entry, "url", json!("nowhere"))]}).to_string(), "[0].url"),
            (
                json!({"revision": 1, resource.section: [with(&entry, "name", json!("a\u{1}b"))]}).to_string(),
                "[0].name",
            ),
            (json!({"revision": "x", resource.section: []}).to_string(), "revision"),
            (json!({"revision": 1, resource.section: [], "removed": 5}).to_string(), "removed"),
        ];
        for (text, place) in rows {
            let folder = TempDir::new().unwrap();
            std::fs::create_dir_all(folder.path().join("data/config")).unwrap();
            std::fs::write(folder.path().join(format!("data/config/{}.json", resource.section)), &text).unwrap();
            let output = Program::run("check-config", folder.path(), &[]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{text}: {said}");
            assert!(said.contains(&format!("{}.json", resource.section)) && said.contains(place), "{place}: {said}");
        }
    }
}

#[tokio::test]
async fn what_could_not_be_read_again_is_refused_and_what_is_accepted_is() {
    let mut server = TestServer::bare().await;
    let nested = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    let agent = |levels| json!({"name": "deep", "url": "http://127.0.0.1:9", "metadata": nested(levels)});
    for levels in [64, 100, 124] {
        let refused = server.post("/api/agents", &agent(levels)).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"], json!(["body", "metadata"]), "{levels}");
    }
    server.post("/api/agents", &agent(63)).await.expect(201);
    server = server.restart().await;
    assert_eq!(server.get("/api/agents/deep").await.expect(200)["metadata"], nested(63));
}
