//! Tools as they are kept: what is particular to them. What they share with agents and data sources is in `api::resources`; what
//! each kind does has a file of its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::common::resources::{MASK, TOOLS, with, without};
use crate::common::sources::wait_for;
use crate::common::upstream::json_reply;
use crate::common::{Act, Answer, TestServer, Upstream};

/// A tool of this type with this configuration.
fn tool(name: &str, kind: &str, config: Value) -> Value {
    json!({"name": name, "type": kind, "config": config, "enabled": true, "description": null})
}

#[tokio::test]
async fn what_is_left_out_has_the_originals_defaults_and_members_keep_their_order() {
    let server = TestServer::bare().await;
    let least = json!({"name": "a", "type": "custom"});
    server.post(TOOLS.path, &least).await.expect(201);
    let whole = json!({"name": "a", "type": "custom", "config": {}, "enabled": true, "description": null});
    assert_eq!(server.get("/api/tools/a").await.text, whole.to_string());
    let more = with(&with(&whole, "description", json!("Does things")), "config", json!({"z": 1, "a": [true]}));
    let changed = server.put("/api/tools/a", &more).await.expect(200);
    assert_eq!(changed, json!({"success": true, "message": "Tool 'a' updated successfully", "tool": more}));
    let server = server.restart().await;
    assert_eq!(server.get("/api/tools/a").await.text, more.to_string());
    // A PUT replaces the whole.
    server.put("/api/tools/a", &least).await.expect(200);
    assert_eq!(server.get("/api/tools/a").await.text, whole.to_string());
    // The GUI asks for this; it is the name of no tool.
    assert_eq!(server.get("/api/tools/config").await.expect(404)["detail"], "Tool 'config' not found");
}

#[tokio::test]
async fn the_gui_keeps_tools() {
    let server = TestServer::bare().await;
    for kind in ["http_request", "web_search", "code_executor", "custom"] {
        let form = json!({"name": kind, "type": kind, "enabled": true, "config": {
            "endpoint": "", "port": "", "api_key": "", "timeout": "30", "base_url": "", "headers": {}, "auth_token": "",
            "max_results": "10", "provider": "", "max_memory": "512", "allowed_languages": "python,javascript",
            "description": "As the form has it"}});
        // "Save All Tools": a PUT, and a POST if the PUT says 404.
        server.put(&TOOLS.at(kind), &form).await.expect(404);
        server.post(TOOLS.path, &form).await.expect(201);
    }
    let list = server.get(TOOLS.path).await.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 4);
    for shown in list.as_array().unwrap() {
        assert_eq!((&shown["config"]["timeout"], &shown["config"]["api_key"]), (&json!("30"), &json!("")));
        let mut edited = shown.clone();
        edited["config"]["api_key"] = json!("a-long-enough-key");
        edited["status"] = json!({"connected": false, "message": "", "latency": 5});
        let path = TOOLS.at(shown["name"].as_str().unwrap());
        let saved = server.put(&path, &edited).await.expect(200)["tool"].clone();
        assert_eq!(saved["config"]["api_key"], MASK);
        // What it has read it sends back, mask and all.
        let again = server.put(&path, &with(&saved, "status", json!({}))).await.expect(200);
        assert_eq!(again["tool"], saved);
        assert!(TOOLS.stored(server.folder()).contains("a-long-enough-key"));
        let tested = server.post(&format!("{path}/test"), &json!({"config": edited["config"]})).await.expect(200);
        assert!(tested["success"].is_boolean() && tested["message"].is_string(), "{tested}");
    }
}

/// The GUI shows and edits `config.description`, and sends the other one along as it was.
#[tokio::test]
async fn what_the_gui_says_of_a_tool_wins_over_what_was_said_beside_its_config() {
    let server = TestServer::bare().await;
    let entry = with(
        &tool("weather", "http_request", json!({"base_url": "http://127.0.0.1:9"})),
        "description",
        json!("Old words"),
    );
    server.post(TOOLS.path, &entry).await.expect(201);
    let described = async |text: &str| {
        let mut form = server.get("/api/tools/weather").await.expect(200);
        form["config"]["description"] = json!(text);
        let saved = server.put("/api/tools/weather", &form).await.expect(200)["tool"].clone();
        assert_eq!((&saved["description"], &saved["config"]["description"]), (&json!("Old words"), &json!(text)));
        let found = server.get("/api/tools?q=new+words").await.expect(200);
        assert_eq!(found.as_array().unwrap().len(), usize::from(text.contains("New")), "{found}");
        let schemas = server.get("/api/tools/registry/schemas?format=openai").await.expect(200);
        schemas["schemas"][0]["function"]["description"].as_str().unwrap().to_owned()
    };
    assert_eq!(described("New words").await, "New words");
    assert_eq!(described(" ").await, "Old words", "an empty one is none");
    assert_eq!(described(&"é".repeat(4001)).await, format!("{}…", "é".repeat(4000)), "every request carries it");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_and_its_key_named_and_an_empty_one_is_kept() {
    let server = TestServer::bare().await;
    let rows = [
        ("http_request", "base_url", json!(17)),
        ("http_request", "base_url", json!("weather.example")),
        ("http", "base_url", json!("ftp://weather.example")),
        ("http_request", "base_url", json!("http://ada:pw@weather.example")),
        ("http_request", "timeout", json!("soon")),
        ("http_request", "timeout", json!(0)),
        ("http_request", "timeout", json!("-5")),
        ("http_request", "timeout", json!(3601)),
        ("http_request", "timeout", json!([])),
        ("http_request", "headers", json!("Accept: text/plain")),
        ("http_request", "headers", json!({"Accept": 5})),
        ("http_request", "headers", json!({"X\r\nY": "z"})),
        ("http_request", "headers", json!({"X": "y\r\nZ: z"})),
        ("http_request", "headers", json!({"Host": "elsewhere.example"})),
        ("http_request", "auth_token", json!(5)),
        ("http_request", "auth_token", json!("two\nlines")),
        ("web_search", "endpoint", json!("nowhere")),
        ("web_search", "provider", json!("altavista")),
        ("web_search", "provider", json!(5)),
        ("web_search", "max_results", json!("many")),
        ("web_search", "max_results", json!(0)),
        ("web_search", "max_results", json!(51)),
        ("web_search", "api_key", json!([])),
        ("code_executor", "allowed_languages", json!("python,cobol")),
        ("code_executor", "allowed_languages", json!(5)),
        ("code_executor", "max_memory", json!("a lot")),
        ("code_executor", "max_memory", json!(1)),
        ("code_executor", "max_memory", json!("-5")),
        ("code_executor", "sandbox_enabled", json!("perhaps")),
        ("code_executor", "auto_execute", json!("perhaps")),
        ("mcp", "url", json!("nowhere")),
        ("mcp", "command", json!(["npx"])),
        ("mcp", "command", json!("/bin/sh")),
        ("mcp", "args", json!({"a": 1})),
        ("mcp", "env", json!({"A=B": "c"})),
        ("mcp", "include", json!(5)),
    ];
    for (kind, key, value) in rows {
        let body = tool("kept", kind, json!({key: value}));
        server.post(TOOLS.path, &tool("kept", kind, json!({key: null}))).await.expect(201);
        server.put("/api/tools/kept", &tool("kept", kind, json!({key: " "}))).await.expect(200);
        for (method, path) in [("POST", TOOLS.path), ("PUT", "/api/tools/kept")] {
            let body = if method == "POST" { with(&body, "name", json!("new")) } else { body.clone() };
            let request =
                server.request(method, path).header("content-type", "application/json").body(body.to_string());
            let refused = Answer::of(request).await.expect(422);
            let first = &refused["errors"][0];
            assert_eq!(
                (&first["loc"], refused["errors"].as_array().unwrap().len()),
                (&json!(["body", "config", key]), 1),
                "{method} {body} {refused}"
            );
            assert!(first["msg"].as_str().unwrap().starts_with("Input should"), "{refused}");
        }
        server.delete("/api/tools/kept").await.expect(200);
    }
    assert_eq!(server.get(TOOLS.path).await.expect(200), json!([]));
}

#[tokio::test]
async fn credentials_are_masked_kept_and_stay_with_their_server() {
    let server = TestServer::bare().await;
    let rows = [
        ("http_request", "base_url", "auth_token"),
        ("http_request", "endpoint", "api_key"),
        ("web_search", "endpoint", "api_key"),
        ("mcp", "url", "auth_token"),
    ];
    for (kind, place, key) in rows {
        let entry = tool(
            "a",
            kind,
            json!({place: "http://127.0.0.1:1", key: "canary-7f3a9c-kept", "headers": {"X-Api-Key": "Basic canary-two",
                "X-Shop": "canary-three", "Accept-Language": "pt"}}),
        );
        let shown = server.post(TOOLS.path, &entry).await.expect(201)["tool"].clone();
        // What a header that nobody knows means is for its server to say.
        let headers = json!({"X-Api-Key": MASK, "X-Shop": MASK, "Accept-Language": "pt"});
        assert_eq!((&shown["config"][key], &shown["config"]["headers"]), (&json!(MASK), &headers));
        server.put("/api/tools/a", &with(&shown, "description", json!("x"))).await.expect(200);
        let stored = TOOLS.stored(server.folder());
        assert!(
            ["canary-7f3a9c-kept", "Basic canary-two", "canary-three"].iter().all(|kept| stored.contains(kept)),
            "{stored}"
        );

        let mut moved = shown.clone();
        moved["config"][place] = json!("http://elsewhere.example:1");
        let refused = server.put("/api/tools/a", &moved).await.expect(422);
        assert!(refused["errors"][0]["msg"].as_str().unwrap().contains("another server"), "{kind} {refused}");
        let mut moved_by_type = shown.clone();
        moved_by_type["type"] = json!("custom");
        server.put("/api/tools/a", &moved_by_type).await.expect(422);
        moved["config"][key] = json!("another-canary-key");
        moved["config"]["headers"] = json!({});
        server.put("/api/tools/a", &moved).await.expect(200);
        server.delete("/api/tools/a").await.expect(200);
    }
    // The provider decides where a key goes, if no endpoint does.
    let entry = tool("a", "web_search", json!({"provider": "brave", "api_key": "canary-7f3a9c-kept"}));
    let shown = server.post(TOOLS.path, &entry).await.expect(201)["tool"].clone();
    let mut moved = shown.clone();
    moved["config"]["provider"] = json!("serper");
    server.put("/api/tools/a", &moved).await.expect(422);
}

#[tokio::test]
async fn a_tool_is_tested_in_the_words_of_the_original() {
    let upstream = Upstream::start(|_, nth| json_reply(["200 OK", "404 Not Found"][nth % 2], &json!({}))).await;
    let server = TestServer::bare().await;
    let base = |name: &str, kind: &str| json!({"tool": name, "type": kind, "config_valid": true, "config_saved": true, "enabled": true});
    let add = async |name: &str, kind: &str, config: Value| {
        server.post(TOOLS.path, &tool(name, kind, config)).await.expect(201);
    };
    let test = async |path: &str, body: &Value| server.post(&format!("/api/tools/{path}"), body).await;
    let has = |reply: &Value, expected: &Value| {
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&reply[key], value, "{key} of {reply}");
        }
    };

    server.post(TOOLS.path, &with(&tool("off", "http_request", json!({})), "enabled", json!(false))).await.expect(201);
    let off = test("off/test", &json!(null)).await.expect(200);
    let expected = json!({"tool": "off", "type": "http_request", "config_valid": true, "config_saved": true, "enabled": false,
        "success": false, "connectivity_tested": false, "connectivity_status": "skipped",
        "message": "Tool is disabled. Enable it to test connectivity.",
        "warning": "Tool configuration is saved but tool is disabled"});
    assert_eq!(off, expected);

    add("odd", "custom", json!({})).await;
    let odd = test("odd/test", &json!({})).await.expect(200);
    let expected = json!({"success": false, "config_valid": false, "connectivity_tested": false, "connectivity_status": "failed",
        "message": "Tool could not be instantiated from configuration", "error": "Invalid tool configuration"});
    has(&odd, &expected);

    add("web", "http_request", json!({"base_url": upstream.url()})).await;
    let skipped = test("web/test?skip_connectivity=true", &json!({"any": ["thing"]})).await.expect(200);
    has(&skipped, &base("web", "http_request"));
    has(
        &skipped,
        &json!({"success": true, "connectivity_tested": false, "connectivity_status": "skipped",
        "message": "Tool configuration is valid. Connectivity test skipped."}),
    );
    assert_eq!(skipped["schema"]["name"], "web");
    assert_eq!(upstream.seen().len(), 0);

    let reached = test("web/test", &json!({})).await.expect(200);
    has(
        &reached,
        &json!({"success": true, "connectivity_tested": true, "connectivity_status": "reachable",
        "status_code": 200, "endpoint_url": upstream.url(), "message": "Tool endpoint is reachable (HTTP 200)"}),
    );
    assert!(reached["latency"].as_f64().unwrap() > 0.0);
    let objects = test("web/test", &json!({})).await.expect(200);
    has(
        &objects,
        &json!({"success": false, "connectivity_tested": true, "connectivity_status": "unreachable",
        "status_code": 404, "message": "Tool endpoint is unreachable (HTTP 404)"}),
    );

    add("dead", "http_request", json!({"base_url": "http://127.0.0.1:1"})).await;
    let dead = test("dead/test", &json!({})).await.expect(200);
    has(
        &dead,
        &json!({"success": false, "connectivity_tested": true, "connectivity_status": "unreachable",
        "endpoint_url": "http://127.0.0.1:1", "error": "Connection refused",
        "message": "Cannot connect to tool endpoint. The target service may not be running.",
        "suggestion": "Ensure the tool's target service is running and accessible, or use 'skip_connectivity=true' to save without testing."}),
    );

    assert_eq!(test("nobody/test", &json!({})).await.expect(404)["detail"], "Tool 'nobody' not found");
    assert_eq!(test("web/test", &json!([])).await.expect(422)["errors"][0]["loc"], json!(["body"]));
    let bare = Answer::of(server.request("POST", "/api/tools/odd/test")).await;
    assert_eq!(bare.status, 200, "no body at all");
}

#[tokio::test]
async fn the_types_are_those_of_the_original_and_mcp() {
    let server = TestServer::bare().await;
    let types = server.get("/api/tools/types/available").await.expect(200)["tool_types"].clone();
    let names: Vec<_> = types.as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(names, ["http_request", "web_search", "code_executor", "mcp"]);
    let required: Vec<_> = types.as_array().unwrap().iter().map(|one| one["required_config"].clone()).collect();
    assert_eq!(required, [json!(["base_url"]), json!(["api_key", "endpoint"]), json!([]), json!(["url"])]);
}

#[tokio::test]
async fn the_schemas_of_all_enabled_tools_are_told_in_two_forms() {
    let server = TestServer::bare().await;
    for (name, kind, config) in [
        ("weather", "http_request", json!({"base_url": "http://127.0.0.1:1"})),
        ("Küche 7", "http", json!({"base_url": "http://127.0.0.1:1"})),
        ("web", "web_search", json!({"max_results": "7", "description": "As the form has it"})),
        ("code", "code_executor", json!({"allowed_languages": "javascript,bash"})),
        ("odd", "custom", json!({})),
    ] {
        server.post(TOOLS.path, &tool(name, kind, config)).await.expect(201);
    }
    server.post(TOOLS.path, &with(&tool("off", "http_request", json!({})), "enabled", json!(false))).await.expect(201);
    let described = with(&tool("weather", "http_request", json!({})), "description", json!("Forecasts by city"));
    server.put("/api/tools/weather", &described).await.expect(200);

    let reply = server.get("/api/tools/registry/schemas").await.expect(200);
    assert_eq!((&reply["success"], &reply["count"], reply.get("problems")), (&json!(true), &json!(4), None));
    let schemas = reply["schemas"].as_array().unwrap();
    let names: Vec<_> = schemas.iter().map(|schema| schema["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["weather", "Küche 7", "web", "code"]);
    assert_eq!(schemas[0]["description"], "Forecasts by city");
    assert_eq!(schemas[2]["description"], "As the form has it", "where the GUI puts it");
    let properties = |nth: usize| schemas[nth]["parameters"]["properties"].clone();
    assert_eq!(
        (&schemas[0]["parameters"]["required"], properties(0)["method"]["default"].as_str()),
        (&json!(["url"]), Some("GET"))
    );
    let types =
        [("url", "string"), ("method", "string"), ("params", "object"), ("data", "object"), ("headers", "object")];
    for (name, kind) in types {
        assert_eq!(properties(0)[name]["type"], kind, "{name}");
    }
    assert_eq!(
        (&schemas[2]["parameters"]["required"], &properties(2)["max_results"]["default"]),
        (&json!(["query"]), &json!(7))
    );
    assert_eq!(
        (&schemas[3]["parameters"]["required"], &properties(3)["language"]["enum"]),
        (&json!(["code"]), &json!(["javascript", "bash"]))
    );

    let reply = server.get("/api/tools/registry/schemas?format=openai").await.expect(200);
    let functions = reply["schemas"].as_array().unwrap();
    assert_eq!(functions[0], json!({"type": "function", "function": schemas[0]}));
    let name = functions[1]["function"]["name"].as_str().unwrap();
    assert!(name.starts_with("K_che_7_") && name.is_ascii(), "{name}");
    let again = server.restart().await.get("/api/tools/registry/schemas?format=openai").await.expect(200);
    assert_eq!(again, reply, "names stay the same");
}

#[tokio::test]
async fn a_tool_that_cannot_be_run_says_why() {
    let server = TestServer::bare().await;
    let execute = async |name: &str, body: Value| server.post(&format!("/api/tools/{name}/execute"), &body).await;
    assert_eq!(execute("nobody", json!({})).await.expect(404)["detail"], "Tool 'nobody' not found");
    assert_eq!(execute("nobody__echo", json!({})).await.expect(404)["detail"], "Tool 'nobody__echo' not found");

    server.post(TOOLS.path, &tool("odd", "custom", json!({}))).await.expect(201);
    let odd = execute("odd", json!({"arguments": {}})).await.expect(200);
    assert_eq!((&odd["success"], &odd["status"], &odd["output"]), (&json!(false), &json!("error"), &json!(null)));
    assert_eq!(odd["error"], "Tool 'odd': unsupported type 'custom'");

    let web = tool("web", "http_request", json!({"base_url": "http://127.0.0.1:1"}));
    server.post(TOOLS.path, &web).await.expect(201);
    let refused = execute("web", json!({"arguments": {"method": "BREW", "extra": 1}})).await.expect(422);
    assert_eq!(refused["errors"][0]["loc"], json!(["body", "arguments"]));
    let msg = refused["errors"][0]["msg"].as_str().unwrap();
    assert!(["url", "method", "extra"].iter().all(|name| msg.contains(name)), "{msg}");
    for (body, place) in [
        (json!({"arguments": []}), json!(["body", "arguments"])),
        (json!({"arguments": {"url": "/"}, "tool": "echo"}), json!(["body", "tool"])),
        (json!({"arguments": {"url": "/"}, "tool": 5}), json!(["body", "tool"])),
        (json!([]), json!(["body"])),
    ] {
        assert_eq!(execute("web", body.clone()).await.expect(422)["errors"][0]["loc"], place, "{body}");
    }
    let dead = execute("web", json!({"arguments": {"url": "/"}})).await.expect(200);
    assert_eq!((&dead["success"], &dead["status"]), (&json!(false), &json!("error")));
    server.put("/api/tools/web", &with(&web, "enabled", json!(false))).await.expect(200);
    let off = execute("web", json!({"arguments": {"url": "/"}})).await.expect(200);
    assert_eq!((&off["status"], &off["error"]), (&json!("error"), &json!("Tool 'web' is disabled")));
    server.put("/api/tools/web", &without(&web, "config")).await.expect(200);
    let bare = execute("web", json!({"arguments": {"url": "/"}})).await.expect(200);
    assert!(bare["error"].as_str().unwrap().contains("base_url"), "{bare}");
}

#[tokio::test]
async fn no_more_tools_run_at_once_than_the_operator_allows() {
    let goes = Arc::new(Notify::new());
    let word = goes.clone();
    let upstream = Upstream::start(move |_, _| {
        let mut acts = vec![Act::Wait(word.clone())];
        acts.extend(json_reply("200 OK", &json!({})));
        acts
    })
    .await;
    let server = TestServer::with(&[("TOOLS_MAX_CONCURRENT", "2")]).await;
    server.post(TOOLS.path, &tool("slow", "http_request", json!({"base_url": upstream.url()}))).await.expect(201);
    let body = json!({"arguments": {"url": "/"}});
    let runs = join_all((0..3).map(|_| server.post("/api/tools/slow/execute", &body)));
    let test = server.post("/api/tools/slow/test", &body);
    let watch = async {
        wait_for(async || upstream.seen().len() == 2).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(upstream.seen().len(), 2, "two run, the others wait");
        for done in 0..4 {
            goes.notify_one();
            wait_for(async || upstream.seen().len() >= (done + 3).min(4)).await;
        }
    };
    let (runs, test, ()) = tokio::join!(runs, test, watch);
    assert!(runs.iter().all(|run| run.json()["status"] == "success"), "{runs:?}");
    assert_eq!(test.expect(200)["success"], true);
}
