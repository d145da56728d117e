//! What `deploy/` asks of /metrics is there: every metric of the alerts and of the dashboard exists, and a real Prometheus answers
//! every one of their queries.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::Program;
use crate::common::prometheus::Prometheus;

fn deploy(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// Queries of the dashboard's panels, with the variables filled in that Grafana fills in.
fn panels() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(deploy("grafana/dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let written = targets.map(|target| target["expr"].as_str().unwrap());
    written.map(|query| query.replace("$__rate_interval", "1m").replace("$instance", ".*")).collect()
}

/// Names of the metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:orchestrator|process)_[a-z0-9_]+\b").unwrap();
    name.find_iter(text).map(|name| name.as_str().to_owned()).collect()
}

/// What moves the figures: chats of every kind, streams, and one that fails.
async fn use_servers(demo: &Program, lonely: &Program) {
    let metadata = json!({"use_cache": false});
    for prompt in ["How much revenue did we make by month?", "Ask the retention agent what to do", "Hello"] {
        demo.client.post("/v1/chat", &json!({"prompt": prompt, "metadata": metadata})).await.expect(200);
    }
    demo.client.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
    demo.client.chat_events(&json!({"prompt": "Hello", "metadata": metadata})).await;
    lonely.client.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(502);
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_is_there() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let demo = Program::start("demo", folder.path(), &[]).await;
    // The demo keeps clear of stores; this one has two that are away, as is its LLM.
    let variables = [
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("POSTGRES_DSN", "postgres://studio@127.0.0.1:1/studio"),
        ("LLM_BASE_URL", "http://127.0.0.1:1"),
        ("LLM_DEFAULT_MODEL", "nobody's"),
        ("LLM_MAX_RETRIES", "2"),
    ];
    let lonely = Program::start("serve", other.path(), &variables).await;
    use_servers(&demo, &lonely).await;

    let queries = panels();
    let alerts = std::fs::read_to_string(deploy("prometheus/alerts.yml")).unwrap();
    let asked_for: BTreeSet<_> = metrics(&alerts).into_iter().chain(queries.iter().flat_map(|q| metrics(q))).collect();
    assert!(queries.len() > 30 && asked_for.len() > 25, "{queries:?} {asked_for:?}");
    let there = metrics(&[demo.metrics().await, lonely.metrics().await].join("\n"));
    let missing: Vec<_> = asked_for.difference(&there).collect();
    assert!(missing.is_empty(), "not in /metrics: {missing:?}");

    let rules = deploy("prometheus/alerts.yml");
    let Some(prometheus) = Prometheus::start("orchestrator-studio", &[&demo, &lonely], Some(&rules)) else { return };
    prometheus.query("count(up == 1) == 2").await;
    // Rates need two looks at what moves.
    for _ in 0..2 {
        use_servers(&demo, &lonely).await;
        prometheus.query("max(changes(process_cpu_seconds_total[1m])) > 1").await;
    }
    for query in queries {
        prometheus.query(&query).await;
    }
    let are_well = |reply: &Value| {
        let groups = reply["data"]["groups"].as_array().map_or(&[][..], Vec::as_slice);
        let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        rules.len() > 10 && rules.iter().all(|rule| rule["health"] == "ok")
    };
    prometheus.wait_for("/api/v1/rules", &[], are_well).await;
    let away = prometheus.query("ALERTS{alertname=\"OrchestratorStoreDisconnected\"}").await;
    assert_eq!(away.len(), 2, "{away:?}");
}
