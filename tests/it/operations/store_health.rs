//! What monitoring says of Redis and Postgres: while they work, while they are away, and when they are back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::databases::postgres;
use crate::common::proxy::{Proxy, ProxyMode, address_of};
use crate::common::redis::RedisServer;
use crate::common::upstream::openai;
use crate::common::{Client, TestServer, Upstream};

async fn health(client: &Client) -> Value {
    client.get("/api/monitoring/health").await.expect(200)
}

/// Health, once both stores are in this state.
async fn when(client: &Client, status: &str) -> Value {
    for _ in 0..200 {
        let health = health(client).await;
        if ["redis", "postgres"].iter().all(|store| health["components"][store]["status"] == status) {
            return health;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the stores did not become {status}: {}", health(client).await);
}

async fn figure(client: &Client, line: &str) -> f64 {
    let text = client.get("/metrics").await.text;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {line} in {text}"))
}

#[tokio::test]
async fn stores_are_seen_to_work_to_be_away_and_to_come_back() {
    let llm = Upstream::start(|seen, _| openai(seen, "ok")).await;
    let (redis, database) = (RedisServer::persistent(), postgres(&[]).await);
    let proxy = Proxy::to(address_of(&database.url), ProxyMode::Open).await;
    let dsn = proxy.url(&database.url);
    let variables = [("REDIS_URL", redis.url()), ("POSTGRES_DSN", dsn)];
    let server = TestServer::with_llm(&llm, &variables.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let chat = async || {
        server.post("/v1/chat", &json!({"prompt": "Hello", "user_id": "ada"})).await.expect(200);
    };

    let well = when(&server, "healthy").await;
    assert_eq!(well["status"], "healthy", "{well}");
    for store in ["redis", "postgres"] {
        let part = &well["components"][store];
        assert!(part["latency_ms"].as_f64().unwrap() > 0.0 && part["since"].is_string(), "{part}");
        assert_eq!((&part["pending"], &part["error"]), (&json!(0), &json!(null)));
        assert_eq!(figure(&server, &format!("orchestrator_store_connected{{store=\"{store}\"}}")).await, 1.0);
    }
    let connectivity = server.get("/api/monitoring/connectivity").await.expect(200);
    assert_eq!(connectivity["summary"], json!({"total_services": 3, "reachable": 3, "unreachable": 0}));
    assert_eq!(figure(&server, "orchestrator_pool_connections{pool=\"postgres\"}").await, 4.0);
    assert_eq!(figure(&server, "orchestrator_pool_max_connections{pool=\"embedded_writer\"}").await, 1.0);

    proxy.set(ProxyMode::Cut);
    let redis = redis.kill();
    chat().await;
    let away = when(&server, "unhealthy").await;
    assert_eq!(away["status"], "degraded");
    for store in ["redis", "postgres"] {
        let part = &away["components"][store];
        // What Redis lacks then, Postgres has, or waits for it.
        assert_eq!(part["pending"].as_u64().unwrap() > 0, store == "postgres", "{part}");
        assert!(part["error"].as_str().unwrap().contains("not in use") && part["latency_ms"].is_null(), "{part}");
        assert_eq!(figure(&server, &format!("orchestrator_store_connected{{store=\"{store}\"}}")).await, 0.0);
        let pending = figure(&server, &format!("orchestrator_store_pending{{store=\"{store}\"}}")).await;
        assert_eq!(pending > 0.0, store == "postgres");
        assert!(figure(&server, &format!("orchestrator_store_failures_total{{store=\"{store}\"}}")).await > 0.0);
    }

    proxy.set(ProxyMode::Open);
    let _redis = redis.start();
    let back = when(&server, "healthy").await;
    assert_eq!(back["status"], "healthy");
    assert_eq!(
        (&back["components"]["redis"]["pending"], &back["components"]["postgres"]["pending"]),
        (&json!(0), &json!(0))
    );
    assert_ne!(back["components"]["redis"]["since"], well["components"]["redis"]["since"]);
}
