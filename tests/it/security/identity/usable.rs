//! Which agents, data sources and tools a caller uses: directly, and in chat.

use std::time::Duration;

use serde_json::json;

use super::{ADMIN, client_with, with_authentication};
use crate::common::{Client, TestServer, Upstream};

async fn server_with_tools(llm: &Upstream, upstream: &Upstream) -> TestServer {
    let server = TestServer::with_llm(llm, &with_authentication(&[])).await;
    let admin = server.with_credential(ADMIN);
    let tool = |name: &str, about: &str| json!({"name": name, "type": "http_request", "description": about, "config": {"base_url": upstream.url()}});
    admin.post("/api/tools", &tool("weather", "Tells the weather of a city")).await.expect(201);
    admin.post("/api/tools", &tool("payroll", "Tells the salary of an employee")).await.expect(201);
    let agent = json!({"name": "lawyer", "url": upstream.url(), "metadata": {"description": "Knows contracts"}});
    admin.post("/api/agents", &agent).await.expect(201);
    let source = json!({"name": "ledger", "type": "api", "url": upstream.url(), "config": {"description": "Bookings"}});
    admin.post("/api/datasources", &source).await.expect(201);
    server
}

#[tokio::test]
async fn a_key_for_one_tool_calls_that_one_only() {
    let (llm, upstream) = (Upstream::saying("Done").await, Upstream::answering(json!({"sunny": true})).await);
    let server = server_with_tools(&llm, &upstream).await;
    let client = client_with(&server, json!({"role": "user", "scopes": ["tools.use:weather"]})).await;
    let arguments = json!({"arguments": {"url": "/x"}});
    let done = client.post("/api/tools/weather/execute", &arguments).await.expect(200);
    assert_eq!(done["status"], "success", "{done}");
    // What he may not use is not there; what nobody has is told in the same words.
    let hidden = client.post("/api/tools/payroll/execute", &arguments).await;
    let absent = client.post("/api/tools/nobody/execute", &arguments).await;
    assert_eq!((hidden.status, absent.status), (404, 404));
    assert_eq!(
        hidden.text.replace("payroll", "nobody").split("request_id").next(),
        absent.text.split("request_id").next()
    );
    let seen = upstream.seen().len();
    client.post("/api/agents/lawyer/call", &json!({})).await.expect(403);
    client.post("/api/datasources/ledger/query", &json!({"query": "x"})).await.expect(403);
    client.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(403);
    assert_eq!(upstream.seen().len(), seen);
}

#[tokio::test]
async fn chat_selects_offers_and_names_only_what_the_caller_may_use() {
    let (llm, upstream) = (Upstream::saying("Done").await, Upstream::answering(json!({"answer": "x"})).await);
    let server = server_with_tools(&llm, &upstream).await;
    let prompts = [
        "What is the salary of the employee Smith?",
        "Use the tool payroll to look up Smith",
        "Ask the agent lawyer about contracts",
        "Which bookings are in the ledger?",
        "Which tools, agents and data sources do you have?",
    ];
    let metadata = [
        json!({}),
        json!({"tool": "payroll", "tool_params": {"url": "/x"}}),
        json!({"tools": ["payroll"]}),
        json!({"agent": "lawyer"}),
        json!({"datasource": "ledger"}),
        json!({"intent": "external_agent"}),
        json!({"intent": "data_query"}),
        json!({"intent": "tool_execution"}),
    ];
    let client = client_with(&server, json!({"role": "user", "scopes": ["chat", "tools.use:weather"]})).await;
    for prompt in prompts {
        for metadata in &metadata {
            let body = json!({"prompt": prompt, "metadata": metadata});
            client.post("/v1/chat", &body).await;
        }
    }
    assert!(upstream.seen().is_empty(), "nothing was asked that he may not use: {:?}", upstream.seen().len());
    for seen in llm.chats() {
        let mut body = seen.body.clone();
        // The prompt itself may name anything.
        body["messages"].as_array_mut().unwrap().retain(|message| message["role"] != "user");
        let told = body.to_string();
        for name in ["salary", "contracts", "Bookings"] {
            assert!(!told.contains(name), "the model is told of {name}: {told}");
        }
    }
    // With the same words, whoever may use them all reaches them.
    let all = client_with(&server, json!({"role": "user"})).await;
    let body = json!({"prompt": prompts[2], "metadata": {"agent": "lawyer"}});
    all.post("/v1/chat", &body).await.expect(200);
    assert!(!upstream.seen().is_empty());
}

#[tokio::test]
async fn what_tries_prompts_out_uses_no_more_than_a_chat_would() {
    let (llm, upstream) = (Upstream::saying("Done").await, Upstream::answering(json!({"answer": "x"})).await);
    let server = server_with_tools(&llm, &upstream).await;
    let scopes = json!(["chat", "monitoring", "executions:all"]);
    let narrow = client_with(&server, json!({"role": "admin", "scopes": scopes})).await;
    let whole = server.with_credential(ADMIN);
    let case = json!({"prompt": "Which bookings are in the ledger?", "expect": ["datasource:ledger"],
        "metadata": {"datasource": "ledger"}, "rows": [{"answer": "x"}]});
    let evaluation = json!({"cases": [case]});
    let preview = json!({"user_input": "Ask the agent lawyer about contracts"});

    let report = narrow.post("/api/chat/evaluate", &evaluation).await.expect(200);
    assert_eq!(report["passed"], 0, "{report}");
    let plan = narrow.post("/api/planners/default/test", &preview).await;
    assert!(plan.status == 200 && !plan.text.contains("lawyer"), "{}", plan.text);
    let input = json!({"input_data": {"prompt": "Ask the agent lawyer about contracts"}});
    let started = narrow.post("/api/topology/execute", &input).await.expect(200);
    wait_for_end(&narrow, started["execution_id"].as_str().unwrap()).await;
    assert!(upstream.seen().is_empty(), "nothing was asked that he may not use");

    // Whoever may use them reaches them this way.
    let plan = whole.post("/api/planners/default/test", &preview).await;
    assert!(plan.text.contains("lawyer"), "{}", plan.text);
    let started = whole.post("/api/topology/execute", &input).await.expect(200);
    wait_for_end(&whole, started["execution_id"].as_str().unwrap()).await;
    assert!(!upstream.seen().is_empty());
}

async fn wait_for_end(client: &Client, execution: &str) {
    for _ in 0..200 {
        let found = client.get(&format!("/v1/executions/{execution}")).await.expect(200);
        if found["execution"]["status"] != "running" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the execution does not end");
}
