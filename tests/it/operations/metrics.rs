//! Figures for Prometheus: they move by what happened, stay bounded, and are in the form that it reads.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::prometheus::Prometheus;
use crate::common::upstream::{json_reply, openai, reply};
use crate::common::{Act, Client, Program, TestServer, Upstream, programs_are_required};

/// A figure by its name and labels; 0 if it is not there.
fn figure(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let of_name = text.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' ']));
    let fits = |rest: &&str| labels.iter().all(|(name, value)| rest.contains(&format!("{name}=\"{value}\"")));
    of_name.filter(fits).map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

async fn scrape(program: &Program) -> String {
    let answer = program.client.get("/metrics").await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"text/plain; version=0.0.4; charset=utf-8".parse().unwrap())
    );
    answer.text
}

/// Whether the server is degraded and reaches its LLM; a scrape does not wait for that, so the first ones don't know.
async fn verdict(client: &Client) -> [f64; 2] {
    for _ in 0..500 {
        let text = client.get("/metrics").await.text;
        if text.contains("\norchestrator_degraded") {
            return ["orchestrator_degraded", "orchestrator_llm_reachable"].map(|name| figure(&text, name, &[]));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody found out how the parts are");
}

/// An LLM that answers, unless the model is called `bad`; an agent and a data source besides.
async fn upstream() -> Upstream {
    Upstream::start(|seen, _| match (seen.path.as_str(), seen.body["model"].as_str()) {
        (_, Some("bad")) => reply("429 Too Many Requests", "text/plain", "slow down"),
        ("/execute", _) => json_reply("200 OK", &json!({"answer": "forty-two"})),
        ("/broken/execute", _) => reply("500 Oops", "text/plain", "no"),
        ("/query", _) => json_reply("200 OK", &json!({"data": [{"n": 1}]})),
        _ => openai(seen, "Hello there."),
    })
    .await
}

async fn start(upstream: &Upstream, folder: &TempDir) -> Program {
    let url = upstream.url();
    let agents = json!({"good": {"url": url}, "broken": {"url": format!("{url}/broken")},
        "gone": {"url": "http://127.0.0.1:1"}});
    let sources = json!({"crm": {"type": "api", "url": url}});
    let tools = json!({"shop": {"type": "http_request", "config": {"base_url": url}}});
    let (agents, sources, tools) = (agents.to_string(), sources.to_string(), tools.to_string());
    let variables = [
        ("LLM_BASE_URL", url.as_str()),
        ("LLM_DEFAULT_MODEL", "stub-model"),
        ("LLM_PROVIDER", "openai"),
        ("LLM_MAX_RETRIES", "1"),
        ("EXTERNAL_AGENTS", &agents),
        ("DATASOURCES", &sources),
        ("TOOLS", &tools),
    ];
    Program::start("serve", folder.path(), &variables).await
}

#[tokio::test]
async fn figures_move_by_what_happened() {
    let (upstream, folder) = (upstream().await, TempDir::new().unwrap());
    let program = start(&upstream, &folder).await;
    let client = &program.client;
    let before = scrape(&program).await;
    for _ in 0..3 {
        client.get("/api/agents/nobody").await.expect(404);
    }
    client.post("/api/llm/test", &json!({})).await.expect(200);
    client.post("/api/llm/test", &json!({"model": "bad"})).await.expect(200);
    client.chat_events(&json!({"prompt": "Hello", "metadata": {"intent": "general_llm", "use_cache": false}})).await;
    client.post("/api/agents/good/call", &json!({"x": 1})).await.expect(200);
    client.post("/api/agents/broken/call", &json!({"x": 1})).await.expect(200);
    client.post("/api/datasources/crm/query", &json!({"query": "n"})).await.expect(200);
    for _ in 0..5 {
        client.post("/api/agents/gone/call", &json!({"x": 1})).await.expect(200);
    }
    let after = scrape(&program).await;
    let moved = |name, labels: &[(&str, &str)]| figure(&after, name, labels) - figure(&before, name, labels);

    let nobody = [("method", "GET"), ("route", "/api/agents/{name}"), ("status", "4xx")];
    assert_eq!(moved("orchestrator_http_requests_total", &nobody), 3.0);
    assert_eq!(moved("orchestrator_http_request_duration_seconds_count", &nobody[..2]), 3.0);
    assert_eq!(moved("orchestrator_http_requests_total", &[("route", "/v1/chat"), ("status", "2xx")]), 1.0);
    assert_eq!(moved("orchestrator_llm_requests_total", &[("model", "stub-model"), ("outcome", "ok")]), 2.0);
    assert_eq!(moved("orchestrator_llm_requests_total", &[("model", "other"), ("outcome", "error")]), 1.0);
    assert_eq!(moved("orchestrator_llm_errors_total", &[("model", "other"), ("kind", "rate_limited")]), 1.0);
    assert_eq!(moved("orchestrator_llm_tokens_total", &[("model", "stub-model"), ("direction", "input")]), 7.0);
    assert_eq!(moved("orchestrator_llm_tokens_total", &[("model", "stub-model"), ("direction", "output")]), 3.0);
    assert_eq!(moved("orchestrator_llm_time_to_first_token_seconds_count", &[]), 1.0);
    assert_eq!(moved("orchestrator_llm_request_duration_seconds_count", &[("model", "stub-model")]), 2.0);
    let agent =
        |name, outcome| moved("orchestrator_calls_total", &[("kind", "agent"), ("name", name), ("outcome", outcome)]);
    assert_eq!((agent("good", "ok"), agent("broken", "error"), agent("gone", "error")), (1.0, 1.0, 5.0));
    assert_eq!(moved("orchestrator_calls_total", &[("kind", "datasource"), ("name", "crm"), ("outcome", "ok")]), 1.0);
    assert_eq!(moved("orchestrator_call_duration_seconds_count", &[("kind", "agent")]), 7.0);
    assert_eq!(moved("orchestrator_circuit_breakers", &[("kind", "agent"), ("state", "open")]), 1.0);
    assert_eq!(figure(&after, "orchestrator_circuit_breakers", &[("kind", "agent")]), 3.0);
    assert_eq!(figure(&after, "orchestrator_resources", &[("kind", "datasource")]), 1.0);
    assert_eq!(verdict(client).await, [0.0, 1.0]);
    assert_eq!(figure(&after, "orchestrator_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(moved("orchestrator_log_lines_total", &[("level", "info")]) >= 10.0);
}

#[tokio::test]
async fn the_process_tells_of_itself_what_the_system_tells_of_it() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[]).await;
    let text = scrape(&program).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = 1024.0 * resident.trim().trim_end_matches(" kB").parse::<f64>().unwrap();
    let told = figure(&text, "process_resident_memory_bytes", &[]);
    assert!((told - resident).abs() < 0.1 * resident, "{told} is not near {resident}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", program.pid())).unwrap().count() as f64;
    assert!((figure(&text, "process_open_fds", &[]) - open).abs() <= 3.0);
    assert!(figure(&text, "process_cpu_seconds_total", &[]) > 0.0);
    assert!(figure(&text, "process_start_time_seconds", &[]) > 1.7e9);
    assert_eq!(verdict(&program.client).await, [1.0, 0.0], "there is no LLM");
}

/// Whoever makes up paths, models and agents must not be able to make up series.
#[tokio::test]
async fn ten_thousand_names_make_no_ten_thousand_series() {
    let folder = TempDir::new().unwrap();
    let variables = [
        ("LLM_BASE_URL", "http://127.0.0.1:1"),
        ("LLM_PROVIDER", "openai"),
        ("LLM_MAX_RETRIES", "1"),
        ("LOG_LEVEL", "error"),
    ];
    let program = Program::start("serve", folder.path(), &variables).await;
    let client = &program.client;
    let names = futures_util::stream::iter(0..10_000).map(|n| async move {
        client.get(&format!("/nowhere/{n}")).await.expect(404);
        client.post("/api/llm/test", &json!({"model": format!("model-{n}")})).await.expect(200);
    });
    names.buffer_unordered(32).collect::<Vec<_>>().await;
    let text = scrape(&program).await;
    assert_eq!(figure(&text, "orchestrator_http_requests_total", &[("route", "(none)"), ("status", "4xx")]), 10_000.0);
    assert_eq!(figure(&text, "orchestrator_llm_requests_total", &[]), 10_000.0);
    let of_others = figure(&text, "orchestrator_llm_requests_total", &[("model", "other")]);
    assert_eq!(of_others, 10_000.0, "no model has a place that none of them has earned");
    assert!(text.len() < 500_000, "{} bytes", text.len());
}

#[tokio::test]
async fn scrapes_wait_for_nobody_and_ask_nobody_twice() {
    let silent = Upstream::start(|_, _| vec![Act::Hang]).await;
    let server = TestServer::with_llm(&silent, &[("REDIS_URL", "redis://127.0.0.1:1")]).await;
    let first = server.get("/metrics").await.text;
    assert!(first.contains("orchestrator_store_connected{store=\"redis\"} 0"), "{first}");
    assert!(!first.contains("orchestrator_degraded"), "nobody knows yet");
    assert_eq!(verdict(&server).await, [1.0, 0.0]);
    let asked = silent.seen().len();
    assert!(asked > 0, "somebody has asked");
    for _ in 0..50 {
        assert_eq!(verdict(&server).await, [1.0, 0.0]);
    }
    assert_eq!(silent.seen().len(), asked);
}

#[tokio::test]
async fn an_llm_that_takes_its_time_is_reachable_for_all_who_ask() {
    let slow = Upstream::start(|_, _| {
        let pause = Act::Sleep(Duration::from_secs(3));
        [pause].into_iter().chain(json_reply("200 OK", &json!({"data": []}))).collect()
    })
    .await;
    let server = TestServer::with_llm(&slow, &[]).await;
    server.get("/metrics").await;
    let health = server.get("/api/monitoring/health").await.expect(200);
    assert_eq!((&health["status"], &health["components"]["llm"]["status"]), (&json!("healthy"), &json!("healthy")));
    assert_eq!(verdict(&server).await, [0.0, 1.0]);
    assert_eq!(slow.seen().len(), 1, "both share one look");
}

/// What upstreams take is not the server's own time.
#[tokio::test]
async fn waiting_for_upstreams_is_no_overhead() {
    let llm = Upstream::start(|seen, _| {
        let pause = Act::Sleep(Duration::from_secs(3));
        [pause].into_iter().chain(openai(seen, "At last.")).collect()
    })
    .await;
    let folder = TempDir::new().unwrap();
    let program = start(&llm, &folder).await;
    program.client.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
    let text = scrape(&program).await;
    let chat = [("route", "/v1/chat")];
    assert!(figure(&text, "orchestrator_http_request_duration_seconds_sum", &chat) >= 3.0);
    let own = figure(&text, "orchestrator_overhead_seconds_sum", &chat);
    assert!(own > 0.0 && own < 2.0, "{own}");
    assert_eq!(figure(&text, "orchestrator_overhead_seconds_count", &chat), 1.0);
}

#[tokio::test]
async fn who_wants_no_metrics_gets_none() {
    let server = TestServer::with(&[("MONITORING_ENABLED", "false")]).await;
    let answer = server.get("/metrics").await.expect(404);
    assert_eq!((&answer["detail"], &answer["code"]), (&json!("Not Found"), &json!("not_found")));
    server.get("/api/monitoring/metrics").await.expect(200);
}

#[tokio::test]
async fn prometheus_own_tool_finds_nothing_wrong() {
    let (upstream, folder) = (upstream().await, TempDir::new().unwrap());
    let program = start(&upstream, &folder).await;
    program.client.post("/v1/chat", &json!({"prompt": "Hello"})).await.expect(200);
    program.client.post("/api/llm/test", &json!({"model": "bad"})).await.expect(200);
    program.client.post("/api/agents/good/call", &json!({"x": 1})).await.expect(200);
    let text = scrape(&program).await;
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        assert!(!programs_are_required(), "no promtool on PATH; install the package prometheus");
        return;
    };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let told = tool.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    assert!(told.status.success() && out.is_empty() && err.is_empty(), "{out}{err}");
}

#[tokio::test]
async fn chats_are_counted_by_intent_and_end_with_their_steps_and_tools() {
    let (upstream, folder) = (upstream().await, TempDir::new().unwrap());
    let program = start(&upstream, &folder).await;
    let client = &program.client;
    let ask = async |metadata: Value| client.post("/v1/chat", &json!({"prompt": "Hello", "metadata": metadata})).await;
    ask(json!({"intent": "general_llm"})).await.expect(200);
    ask(json!({"intent": "general_llm", "user": "changes nothing"})).await.expect(200);
    ask(json!({"intent": "general_llm", "model": "bad", "use_cache": false})).await.expect(502);
    ask(json!({"intent": "external_agent", "agent": "good"})).await.expect(200);
    ask(json!({"intent": "external_agent", "agent": "broken"})).await;
    client.chat_events(&json!({"prompt": "Hello", "metadata": {"intent": "general_llm", "use_cache": false}})).await;
    let text = scrape(&program).await;
    let chats =
        |intent, outcome| figure(&text, "orchestrator_chats_total", &[("intent", intent), ("outcome", outcome)]);
    assert_eq!((chats("general_llm", "completed"), chats("general_llm", "failed")), (3.0, 1.0), "{text}");
    assert_eq!(figure(&text, "orchestrator_chats_total", &[]), 6.0);
    assert_eq!(figure(&text, "orchestrator_chat_duration_seconds_count", &[("intent", "external_agent")]), 2.0);
    let steps =
        |action, outcome| figure(&text, "orchestrator_chat_steps_total", &[("action", action), ("outcome", outcome)]);
    assert_eq!((steps("external_agent", "completed"), steps("external_agent", "failed")), (1.0, 1.0));
    assert_eq!(steps("llm_call", "failed"), 1.0);
    let cache = |outcome| figure(&text, "orchestrator_cache_requests_total", &[("outcome", outcome)]);
    assert!(cache("miss") >= 1.0, "{text}");
    client
        .post("/api/tools/shop/execute", &json!({"arguments": {"url": "/query", "method": "POST"}}))
        .await
        .expect(200);
    let text = scrape(&program).await;
    assert_eq!(figure(&text, "orchestrator_calls_total", &[("kind", "tool"), ("name", "shop")]), 1.0);
    // Both that waited for the end and that which was streamed.
    assert_eq!(figure(&text, "orchestrator_overhead_seconds_count", &[("route", "/v1/chat")]), 6.0);
}

#[tokio::test]
async fn a_chat_whose_client_leaves_counts_as_cancelled() {
    let llm = Upstream::start(|_, _| vec![Act::Hang]).await;
    let folder = TempDir::new().unwrap();
    let program = start(&llm, &folder).await;
    let stream = program.client.open_stream(&json!({"prompt": "Hello"})).await;
    while llm.chats().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(stream);
    llm.client_left().await;
    let cancelled = [("outcome", "cancelled")];
    for _ in 0..200 {
        let text = scrape(&program).await;
        let all =
            ["orchestrator_chats_total", "orchestrator_llm_requests_total"].map(|name| figure(&text, name, &cancelled));
        let begun = [("route", "/v1/chat"), ("status", "2xx")];
        if all == [1.0, 1.0] && figure(&text, "orchestrator_http_requests_total", &begun) == 1.0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{}", scrape(&program).await);
}

#[tokio::test]
async fn a_real_prometheus_scrapes_the_server_and_answers_questions_about_it() {
    let (upstream, folder) = (upstream().await, TempDir::new().unwrap());
    let program = start(&upstream, &folder).await;
    for _ in 0..3 {
        program.client.get("/api/agents/nobody").await.expect(404);
    }
    let Some(prometheus) = Prometheus::start("studio", &[&program], None) else { return };
    let nobody = "orchestrator_http_requests_total{route=\"/api/agents/{name}\",status=\"4xx\"}";
    for query in [
        "up{job=\"studio\"} == 1",
        &format!("{nobody} == 3"),
        "histogram_quantile(0.99, sum by (le) (orchestrator_http_request_duration_seconds_bucket))",
    ] {
        assert_eq!(prometheus.query(query).await.len(), 1, "{query}");
    }
    let targets = prometheus.wait_for("/api/v1/targets", &[], |_| true).await;
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&json!("up"), &json!("")), "{target}");
}
