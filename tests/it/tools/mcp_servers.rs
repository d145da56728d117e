//! Real MCP servers, from the package registries, over both transports and in both eras of the protocol.

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::common::mcp::{
    Listening, RealServer, allowing, call, configure, configure_stdio, everything, function, functions, python, test,
    try_call,
};
use crate::common::sources::wait_for;

const LEGACY: &str = "2025-11-25";
const NEWEST: &str = "2026-07-28";

/// Everything that a user does with a server: test it, look at its functions, call them by either name.
async fn tour(server: &TestServer, transport: &str, protocol: &str, real: &Facts) {
    let tested = test(server).await;
    assert_eq!((&tested["success"], &tested["connectivity_status"]), (&json!(true), &json!("reachable")), "{tested}");
    assert_eq!(tested["transport"], transport);
    assert_eq!(tested["protocol_version"], protocol);
    assert_eq!(tested["server"]["name"], real.name, "{tested}");
    let tools = tested["tools"].as_array().unwrap();
    assert_eq!(tested["message"], format!("MCP server answered with {} tools", tools.len()));
    let add = tools.iter().find(|tool| tool["name"] == real.add).unwrap();
    assert_eq!((&add["description"], add.get("changed")), (&json!(real.description), None));

    let (names, problems) = functions(server).await;
    assert_eq!((names.len(), problems.as_str()), (tools.len(), "null"));
    let name = format!("mcp__{}", real.add);
    let schema = function(server, &name).await.unwrap();
    assert_eq!(schema["description"], real.description);
    assert_eq!(schema["parameters"]["required"], json!(["a", "b"]), "{schema}");
    let openai = server.get("/api/tools/registry/schemas?format=openai").await.expect(200);
    let openai = openai["schemas"].as_array().unwrap().iter().map(|tool| &tool["function"]["parameters"]["required"]);
    assert!(openai.into_iter().any(|required| *required == json!(["a", "b"])));

    let path = format!("/api/tools/{name}/execute");
    let by_path = server.post(&path, &json!({"arguments": {"a": 2, "b": 40}})).await.expect(200);
    let by_body = call(server, real.add, json!({"a": 2, "b": 40})).await;
    for done in [by_path, by_body] {
        assert_eq!((&done["status"], &done["output"]), (&json!("success"), &real.sum), "{done}");
        let metadata = &done["metadata"];
        assert_eq!((&metadata["tool"], &metadata["protocol_version"]), (&json!(real.add), &json!(protocol)), "{done}");
        assert_eq!(metadata["server"]["name"], real.name);
    }
    let wrong = try_call(server, real.add, json!({"a": "two"})).await.expect(422);
    assert_eq!(wrong["errors"][0]["loc"], json!(["body", "arguments"]));
    let unknown = try_call(server, "subtract", json!({})).await.expect(422);
    assert!(unknown.to_string().contains(real.add), "{unknown}");
}

/// What a real server is known to say.
struct Facts {
    name: &'static str,
    add: &'static str,
    description: &'static str,
    sum: Value,
}

fn everything_facts() -> Facts {
    let sum = json!("The sum of 2 and 40 is 42.");
    let name = "mcp-servers/everything";
    Facts { name, add: "get-sum", description: "Returns the sum of two numbers", sum }
}

fn python_facts(name: &'static str) -> Facts {
    Facts { name, add: "add", description: "Adds two numbers", sum: json!({"result": 42}) }
}

async fn over_stdio(real: &RealServer, protocol: &str, facts: &Facts) {
    let server = allowing(&[&real.command], &[]).await;
    configure_stdio(&server, real).await;
    tour(&server, "stdio", protocol, facts).await;
}

async fn over_http(real: &RealServer, protocol: &str, facts: &Facts) {
    let listening = Listening::start(real).await;
    let server = TestServer::bare().await;
    configure(&server, &json!({"url": listening.url()})).await;
    tour(&server, "streamable_http", protocol, facts).await;
}

#[tokio::test]
async fn the_reference_server_over_stdio() {
    over_stdio(&everything(), LEGACY, &everything_facts()).await;
}

#[tokio::test]
async fn the_reference_server_over_http() {
    over_http(&everything(), LEGACY, &everything_facts()).await;
}

#[tokio::test]
async fn the_python_sdk_of_today_over_stdio() {
    over_stdio(&python(2), NEWEST, &python_facts("python-2")).await;
}

#[tokio::test]
async fn the_python_sdk_of_today_over_http() {
    over_http(&python(2), NEWEST, &python_facts("python-2")).await;
}

#[tokio::test]
async fn the_python_sdk_of_before_over_stdio() {
    over_stdio(&python(1), LEGACY, &python_facts("python-1")).await;
}

#[tokio::test]
async fn the_python_sdk_of_before_over_http() {
    over_http(&python(1), LEGACY, &python_facts("python-1")).await;
}

#[tokio::test]
async fn what_is_no_text_is_described() {
    let real = everything();
    let server = allowing(&[&real.command], &[]).await;
    configure_stdio(&server, &real).await;
    let picture = call(&server, "get-tiny-image", json!({})).await;
    let parts = picture["output"].as_array().unwrap();
    let image = parts.iter().find(|part| part["type"] == "image").unwrap();
    assert_eq!(image["mimeType"], "image/png");
    assert!(image["bytes"].as_u64().unwrap() > 1000 && image.get("data").is_none(), "{image}");
    let weather = call(&server, "get-structured-content", json!({"location": "New York"})).await;
    assert!(weather["output"]["temperature"].is_number(), "{weather}");
}

#[tokio::test]
async fn a_tool_that_fails_says_why() {
    for real in [python(1), python(2)] {
        let server = allowing(&[&real.command], &[]).await;
        configure_stdio(&server, &real).await;
        let failed = call(&server, "fail", json!({"why": "the printer is on fire"})).await;
        assert_eq!((&failed["success"], &failed["status"]), (&json!(false), &json!("failure")), "{failed}");
        assert!(failed["error"].as_str().unwrap().contains("the printer is on fire"), "{failed}");
    }
}

#[tokio::test]
async fn a_process_sees_none_of_our_variables_but_its_own() {
    let real = python(2);
    let server = allowing(&[&real.command], &[("LLM_API_KEY", "sk-of-the-server")]).await;
    let env = json!({"GITHUB_TOKEN": "ghp-a-very-long-token", "REGION": "eu"});
    configure(&server, &json!({"command": real.command, "args": real.stdio, "env": env})).await;
    // The last of the foreign ones is a variable of this very process.
    for (name, value) in [("LLM_API_KEY", "(not set)"), ("TEST_MCP_EVERYTHING", "(not set)"), ("REGION", "eu")] {
        let told = call(&server, "variable", json!({"name": name})).await;
        assert_eq!(told["output"]["result"], value, "{name}");
    }
    // It got the token, and even if it tells it, we don't.
    let told = call(&server, "variable", json!({"name": "GITHUB_TOKEN"})).await;
    assert_eq!(told["output"]["result"], "********", "{told}");
    let shown = server.get("/api/tools/mcp").await.expect(200);
    assert_eq!(shown["config"]["env"], json!({"GITHUB_TOKEN": "********", "REGION": "********"}));
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_cancelled_at_the_server() {
    for (real, is_http) in [(python(1), false), (python(2), false), (python(1), true), (python(2), true)] {
        let server = allowing(&[&real.command], &[]).await;
        let listening = if is_http { Some(Listening::start(&real).await) } else { None };
        let config = match &listening {
            Some(listening) => json!({"url": listening.url(), "timeout": 3}),
            None => json!({"command": real.command, "args": real.stdio, "timeout": 3}),
        };
        configure(&server, &config).await;
        functions(&server).await;
        let folder = tempfile::TempDir::new().unwrap();
        let waited = call(&server, "wait", json!({"folder": folder.path()})).await;
        assert_eq!(waited["status"], "timeout", "{waited}");
        assert!(folder.path().join("began").exists());
        wait_for(async || folder.path().join("cancelled").exists()).await;
        let after = call(&server, "add", json!({"a": 1, "b": 2})).await;
        assert_eq!(after["output"]["result"], 3, "{after}");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_cancels_the_call() {
    let real = python(2);
    let server = allowing(&[&real.command], &[]).await;
    configure_stdio(&server, &real).await;
    functions(&server).await;
    let folder = tempfile::TempDir::new().unwrap();
    let body = json!({"tool": "wait", "arguments": {"folder": folder.path()}});
    tokio::select! {
        answer = server.post("/api/tools/mcp/execute", &body) => panic!("{}", answer.json()),
        () = wait_for(async || folder.path().join("began").exists()) => {}
    }
    wait_for(async || folder.path().join("cancelled").exists()).await;
}

#[tokio::test]
async fn a_server_that_gets_a_tool_tells_us() {
    let real = python(1);
    let server = allowing(&[&real.command], &[]).await;
    configure_stdio(&server, &real).await;
    assert!(function(&server, "mcp__grown").await.is_none());
    call(&server, "grow", json!({})).await;
    wait_for(async || function(&server, "mcp__grown").await.is_some()).await;
    let grown = call(&server, "grown", json!({})).await;
    assert_eq!(grown["output"]["result"], "grown");
}

#[tokio::test]
async fn a_server_that_was_restarted_is_found_again() {
    for real in [everything(), python(1), python(2)] {
        let mut listening = Listening::start(&real).await;
        let server = TestServer::bare().await;
        configure(&server, &json!({"url": listening.url()})).await;
        let (tool, sum) = if real.command == "node" { ("get-sum", "42.") } else { ("add", "42") };
        call(&server, tool, json!({"a": 1, "b": 1})).await.to_string();
        listening.restart().await;
        let done = call(&server, tool, json!({"a": 2, "b": 40})).await;
        assert_eq!(done["status"], "success", "{real:?}: {done}");
        assert!(done["output"].to_string().contains(sum), "{done}");
    }
}
