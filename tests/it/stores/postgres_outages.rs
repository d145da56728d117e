//! Executions in Postgres, and what happens to them when it hangs, dies, or is not there at the start.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::databases::{TestDatabase, postgres};
use crate::common::load::{Load, Transcript};
use crate::common::postgres::{PostgresServer, Stopped};
use crate::common::program::free_port;
use crate::common::proxy::{Proxy, ProxyMode, address_of};
use crate::common::redis::RedisServer;
use crate::common::upstream::openai;
use crate::common::{Client, Program, TestServer, Upstream};

async fn llm() -> Upstream {
    Upstream::start(|seen, _| openai(seen, "ok")).await
}

/// A database, and a way to it that the test can hold up.
async fn database(way: ProxyMode) -> (TestDatabase, Proxy) {
    let database = postgres(&[]).await;
    let proxy = Proxy::to(address_of(&database.url), way).await;
    (database, proxy)
}

async fn server(llm: &Upstream, dsn: &str) -> TestServer {
    // Summaries wait for Postgres, and what the model is told would grow so long that the load takes all of the machine.
    let variables = [("POSTGRES_DSN", dsn), ("CACHE_ENABLED", "false"), ("MEMORY_SUMMARY_ENABLED", "false")];
    TestServer::with_llm(llm, &variables).await
}

async fn until(client: &Client, wanted: &str) {
    let mut status = Value::Null;
    for _ in 0..500 {
        status = client.get("/api/memory/health").await.expect(200)["storage"][1].clone();
        if status["status"] == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("Postgres did not become {wanted}: {status}");
}

/// The ids of all executions of a user, oldest first, page by page.
async fn executions(client: &Client, user: &str, status: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let status = if status.is_empty() { String::new() } else { format!("&status={status}") };
        let path = format!("/v1/executions?user_id={user}&limit=50{status}{cursor}");
        let page = client.get(&path).await.expect(200);
        let page_ids =
            page["executions"].as_array().unwrap().iter().map(|e| e["execution_id"].as_str().unwrap().to_owned());
        all.extend(page_ids);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    all.reverse();
    all
}

async fn assert_all_there(said: &[Transcript], client: &Client) {
    for said in said {
        assert!(!said.executions.is_empty(), "{} was not heard", said.user);
        assert_eq!(executions(client, &said.user, "completed").await, said.executions, "{}", said.user);
        let detail = client.get(&format!("/v1/executions/{}", said.executions[0])).await.expect(200);
        assert_eq!((detail["steps"].as_array().unwrap().len(), &detail["execution"]["answer"]), (1, &json!("ok")));
        let log = client.get(&format!("/v1/executions/{}/events", said.executions[0])).await.expect(200);
        let told: Vec<_> =
            log["events"].as_array().unwrap().iter().map(|event| (&event["number"], &event["type"])).collect();
        let names = ["started", "planned", "task_finished", "answer"].map(Value::from);
        let numbers = [1, 2, 3, 4].map(Value::from);
        assert_eq!(told, numbers.iter().zip(&names).collect::<Vec<_>>());
    }
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

async fn chat(client: &Client, user: &str) -> Value {
    client.post("/v1/chat", &json!({"prompt": "Hello", "user_id": user})).await.expect(200)
}

#[tokio::test]
async fn a_postgres_that_hangs_and_dies_costs_nobody_an_answer_and_every_record_is_there_once() {
    let ((database, proxy), llm) = (database(ProxyMode::Open).await, llm().await);
    let server = server(&llm, &proxy.url(&database.url)).await;
    let load = Load::start(&server, 4, "pg", false);
    for way in [ProxyMode::Held, ProxyMode::Cut, ProxyMode::Held] {
        load.answered(40).await;
        proxy.set(way);
        load.answered(40).await;
        proxy.set(ProxyMode::Open);
        until(&server, "healthy").await;
    }
    load.answered(20).await;
    let said = load.stop("pg").await;
    until(&server, "healthy").await;
    assert_all_there(&said, &server).await;
    let total: usize = said.iter().map(|said| said.executions.len()).sum();
    assert_eq!(database.count("SELECT count(*) FROM execution").await, i64::try_from(total).unwrap());
    assert_eq!(database.count("SELECT count(*) FROM execution_event").await, i64::try_from(total).unwrap());
}

#[tokio::test]
async fn a_postgres_that_is_killed_and_started_again_costs_nobody_an_answer_and_has_every_record_once() {
    let (mut postgres, llm) = (PostgresServer::start(), llm().await);
    let server = server(&llm, &postgres.url()).await;
    until(&server, "healthy").await;
    let load = Load::start(&server, 4, "dead", false);
    for _ in 0..2 {
        load.answered(40).await;
        let killed = postgres.kill();
        until(&server, "unhealthy").await;
        load.answered(40).await;
        postgres = killed.start();
        until(&server, "healthy").await;
    }
    load.answered(20).await;
    let said = load.stop("dead").await;
    until(&server, "healthy").await;
    assert_all_there(&said, &server).await;
}

#[tokio::test]
async fn a_server_that_starts_without_redis_and_postgres_serves_and_fills_both_when_they_appear() {
    let (postgres, port, llm) = (Stopped::new(), free_port(), llm().await);
    let (redis_url, dsn) = (RedisServer::url_at(port), postgres.url());
    let variables = [
        ("REDIS_URL", redis_url.as_str()),
        ("POSTGRES_DSN", &dsn),
        ("CACHE_ENABLED", "false"),
        ("MEMORY_MAX_MESSAGES", "10000"),
    ];
    let server = TestServer::with_llm(&llm, &variables).await;
    let reply = chat(&server, "ada").await;
    let told = reply["metadata"]["warnings"].to_string();
    assert_eq!((&reply["error"], &reply["metadata"]["degraded"]), (&json!(null), &json!(true)));
    assert!(told.contains("Redis is away") && told.contains("Postgres is away"), "{told}");
    let load = Load::start(&server, 4, "both", false);
    load.answered(40).await;
    let redis = RedisServer::at(port);
    load.answered(20).await;
    let _postgres = postgres.start();
    until(&server, "healthy").await;
    load.answered(20).await;
    let said = load.stop("both").await;
    until(&server, "healthy").await;
    let health = server.get("/api/memory/health").await.expect(200);
    assert_eq!((&health["storage"][0]["status"], &health["degraded"]), (&json!("healthy"), &json!([])));
    assert_all_there(&said, &server).await;
    for said in &said {
        let length = redis.cli(&["LLEN", &format!("conversation:{}", said.user)]);
        assert_eq!(length, (2 * said.prompts.len()).to_string(), "{}", said.user);
    }
}

#[tokio::test]
async fn sessions_that_the_database_ends_are_replaced() {
    let (database, llm) = (postgres(&[]).await, llm().await);
    let server = server(&llm, &database.url).await;
    let load = Load::start(&server, 4, "kill", false);
    for _ in 0..5 {
        load.answered(30).await;
        database
            .execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orchestrator-studio' AND datname = current_database()")
            .await;
    }
    load.answered(10).await;
    let said = load.stop("kill").await;
    until(&server, "healthy").await;
    assert_all_there(&said, &server).await;
}

#[tokio::test]
async fn a_server_that_starts_without_postgres_serves_and_writes_back_later() {
    let ((database, proxy), llm) = (database(ProxyMode::Cut).await, llm().await);
    let server = server(&llm, &proxy.url(&database.url)).await;
    let reply = chat(&server, "ada").await;
    assert_eq!(reply["metadata"]["degraded"], true);
    assert!(reply["metadata"]["warnings"][0].as_str().unwrap().contains("Postgres is away"), "{reply}");
    let id = reply["execution_id"].as_str().unwrap().to_owned();
    assert_eq!(executions(&server, "ada", "completed").await[..], [id.as_str()], "known meanwhile");
    let unknown = server.get("/v1/executions/another").await.expect(503);
    assert!(unknown["detail"].as_str().unwrap().contains("Postgres is away"));
    let health = server.get("/api/memory/health").await.expect(200);
    assert_eq!((&health["healthy"], &health["storage"][1]["status"]), (&json!(true), &json!("unhealthy")));

    proxy.set(ProxyMode::Open);
    until(&server, "healthy").await;
    assert_eq!(database.count("SELECT count(*) FROM execution_event").await, 1);
    assert_eq!(executions(&server, "ada", "completed").await, [id]);
    server.get("/v1/executions/another").await.expect(404);
    assert_eq!(chat(&server, "ada").await["metadata"]["degraded"], false);
    let shown = server.get("/api/memory/health").await.expect(200)["storage"][1]["url"].clone();
    assert!(shown.as_str().unwrap().contains(":********@"), "{shown}");

    proxy.set(ProxyMode::Cut);
    until(&server, "unhealthy").await;
    assert_eq!(executions(&server, "ada", "").await, Vec::<String>::new(), "what was written back is kept once");
}

#[tokio::test]
async fn kill_9_under_load_loses_no_record_and_what_was_cut_off_says_so() {
    let ((database, proxy), llm, folder) = (database(ProxyMode::Open).await, llm().await, TempDir::new().unwrap());
    let (dsn, base) = (proxy.url(&database.url), llm.url());
    let variables = [
        ("POSTGRES_DSN", dsn.as_str()),
        ("LLM_BASE_URL", &base),
        ("LLM_DEFAULT_MODEL", "m"),
        ("CACHE_ENABLED", "false"),
    ];
    for (round, way) in [ProxyMode::Open, ProxyMode::Held, ProxyMode::Cut].into_iter().enumerate() {
        let program = Program::start("serve", folder.path(), &variables).await;
        until(&program.client, "healthy").await;
        let name = format!("round{round}");
        let load = Load::start(&program.client, 4, &name, true);
        load.answered(40).await;
        proxy.set(way);
        load.answered(40).await;
        program.kill();
        let said = load.stop(&name).await;
        // The next process finds the journal of the one that was killed, first without Postgres, then with it.
        let program = Program::start("serve", folder.path(), &variables).await;
        proxy.set(ProxyMode::Open);
        until(&program.client, "healthy").await;
        for said in &said {
            let stored = executions(&program.client, &said.user, "completed").await;
            let cut_off = executions(&program.client, &said.user, "interrupted").await;
            assert_eq!(executions(&program.client, &said.user, "running").await, Vec::<String>::new());
            assert!(stored.len() + cut_off.len() <= said.executions.len() + 1, "{stored:?} {cut_off:?}");
            assert_eq!(stored[..said.executions.len()], said.executions[..], "{}", said.user);
        }
        let log = program.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("Postgres")).collect();
        assert!(lines.len() <= 6 * (round + 1), "{lines:#?}");
        program.kill();
    }
}

#[tokio::test]
async fn servers_share_executions_and_a_start_interrupts_only_its_own() {
    let (database, folder) = (postgres(&[]).await, TempDir::new().unwrap());
    let slow = Upstream::start(|seen, _| {
        let mut acts = openai(seen, "ok");
        // Longer than the other server takes to start.
        acts.insert(0, crate::common::Act::Sleep(Duration::from_secs(4)));
        acts
    })
    .await;
    let one = server(&slow, &database.url).await;
    let client = Client::new(one.url(""));
    let asking = tokio::spawn(async move { chat(&client, "ada").await });
    pause(500).await;
    let base = slow.url();
    let variables = [("POSTGRES_DSN", database.url.as_str()), ("LLM_BASE_URL", &base), ("LLM_DEFAULT_MODEL", "m")];
    let two = Program::start("serve", folder.path(), &variables).await;
    assert_eq!(executions(&two.client, "ada", "running").await.len(), 1, "another server is at it");
    asking.await.unwrap();
    assert_eq!(executions(&two.client, "ada", "completed").await.len(), 1);
}

#[tokio::test]
async fn migrations_can_be_run_by_themselves() {
    let (database, folder) = (postgres(&[]).await, TempDir::new().unwrap());
    let run = || Program::run("migrate", folder.path(), &[("POSTGRES_DSN", &database.url)]);
    let first = run();
    assert!(first.status.success(), "{first:?}");
    let said = String::from_utf8(first.stdout).unwrap();
    assert_eq!(said, "the embedded database: version 0 -> 10\nPostgres: version 0 -> 7\n");
    let said = String::from_utf8(run().stdout).unwrap();
    assert_eq!(said, "the embedded database is up to date at version 10\nPostgres is up to date at version 7\n");

    database.execute("INSERT INTO _sqlx_migrations VALUES (99, 'future', now(), TRUE, '', 0)").await;
    for command in ["migrate", "serve"] {
        let refused = Program::run(command, folder.path(), &[("POSTGRES_DSN", &database.url), ("API_PORT", "0")]);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{error}");
        assert!(error.contains("newer schema") && !error.contains("postgres://"), "{error}");
    }
}

/// A cursor counts in the store that gave it, and says so when the other one is asked.
#[tokio::test]
async fn a_page_asked_for_across_an_outage_skips_and_repeats_nothing() {
    let ((database, proxy), llm) = (database(ProxyMode::Open).await, llm().await);
    let server = server(&llm, &proxy.url(&database.url)).await;
    until(&server, "healthy").await;
    let next = async || {
        for _ in 0..3 {
            chat(&server, "ada").await;
        }
        let page = server.get("/v1/executions?user_id=ada&limit=1").await.expect(200);
        format!("/v1/executions?user_id=ada&limit=1&cursor={}", page["next_cursor"].as_str().unwrap())
    };
    let in_postgres = next().await;
    let page = server.get(&in_postgres).await.expect(200);
    for invented in ["2", "3", "p3-00000000", "e2-00000000"] {
        server.get(&format!("/v1/executions?cursor={invented}")).await.expect(400);
    }
    proxy.set(ProxyMode::Cut);
    server.get("/v1/executions?cursor=3").await.expect(400);
    until(&server, "unhealthy").await;
    let refused = server.get(&in_postgres).await.expect(503);
    assert!(refused["detail"].as_str().unwrap().contains("Postgres is away"), "{refused}");
    let embedded = next().await;
    server.get(&embedded).await.expect(200);
    proxy.set(ProxyMode::Open);
    until(&server, "healthy").await;
    assert_eq!(server.get(&in_postgres).await.expect(200), page);
    let refused = server.get(&embedded).await.expect(409);
    assert!(refused["detail"].as_str().unwrap().contains("begin again"), "{refused}");
}
