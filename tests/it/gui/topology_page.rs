//! The topology page: the graph of what is configured, and tests of its nodes.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use crate::common::databases::{SqliteFile, sqlite};
use crate::common::program::free_port;
use crate::common::upstream::json_reply;
use crate::common::{TestServer, Upstream};

const TYPES: [&str; 9] =
    ["start", "intent_router", "planner", "llm_agent", "tool_executor", "grounding", "memory_store", "audit", "end"];

/// A server with one of everything, and some that don't work.
struct Site {
    server: TestServer,
    _upstreams: [Upstream; 3],
    _file: SqliteFile,
}

impl Site {
    async fn open() -> Self {
        let llm = Upstream::saying("Hello.").await;
        let agent = Upstream::start(|_, _| json_reply("200 OK", &json!({"answer": "Call them."}))).await;
        let weather = Upstream::start(|_, _| json_reply("200 OK", &json!({"degrees": 9}))).await;
        let file = sqlite(&["CREATE TABLE plans (name TEXT)", "INSERT INTO plans VALUES ('gold')"]).await;
        let gone = format!("http://127.0.0.1:{}", free_port());
        let agents = json!({
            "retention": {"url": agent.url(), "metadata": {"description": "Keeps customers"}},
            "gone": {"url": gone, "timeout_seconds": 2},
            "off": {"url": gone, "enabled": false}
        });
        let sources = json!({"shop": {"type": "sqlite", "url": file.url()}});
        let tools = json!({
            "weather": {"type": "http_request", "config": {"base_url": weather.url()}},
            "odd": {"type": "telepathy"}
        });
        let (agents, sources, tools) = (agents.to_string(), sources.to_string(), tools.to_string());
        let variables = [
            ("EXTERNAL_AGENTS", agents.as_str()),
            ("DATASOURCES", &sources),
            ("TOOLS", &tools),
            ("CACHE_ENABLED", "false"),
        ];
        let server = TestServer::with_llm(&llm, &variables).await;
        Self { server, _upstreams: [llm, agent, weather], _file: file }
    }

    async fn graph(&self) -> Value {
        self.server.get("/api/topology/graph").await.expect(200)
    }

    async fn test(&self, component: &str) -> Value {
        let body = json!({"component_id": component, "test_data": {}});
        let result = self.server.post("/api/topology/test-component", &body).await.expect(200);
        assert_eq!(result["component_id"], component);
        let told = if result["success"] == true { &result["message"] } else { &result["error"] };
        assert!(told.is_string() && result["status"].is_string(), "{result}");
        result
    }
}

fn nodes(graph: &Value) -> BTreeMap<String, Value> {
    let nodes = graph["nodes"].as_array().unwrap().iter();
    nodes.map(|node| (node["id"].as_str().unwrap().to_owned(), node.clone())).collect()
}

#[tokio::test]
async fn the_graph_shows_what_is_configured_and_how_it_is() {
    let site = Site::open().await;
    let graph = site.graph().await;
    let nodes = nodes(&graph);
    assert_eq!(graph["nodes"].as_array().unwrap().len(), nodes.len(), "ids differ");
    for node in nodes.values() {
        assert!(TYPES.iter().any(|known| node["type"] == *known), "{node}");
        assert!(["label", "description", "status"].iter().all(|member| node[*member].is_string()), "{node}");
    }
    let expected = [
        ("start", "start", "idle"),
        ("intent_router", "intent_router", "idle"),
        ("planner", "planner", "idle"),
        ("llm_agent", "llm_agent", "idle"),
        ("agent:retention", "llm_agent", "idle"),
        ("agent:gone", "llm_agent", "idle"),
        ("agent:off", "llm_agent", "disabled"),
        ("datasource:shop", "grounding", "idle"),
        ("tool:weather", "tool_executor", "idle"),
        ("tool:odd", "tool_executor", "unhealthy"),
        ("memory_store", "memory_store", "idle"),
        ("cache", "memory_store", "disabled"),
        ("audit", "audit", "idle"),
        ("end", "end", "idle"),
    ];
    for (id, kind, status) in expected {
        assert_eq!((&nodes[id]["type"], &nodes[id]["status"]), (&json!(kind), &json!(status)), "{id}");
    }
    assert_eq!(nodes.len(), expected.len());
    assert_eq!(nodes["agent:retention"]["label"], "retention");
    assert!(nodes["agent:retention"]["description"].as_str().unwrap().ends_with("Keeps customers"));

    let edges = graph["edges"].as_array().unwrap();
    let known: HashSet<_> = nodes.keys().map(String::as_str).collect();
    for edge in edges {
        assert!(known.contains(edge["source"].as_str().unwrap()) && known.contains(edge["target"].as_str().unwrap()));
        assert!(edge["label"].is_string());
    }
    let has =
        |source: &str, target: &str| edges.iter().any(|edge| edge["source"] == source && edge["target"] == target);
    assert!(has("start", "intent_router") && has("planner", "tool:weather") && has("audit", "end"));
    assert!(!has("planner", "agent:off"), "nothing goes there");
}

#[tokio::test]
async fn what_keeps_failing_and_what_is_missing_is_shown_as_that() {
    let site = Site::open().await;
    let call = json!({"prompt": "Hello"});
    for _ in 0..6 {
        site.server.post("/api/agents/gone/call", &call).await;
    }
    assert_eq!(nodes(&site.graph().await)["agent:gone"]["status"], "unhealthy");
    site.server.delete("/api/tools/weather").await.expect(200);
    assert!(!nodes(&site.graph().await).contains_key("tool:weather"));

    let bare = TestServer::bare().await;
    let graph = bare.get("/api/topology/graph").await.expect(200);
    assert_eq!(nodes(&graph)["llm_agent"]["status"], "not_configured");
    let gone = format!("http://127.0.0.1:{}", free_port());
    bare.put("/api/llm/config", &json!({"base_url": gone, "default_model": "m"})).await.expect(200);
    // The first look has somebody ask; the page looks again.
    let mut status = json!(null);
    for _ in 0..500 {
        status = nodes(&bare.get("/api/topology/graph").await.expect(200))["llm_agent"]["status"].clone();
        if status == "unhealthy" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(status, "unhealthy");
}

#[tokio::test]
async fn what_failed_a_test_is_shown_as_that_until_it_is_changed() {
    let site = Site::open().await;
    for component in ["agent:gone", "agent:off", "agent:retention", "tool:weather"] {
        site.test(component).await;
    }
    let nodes_now = nodes(&site.graph().await);
    let status = |id: &str| nodes_now[id]["status"].clone();
    assert_eq!(
        ["agent:gone", "agent:off", "agent:retention", "tool:weather"].map(status),
        ["unhealthy", "disabled", "idle", "idle"].map(|word| json!(word))
    );
    let why = nodes_now["agent:gone"]["description"].as_str().unwrap();
    assert!(why.contains("refused the connection") && why.chars().count() <= 200, "{why}");

    let mut changed = site.server.get("/api/agents/gone").await.expect(200);
    changed["timeout_seconds"] = json!(3);
    site.server.put("/api/agents/gone", &changed).await.expect(200);
    assert_eq!(nodes(&site.graph().await)["agent:gone"]["status"], "idle", "nobody has tested this one");
}

#[tokio::test]
async fn a_hundred_tools_are_shown_and_the_others_counted() {
    let server = TestServer::bare().await;
    for number in 0..103 {
        let tool = json!({"name": format!("t{number}"), "type": "code_executor"});
        server.post("/api/tools", &tool).await.expect(201);
    }
    let graph = server.get("/api/topology/graph").await.expect(200);
    assert_eq!((nodes(&graph).len(), &graph["left_out"]), (8 + 100, &json!(3)));
}

#[tokio::test]
async fn each_node_is_tested_by_its_own_module() {
    let site = Site::open().await;
    let failing = [
        ("agent:gone", "refused the connection"),
        ("agent:off", "is disabled"),
        ("tool:odd", "could not be instantiated"),
        ("cache", "CACHE_ENABLED"),
    ];
    for id in nodes(&site.graph().await).keys() {
        let result = site.test(id).await;
        match failing.iter().find(|(failing, _)| failing == id) {
            Some((_, why)) => {
                assert_eq!((&result["success"], &result["status"]), (&json!(false), &json!("failed")), "{result}");
                assert!(result["error"].as_str().unwrap().contains(why), "{result}");
            }
            None => assert_eq!((&result["success"], &result["status"]), (&json!(true), &json!("healthy")), "{result}"),
        }
    }
    assert_eq!(site.test("llm_agent").await["message"], "Model 'stub-model' has answered");
    for unknown in ["tool:none", "agent:none", "datasource:none", "nothing", ""] {
        let body = json!({"component_id": unknown});
        let reply = site.server.post("/api/topology/test-component", &body).await.expect(404);
        assert!(reply["detail"].as_str().unwrap().ends_with("not found"), "{reply}");
    }
}
