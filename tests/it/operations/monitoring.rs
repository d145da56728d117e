//! What `/api/monitoring` tells: in the shapes that clients read, truly, and cheaply enough to be polled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::common::upstream::{json_reply, reply};
use crate::common::{Act, Program, TestServer, Upstream};

/// Takes a number out of a reply, so that the rest can be compared.
fn take(value: &mut Value, pointer: &str) -> f64 {
    let found = value.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}"));
    std::mem::take(found).as_f64().unwrap_or_else(|| panic!("{pointer} is no number"))
}

/// Takes out a time, which must be one in UTC.
fn take_timestamp(value: &mut Value) {
    let time = value["timestamp"].take();
    assert!(
        time.as_str().unwrap().parse::<jiff::Timestamp>().is_ok() && time.as_str().unwrap().ends_with('Z'),
        "{time}"
    );
}

/// An upstream that is well wherever it is asked.
async fn well() -> Upstream {
    Upstream::start(|_, _| json_reply("200 OK", &json!({"status": "fine", "data": []}))).await
}

#[tokio::test]
async fn health_has_the_shape_that_clients_read() {
    let server = TestServer::bare().await;
    let mut health = server.get("/api/monitoring/health").await.expect(200);
    take_timestamp(&mut health);
    assert!(take(&mut health, "/uptime_seconds") >= 0.0);
    assert!(take(&mut health, "/components/embedded/latency_ms") >= 0.0);
    let unused = json!({"configured": false, "url": null, "status": "not_configured", "since": null, "pending": null,
        "latency_ms": null, "error": null});
    let none = json!({"count": 0, "configured": false, "enabled": 0});
    let expected = json!({
        "status": "degraded", "timestamp": null, "uptime_seconds": null,
        "components": {
            "llm": {"configured": false, "base_url": null, "model": null, "status": "not_configured", "latency_ms": null,
                "error": null},
            "redis": unused, "postgres": unused,
            "embedded": {"configured": true, "status": "healthy", "latency_ms": null, "error": null},
            "agents": none, "datasources": none, "tools": none,
        }
    });
    assert_eq!(health, expected);
}

#[tokio::test]
async fn a_server_whose_llm_answers_is_healthy_and_counts_what_it_has() {
    let llm = well().await;
    let agents = r#"{"a": {"url": "http://127.0.0.1:1"}, "b": {"url": "http://127.0.0.1:1", "enabled": false}}"#;
    let server = TestServer::with_llm(&llm, &[("EXTERNAL_AGENTS", agents)]).await;
    let health = server.get("/api/monitoring/health").await.expect(200);
    assert_eq!(health["status"], "healthy", "{health}");
    let llm_part = &health["components"]["llm"];
    assert_eq!((&llm_part["configured"], &llm_part["model"]), (&json!(true), &json!("stub-model")));
    assert_eq!((&llm_part["base_url"], &llm_part["status"]), (&json!(llm.url()), &json!("healthy")));
    assert!(llm_part["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(health["components"]["agents"], json!({"count": 2, "configured": true, "enabled": 1}));
}

#[tokio::test]
async fn many_pollers_cause_one_check_and_a_change_causes_another() {
    let slow = || vec![Act::Sleep(Duration::from_millis(300))];
    let llm = Upstream::start(move |_, _| {
        [slow(), json_reply("200 OK", &json!({"data": []}))].into_iter().flatten().collect()
    });
    let llm = llm.await;
    let server = TestServer::with_llm(&llm, &[]).await;
    let polls = futures_util::future::join_all((0..50).map(|_| server.get("/api/monitoring/health"))).await;
    assert!(polls.iter().all(|poll| poll.json()["status"] == "healthy"));
    assert_eq!(llm.seen().len(), 1);
    server.put("/api/llm/config", &json!({"temperature": 0.1})).await.expect(200);
    server.get("/api/monitoring/health").await.expect(200);
    assert_eq!(llm.seen().len(), 2, "what was found out about another configuration does not count");
}

#[tokio::test]
async fn an_llm_that_is_dead_ill_or_silent_degrades_and_is_not_waited_for_long() {
    let ill = Upstream::start(|_, _| reply("503 Service Unavailable", "text/plain", "loading")).await;
    let silent = Upstream::start(|_, _| vec![Act::Hang]).await;
    let cases = [
        ("http://127.0.0.1:1".to_owned(), "refused the connection"),
        (ill.url(), "answered 503"),
        (silent.url(), "did not answer in time"),
    ];
    for (url, why) in cases {
        let server = TestServer::with(&[("LLM_BASE_URL", url.as_str()), ("LLM_PROVIDER", "openai")]).await;
        let asked = tokio::time::timeout(Duration::from_secs(20), server.get("/api/monitoring/health")).await;
        let health = asked.expect("an answer in time").expect(200);
        let llm = &health["components"]["llm"];
        assert_eq!((&health["status"], &llm["status"]), (&json!("degraded"), &json!("unhealthy")));
        assert!(llm["error"].as_str().unwrap().contains(why), "{llm}");
    }
}

#[tokio::test]
async fn addresses_of_stores_are_shown_without_credentials() {
    let dsn = "postgres://ada:canary-of-postgres@db:5432/studio?password=canary-of-postgres";
    let variables = [("REDIS_URL", "redis://:canary-of-redis@cache:6379/0"), ("POSTGRES_DSN", dsn)];
    let server = TestServer::with(&variables).await;
    let health = server.get("/api/monitoring/health").await.expect(200);
    assert_eq!(health["components"]["redis"]["url"], "redis://cache:6379/0");
    assert_eq!(health["components"]["postgres"]["url"], "postgres://db:5432/studio");
    for path in ["health", "metrics", "status", "connectivity", "logs"] {
        let answer = server.get(&format!("/api/monitoring/{path}")).await;
        assert!(answer.status == 200 && !answer.text.contains("canary"), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn metrics_are_always_numbers() {
    let server = TestServer::with(&[("TOOLS", r#"{"web": {"type": "web_search"}}"#)]).await;
    let mut metrics = server.get("/api/monitoring/metrics").await.expect(200);
    take_timestamp(&mut metrics);
    let numbers = [
        "/uptime_seconds",
        "/system/cpu/percent",
        "/system/cpu/count",
        "/system/memory/total_mb",
        "/system/memory/available_mb",
        "/system/memory/used_mb",
        "/system/memory/percent",
        "/system/disk/total_gb",
        "/system/disk/used_gb",
        "/system/disk/free_gb",
        "/system/disk/percent",
        "/process/resident_mb",
        "/process/cpu_seconds",
        "/process/open_files",
    ];
    for pointer in numbers {
        assert!(take(&mut metrics, pointer) >= 0.0, "{pointer}");
    }
    let expected = json!({
        "timestamp": null, "uptime_seconds": null,
        "system": {
            "cpu": {"percent": null, "count": null},
            "memory": {"total_mb": null, "available_mb": null, "used_mb": null, "percent": null},
            "disk": {"total_gb": null, "used_gb": null, "free_gb": null, "percent": null}
        },
        "process": {"resident_mb": null, "cpu_seconds": null, "open_files": null},
        "configuration": {"llm_configured": false, "redis_configured": false, "postgres_configured": false,
            "agents_count": 0, "datasources_count": 0, "tools_count": 1}
    });
    assert_eq!(metrics, expected);
}

/// A line such as `MemTotal:  123 kB` of a file of /proc, in MiB.
fn proc_mb(file: &str, name: &str) -> f64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn assert_near(told: f64, true_value: f64, share: f64, what: &str) {
    assert!((told - true_value).abs() <= share * true_value, "{what}: {told} is not near {true_value}");
}

#[tokio::test]
async fn metrics_agree_with_what_the_system_tells() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[]).await;
    let mut metrics = Value::Null;
    for _ in 0..100 {
        metrics = program.client.get("/api/monitoring/metrics").await.expect(200);
        if metrics["system"]["disk"]["total_gb"] != 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let number = |pointer: &str| metrics.pointer(pointer).unwrap().as_f64().unwrap();
    let status = format!("/proc/{}/status", program.pid());
    assert_near(number("/process/resident_mb"), proc_mb(&status, "VmRSS"), 0.1, "resident memory");
    // A control group may grant less than the machine has.
    assert!(number("/system/memory/total_mb") <= 1.001 * proc_mb("/proc/meminfo", "MemTotal"));
    let (total, used) = (number("/system/memory/total_mb"), number("/system/memory/used_mb"));
    assert_near(used + number("/system/memory/available_mb"), total, 0.001, "memory");
    assert_near(number("/system/memory/percent"), 100.0 * used / total, 0.001, "percent of memory");
    assert!((1.0..=4096.0).contains(&number("/system/cpu/count")));
    assert!((0.0..=100.0).contains(&number("/system/cpu/percent")));
}

#[tokio::test]
async fn status_tells_what_is_in_effect_and_where_it_comes_from() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("llm.json");
    std::fs::write(&file, r#"{"base_url": "http://from-file", "default_model": "from-file", "timeout_seconds": 7}"#)
        .unwrap();
    let path = file.display().to_string();
    let variables = [
        ("LLM_CONFIG_PATH", path.as_str()),
        ("LLM_DEFAULT_MODEL", "from-environment"),
        ("LLM_API_KEY", "sk-canary-of-status"),
        ("MEMORY_MAX_MESSAGES", "9"),
        ("MONITORING_ENABLED", "false"),
    ];
    let server = TestServer::with(&variables).await;
    server
        .put("/api/llm/config", &json!({"base_url": "http://from-api", "api_key": "sk-other-canary"}))
        .await
        .expect(200);
    let answer = server.get("/api/monitoring/status").await;
    assert!(!answer.text.contains("canary"), "{}", answer.text);
    let mut status = answer.expect(200);
    assert!(take(&mut status, "/application/uptime_seconds") >= 0.0);
    let sources = status["sources"].take();
    let expected = json!({
        "application": {"name": "ZainOne Orchestrator Studio", "version": "1.0.0", "debug": false, "uptime_seconds": null},
        "configuration": {
            "llm": {"configured": true, "base_url": "http://from-api", "model": "from-environment", "timeout": 7},
            "memory": {"enabled": true, "max_messages": 9, "summary_enabled": true},
            "cache": {"enabled": true, "ttl_seconds": 3600},
            "orchestration": {"max_iterations": 10, "timeout_seconds": 300},
            "monitoring": {"enabled": false, "prometheus": null, "log_level": "INFO", "log_format": "text",
                "log_content": false}
        },
        "resources": {"agents": 0, "datasources": 0, "tools": 0},
        "sources": null
    });
    assert_eq!(status, expected);
    let from = [
        ("LLM_BASE_URL", "api"),
        ("LLM_API_KEY", "api"),
        ("LLM_DEFAULT_MODEL", "environment"),
        ("LLM_TIMEOUT_SECONDS", "file"),
        ("LLM_TEMPERATURE", "default"),
        ("MEMORY_MAX_MESSAGES", "environment"),
        ("API_PORT", "default"),
    ];
    for (name, source) in from {
        assert_eq!(sources[name], source, "{name}");
    }
}

#[tokio::test]
async fn connectivity_has_the_shape_that_clients_read() {
    let server = TestServer::bare().await;
    let mut nothing = server.get("/api/monitoring/connectivity").await.expect(200);
    take_timestamp(&mut nothing);
    let expected = json!({
        "timestamp": null, "services": {"llm": {"reachable": false, "error": "Not configured"}},
        "summary": {"total_services": 1, "reachable": 0, "unreachable": 1}
    });
    assert_eq!(nothing, expected);

    let (up, ill) = (well().await, Upstream::start(|_, _| reply("500 Oops", "text/plain", "")).await);
    let agents = json!({"up": {"url": up.url()}, "ill": {"url": ill.url()}, "down": {"url": "http://127.0.0.1:1"},
        "off": {"url": up.url(), "enabled": false}});
    let sources = json!({"up": {"type": "api", "url": up.url()}, "down": {"type": "api", "url": "http://127.0.0.1:1"}});
    let variables = [("EXTERNAL_AGENTS", agents.to_string()), ("DATASOURCES", sources.to_string())];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::with_llm(&up, &variables).await;
    let mut all = server.get("/api/monitoring/connectivity").await.expect(200);
    take_timestamp(&mut all);
    for part in ["llm", "agents/up", "agents/ill", "agents/down", "datasources/up", "datasources/down"] {
        assert!(take(&mut all, &format!("/services/{part}/response_time_ms")) > 0.0);
    }
    let none = Value::Null;
    let expected = json!({
        "timestamp": null,
        "services": {
            "llm": {"reachable": true, "status_code": 200, "url": up.url(), "response_time_ms": none},
            "agents": {
                "up": {"reachable": true, "status_code": 200, "url": up.url(), "response_time_ms": none},
                "ill": {"reachable": false, "status_code": 500, "url": ill.url(), "response_time_ms": none,
                    "error": "Agent returned non-200 status (500)"},
                "down": {"reachable": false, "url": "", "response_time_ms": none,
                    "error": "Agent 'down' refused the connection"},
                "off": {"reachable": false, "url": "", "error": "Agent 'off' is disabled"}
            },
            "datasources": {
                "up": {"reachable": true, "status_code": 200, "type": "api", "url": up.url(), "response_time_ms": none},
                "down": {"reachable": false, "type": "", "url": "", "response_time_ms": none,
                    "error": all["services"]["datasources"]["down"]["error"]}
            }
        },
        "summary": {"total_services": 7, "reachable": 3, "unreachable": 4}
    });
    assert_eq!(all, expected);
    let error = all["services"]["datasources"]["down"]["error"].as_str().unwrap();
    assert!(error.contains("'down'") && error.contains("refused the connection"), "{error}");
}

/// Each of them answers only once all of them have been asked: one after the other they would not answer at all.
#[tokio::test]
async fn everything_is_reached_for_at_once() {
    const ALL: usize = 7;
    let (asked, words) = (Arc::new(AtomicUsize::new(0)), Arc::new([const { Notify::const_new() }; ALL].map(Arc::new)));
    let mut upstreams = Vec::new();
    for word in words.iter() {
        let (asked, words, word) = (asked.clone(), words.clone(), word.clone());
        let script = move |_: &_, _| {
            if asked.fetch_add(1, Ordering::SeqCst) + 1 == ALL {
                words.iter().for_each(|word| word.notify_one());
            }
            let mut acts = vec![Act::Wait(word.clone())];
            acts.extend(json_reply("200 OK", &json!({"data": []})));
            acts
        };
        upstreams.push(Upstream::start(script).await);
    }
    let [llm, agents @ ..] = upstreams.as_slice() else { panic!("there are some") };
    let (agents, sources) = agents.split_at(3);
    let entries = |upstreams: &[Upstream], extra: Value| -> String {
        let entry = |(n, upstream): (usize, &Upstream)| {
            let mut entry = extra.clone();
            entry["url"] = json!(upstream.url());
            (format!("n{n}"), entry)
        };
        Value::Object(upstreams.iter().enumerate().map(entry).collect()).to_string()
    };
    let (agents, sources) = (entries(agents, json!({})), entries(sources, json!({"type": "api"})));
    let server = TestServer::with_llm(llm, &[("EXTERNAL_AGENTS", &agents), ("DATASOURCES", &sources)]).await;
    let all = server.get("/api/monitoring/connectivity").await.expect(200);
    assert_eq!(all["summary"], json!({"total_services": ALL, "reachable": ALL, "unreachable": 0}), "{all}");
}

/// The page asks every ten seconds, and has its answer after four, whoever hangs in whichever way.
#[tokio::test]
async fn services_that_hang_are_named_within_four_seconds_beside_those_that_answer() {
    let (up, silent) = (well().await, Upstream::start(|_, _| vec![Act::Hang]).await);
    let half = Upstream::start(|_, _| vec![Act::Send("HTTP/1.1 200 OK\r\ncontent-le".to_owned()), Act::Hang]).await;
    let deaf = DeafPort::new().await;
    let patient = |url: &str| json!({"url": url, "timeout_seconds": 3600});
    let source = |kind: &str, url: &str| json!({"type": kind, "url": url, "timeout_seconds": 3600});
    let agents = json!({"up": patient(&up.url()), "silent": patient(&silent.url()), "half": patient(&half.url()),
        "deaf": patient(&format!("http://{}", deaf.address))});
    let databases = ["postgres", "mysql"].map(|kind| (kind, silent.url().replace("http", kind)));
    let mut sources = json!({"up": source("api", &up.url()), "silent": source("cubejs", &silent.url()),
        "deaf": source("postgres", &format!("postgres://ada@{}/db", deaf.address))});
    for (kind, url) in &databases {
        sources[*kind] = source(kind, &format!("{}/db", url.replace("://", "://ada@")));
    }
    let variables = [
        ("EXTERNAL_AGENTS", agents.to_string()),
        ("DATASOURCES", sources.to_string()),
        ("LLM_PROVIDER", "auto".to_owned()),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = TestServer::with_llm(&silent, &variables).await;
    let asked = timeout(
        WATCHDOG_TIMEOUT,
        join(server.get("/api/monitoring/connectivity"), server.get("/api/monitoring/health")),
    )
    .await;
    let (connectivity, health) = asked.expect("answers in time");
    let services = &connectivity.expect(200)["services"];
    for up in [&services["agents"]["up"], &services["datasources"]["up"]] {
        assert_eq!(up["reachable"], true, "{services}");
    }
    let hang = ["silent", "half", "deaf"].map(|name| &services["agents"][name]).into_iter();
    let hang = hang.chain(["silent", "deaf", "postgres", "mysql"].map(|name| &services["datasources"][name]));
    for service in hang.chain([&services["llm"]]) {
        let error = service["error"].as_str().unwrap_or_default();
        assert_eq!(service["reachable"], false, "{services}");
        assert!(error.contains("did not answer in time") || error.contains("timeout"), "{service}");
    }
    let llm = &health.expect(200)["components"]["llm"];
    assert!(llm["error"].as_str().unwrap().contains("did not answer in time"), "{llm}");
}

/// Less than the page's own interval, and far more than an answer takes.
const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(9);

/// A port whose queue of connections is full, so that the system drops whoever knocks.
struct DeafPort {
    address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl DeafPort {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queue.push(stream);
        }
        Self { address, _listener: listener, _queue: queue }
    }
}

#[tokio::test]
async fn many_who_look_at_connectivity_reach_for_an_agent_once_and_a_new_one_shows_at_once() {
    let agent = Upstream::start(|_, _| {
        [Act::Sleep(Duration::from_millis(300))].into_iter().chain(json_reply("200 OK", &json!({}))).collect()
    })
    .await;
    let server = TestServer::with(&[("EXTERNAL_AGENT_BASE_URL", &agent.url())]).await;
    let looks = futures_util::future::join_all((0..20).map(|_| server.get("/api/monitoring/connectivity"))).await;
    assert!(looks.iter().all(|look| look.json()["services"]["agents"]["default"]["reachable"] == true));
    assert_eq!(agent.seen().len(), 1);
    server.post("/api/agents", &json!({"name": "late", "url": agent.url()})).await.expect(201);
    let found = server.get("/api/monitoring/connectivity").await.expect(200);
    assert_eq!(found["services"]["agents"]["late"]["reachable"], true, "{found}");
}
