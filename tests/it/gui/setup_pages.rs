//! Routers, planners, credentials, certificates, timeouts; and what is no part of this server.

use serde_json::{Value, json};

use crate::common::chat::{catalog, llm, rest, source};
use crate::common::{TestServer, Upstream};

#[tokio::test]
async fn the_page_of_routers_and_planners_shows_and_tries_the_real_ones() {
    let (llm, crm) = (llm("{}", "").await, source(json!([])).await);
    let sources = catalog(&[("crm", rest(&crm.url()))]);
    let variables = [("DATASOURCES", sources.as_str()), ("INTENT_CLASSIFIER", "rules")];
    let server = TestServer::with_llm(&llm, &variables).await;

    for (list, kind) in [("/api/routers", "rule_based"), ("/api/planners", "parallel")] {
        let all = server.get(list).await.expect(200);
        let one = &all.as_array().unwrap_or_else(|| panic!("the page reads an array: {all}"))[0];
        assert_eq!((&one["name"], &one["type"], &one["enabled"]), (&json!("default"), &json!(kind), &json!(true)));
        assert!(one["description"].as_str().unwrap().ends_with("can't be changed here."));
        assert_eq!(&server.get(&format!("{list}/default")).await.expect(200), one);
        let unknown = server.get(&format!("{list}/other")).await.expect(404);
        assert!(unknown["detail"].as_str().unwrap().contains("'other' not found"), "{unknown}");
    }

    let tried = json!({"input_text": "Analyze customer churn patterns", "context": {}});
    let reply = server.post("/api/routers/default/test", &tried).await.expect(200);
    assert_eq!((&reply["success"], &reply["classification"]["intent"]), (&json!(true), &json!("churn_analytics")));
    assert!(reply["classification"]["confidence"].is_number());
    let tried = json!({"user_input": "Select all plans from crm", "intent": "data_query", "context": {}});
    let reply = server.post("/api/planners/default/test", &tried).await.expect(200);
    assert_eq!(reply["success"], true);
    let tasks: Vec<_> =
        reply["plan"]["tasks"].as_array().unwrap().iter().map(|task| (&task["action"], &task["target"])).collect();
    assert_eq!(tasks, [(&json!("data_query"), &json!("crm")), (&json!("llm_call"), &Value::Null)]);
    assert_eq!(server.post("/api/routers/default/test", &json!({})).await.expect(200)["success"], true, "a sample");
    assert_eq!((llm.chats().len(), crm.seen().len()), (0, 0), "nothing was carried out");
    assert_eq!(server.get("/v1/executions").await.expect(200)["count"], 0);
}

#[tokio::test]
async fn where_there_is_nothing_to_manage_the_pages_are_told_where_it_is_managed() {
    let server = TestServer::with(&[("ORCHESTRATION_TIMEOUT_SECONDS", "120")]).await;
    let credentials = server.get("/api/credentials").await.expect(200);
    assert_eq!((&credentials["credentials"], &credentials["total"]), (&json!([]), &json!(0)));
    let certificates = server.get("/api/certs").await.expect(200);
    for member in ["tls_enabled", "cert_exists", "key_exists"] {
        assert_eq!(certificates[member], false, "{member}");
    }
    assert!(certificates["cert_path"].is_string() && certificates["key_path"].is_string());
    for reply in [credentials, certificates] {
        assert!(reply["message"].as_str().unwrap().len() > 40, "{reply}");
    }
    assert_eq!(server.get("/api/config/timeout").await.expect(200)["frontend_timeout_ms"], 130_000);
}

#[tokio::test]
async fn nothing_edits_files_runs_commands_or_plays_the_administrator() {
    let (llm, body) = (Upstream::saying("Hi.").await, json!({"path": "/etc/passwd", "content": "x"}));
    let server = TestServer::with_llm(&llm, &[]).await;
    let paths = [
        "/api/files/list",
        "/api/files/content",
        "/api/db/status",
        "/api/admin/users",
        "/api/upgrades/check",
        "/api/monitor/services",
        "/api/monitor/services/ollama/restart",
        "/api/config/env",
        "/api/topology/nodes/llm_agent/config",
    ];
    for path in paths {
        assert_eq!(server.get(path).await.expect(404)["detail"], "Not Found", "{path}");
        server.post(path, &body).await.expect(404);
        server.put(path, &body).await.expect(404);
    }
}
