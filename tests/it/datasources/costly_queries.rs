//! Queries that ask for more than there is. Whoever sends them gets a failure in time; everybody else gets answers.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

use crate::common::databases::{mariadb, postgres, sqlite};
use crate::common::sources::{failure, readers, rows, server_with, test, wait_for};
use crate::common::upstream::json_reply;
use crate::common::{Act, Seen, TestServer, Upstream};

/// Far longer than a query of a source with `timeout_seconds: 2` may take, and far shorter than these would take.
const DEADLINE: Duration = Duration::from_secs(15);

/// Each keeps SQLite busy with one value, with endlessly many rows, with memory or with files; none is a fault of its own.
const COSTLY: &[&str] = &[
    // In the midst of one step, where SQLite looks at no clock.
    "SELECT printf('%.900000c', 'a') LIKE '%' || printf('%.49000c', 'a') || 'b' AS x",
    "SELECT printf('%.900000c', 'a') LIKE '%' || printf('%.49000c', 'a') || 'b' ESCAPE '!' AS x",
    "SELECT like('%' || printf('%.49000c', 'a') || 'b', printf('%.900000c', 'a')) AS x",
    "SELECT printf('%.900000c', 'a') GLOB '*' || printf('%.49000c', 'a') || 'b' AS x",
    "SELECT instr(printf('%.9000000c', 'a'), printf('%.4000000c', 'a') || 'b') AS x",
    "SELECT replace(printf('%.9000000c', 'a'), printf('%.4000000c', 'a') || 'b', 'c') AS x",
    "SELECT trim(printf('%.9000000c', 'a'), printf('%.9000000c', 'b') || 'a') AS x",
    "SELECT length(replace(printf('%.100000c', 'a'), 'a', printf('%.100000c', 'b'))) AS x",
    // Row after row.
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS x FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) \
        SELECT count(*) AS x FROM n a, n b, n c, n d WHERE a.i || b.i LIKE '%' || c.i || '%' || d.i",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(DISTINCT i || printf('%.1000c', 'x')) AS x FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90000000) \
        SELECT i, printf('%.1000c', 'x') AS x FROM n ORDER BY i * 7919 % 104729 DESC",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90000000) \
        SELECT sum(i) OVER (ORDER BY -i ROWS BETWEEN 90000 PRECEDING AND 90000 FOLLOWING) AS x FROM n",
    // Memory; the first one that of the stack.
    "SELECT printf('%.900000c', 'a') LIKE replace(printf('%.24000c', 'x'), 'x', '%a') || 'b' AS x",
    "SELECT printf('%.900000000c', 'x') AS x",
    "SELECT hex(printf('%.300000000c', 'x')) AS x",
    "SELECT quote(printf('%.400000000c', '''')) AS x",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT group_concat(printf('%.1000c', 'x')) AS x FROM n",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT json_group_array(printf('%.1000c', 'x')) AS x FROM n",
];

#[tokio::test]
async fn no_query_of_a_file_goes_on_beyond_its_time_or_takes_the_file_from_others() {
    assert!(COSTLY.len() >= 12);
    let file = sqlite(&["CREATE TABLE t (id INTEGER)", "INSERT INTO t VALUES (1)"]).await;
    let server = server_with("sqlite", &file.url(), json!({"timeout_seconds": 2})).await;
    for sql in COSTLY {
        let costly = timeout(DEADLINE, failure(&server, sql, json!({})));
        let other = timeout(DEADLINE, rows(&server, "SELECT id FROM t", json!({})));
        let (costly, other) = tokio::join!(costly, other);
        let said = costly.unwrap_or_else(|_| panic!("goes on: {sql}"));
        assert!(
            ["did not finish in time", "out of memory", "needs more"].iter().any(|why| said.contains(why)),
            "{sql}: {said}"
        );
        assert_eq!(other.unwrap_or_else(|_| panic!("keeps others out: {sql}")), json!([{"id": 1}]));
    }
    assert_eq!(test(&server).await["details"]["breaker"], "closed");
    wait_for(async || readers(&file).iter().all(|state| *state == 'S')).await;
}

#[tokio::test]
async fn more_costly_queries_than_a_file_has_places_close_it_to_nobody() {
    let file = sqlite(&["CREATE TABLE t (id INTEGER)", "INSERT INTO t VALUES (1)"]).await;
    let server = server_with("sqlite", &file.url(), json!({"timeout_seconds": 2})).await;
    for said in timeout(DEADLINE, join_all((0..6).map(|_| failure(&server, COSTLY[0], json!({}))))).await.unwrap() {
        assert!(said.contains("did not finish in time") || said.contains("are in use"), "{said}");
    }
    assert_eq!(rows(&server, "SELECT id FROM t", json!({})).await, json!([{"id": 1}]));
    assert_eq!(test(&server).await["details"]["breaker"], "closed");
    // What is left of the readers goes with the source.
    server.delete("/api/datasources/db").await.expect(200);
    wait_for(async || readers(&file).is_empty()).await;
}

#[tokio::test]
async fn waiting_for_a_place_at_a_database_is_no_outage() {
    let one = postgres(&["CREATE FUNCTION waits() RETURNS text LANGUAGE sql AS 'SELECT pg_sleep(60)::text'"]).await;
    let two = mariadb(&["CREATE FUNCTION waits() RETURNS INT RETURN sleep(60)"]).await;
    for (kind, database) in [("postgres", &one), ("mysql", &two)] {
        let more = json!({"timeout_seconds": 3, "config": {"max_connections": 1, "functions": ["waits"]}});
        let server = server_with(kind, &database.url, more).await;
        let asked = (0..8).map(|_| failure(&server, "SELECT waits()", json!({})));
        let said = timeout(DEADLINE, join_all(asked)).await.unwrap();
        assert!(said.iter().filter(|said| said.contains("are in use")).count() >= 5, "{kind}: {said:?}");
        assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]));
        assert_eq!(test(&server).await["details"]["breaker"], "closed");
    }
}

#[tokio::test]
async fn all_files_share_a_number_of_readers_and_waiting_for_one_closes_no_file() {
    let statements = ["CREATE TABLE t (id INTEGER)", "INSERT INTO t VALUES (1)"];
    let (busy, quiet) = (sqlite(&statements).await, sqlite(&statements).await);
    let server = server_with("sqlite", &quiet.url(), json!({"timeout_seconds": 1})).await;
    let other = json!({"name": "busy", "type": "sqlite", "url": busy.url(), "timeout_seconds": 60,
        "config": {"max_connections": 20}});
    server.post("/api/datasources", &other).await.expect(201);
    let costly = json!({"query": COSTLY[0]});
    let asked = join_all((0..20).map(|_| server.post("/api/datasources/busy/query", &costly)));
    let meanwhile = async {
        wait_for(async || readers(&busy).len() >= 16).await;
        for _ in 0..6 {
            let said = failure(&server, "SELECT id FROM t", json!({})).await;
            assert!(said.contains("16 queries of SQLite files are running"), "{said}");
        }
        assert_eq!(readers(&busy).len(), 16);
    };
    // Callers who leave make room.
    tokio::select! {
        _ = asked => panic!("they are not costly"),
        () = meanwhile => {}
    }
    wait_for(async || readers(&busy).is_empty()).await;
    assert_eq!(rows(&server, "SELECT id FROM t", json!({})).await, json!([{"id": 1}]));
}

#[tokio::test]
async fn a_result_of_very_many_tiny_cells_is_cut_and_not_refused() {
    let file = sqlite(&["CREATE TABLE t (id INTEGER)"]).await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    let cells: Vec<_> = ('a'..='t').map(|name| format!("'' AS {name}")).collect();
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 90000) SELECT {} FROM n",
        cells.join(", ")
    );
    let asked = json!({"query": sql, "max_rows": 100_000});
    let found = server.post("/api/datasources/db/query", &asked).await.expect(200);
    assert_eq!(
        (&found["success"], &found["metadata"]["truncated"]),
        (&json!(true), &json!(true)),
        "{}",
        found["error"]
    );
    assert!(found["data"].as_array().unwrap().len() > 70_000);
}

/// A service for which some queries are too much: it says nothing more, or its connection breaks. `alive` is whether it answers when
/// it is asked how it is.
async fn slow_service(alive: bool) -> Upstream {
    Upstream::start(move |seen: &Seen, _| match (seen.method.as_str(), seen.text.contains("costly")) {
        ("GET", _) if alive => json_reply("200 OK", &json!({"cubes": []})),
        ("GET", _) => vec![Act::Hang],
        (_, true) if seen.text.contains("fatal") => vec![],
        (_, true) => vec![Act::Hang],
        _ if seen.text.contains("broken") => json_reply("503 Service Unavailable", &json!({})),
        _ => json_reply("200 OK", &json!({"data": [{"one": 1}], "row_count": 1, "schema": [], "annotation": {}})),
    })
    .await
}

#[tokio::test]
async fn a_costly_query_closes_no_service_to_others_but_one_that_is_silent_altogether_is_spared() {
    for kind in ["api", "cube"] {
        let upstream = slow_service(true).await;
        let server = server_with(kind, &upstream.url(), json!({"timeout_seconds": 1})).await;
        let (costly, cheap) = (r#"{"measures": ["costly"]}"#, r#"{"measures": ["cheap"]}"#);
        let fatal = r#"{"measures": ["costly and fatal"]}"#;
        for (query, end) in [(costly, "did not answer in time"), (fatal, "broke off")] {
            let asked = (0..6).map(|_| failure(&server, query, json!({})));
            for said in timeout(DEADLINE, join_all(asked)).await.unwrap() {
                assert!(said.contains(end), "{said}");
            }
            assert_eq!(rows(&server, cheap, json!({})).await, json!([{"one": 1}]));
        }
        assert_eq!(test(&server).await["details"]["breaker"], "closed");

        let dead = slow_service(false).await;
        let server = server_with(kind, &dead.url(), json!({"timeout_seconds": 1})).await;
        timeout(DEADLINE, join_all((0..5).map(|_| failure(&server, costly, json!({}))))).await.unwrap();
        wait_for(async || failure(&server, costly, json!({})).await.contains("keeps failing")).await;
    }
}

#[tokio::test]
async fn a_service_whose_own_test_is_well_is_spared_all_the_same_when_calls_keep_failing() {
    for kind in ["api", "cube"] {
        let upstream = slow_service(true).await;
        let server = server_with(kind, &upstream.url(), json!({"timeout_seconds": 1})).await;
        let (costly, broken) = (r#"{"measures": ["costly"]}"#, r#"{"measures": ["broken"]}"#);
        for _ in 0..4 {
            assert!(failure(&server, broken, json!({})).await.contains("503"));
        }
        assert!(failure(&server, costly, json!({})).await.contains("did not answer in time"));
        wait_for(async || upstream.seen().iter().any(|seen| seen.method == "GET")).await;
        // The end of the test, which nobody sees.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(failure(&server, broken, json!({})).await.contains("503"));
        let said = failure(&server, broken, json!({})).await;
        assert!(said.contains("keeps failing"), "{said}");
    }
}

#[tokio::test]
async fn a_database_that_accepts_and_says_nothing_opens_the_circuit() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    for kind in ["postgres", "mysql"] {
        let url = format!("{kind}://u:p@{}/x", silent.local_addr().unwrap());
        let server = server_with(kind, &url, json!({"timeout_seconds": 1, "config": {"max_connections": 20}})).await;
        timeout(DEADLINE, join_all((0..5).map(|_| failure(&server, "SELECT 1", json!({}))))).await.unwrap();
        wait_for(async || failure(&server, "SELECT 1", json!({})).await.contains("keeps failing")).await;
    }
}

#[tokio::test]
async fn a_costly_call_closes_no_agent_to_others() {
    let agent = Upstream::start(|seen, _| match seen.path.as_str() {
        "/costly" => vec![Act::Hang],
        "/broken" => json_reply("503 Service Unavailable", &json!({})),
        _ => json_reply("200 OK", &json!({"ok": 1})),
    })
    .await;
    let server = TestServer::bare().await;
    server.post("/api/agents", &json!({"name": "a", "url": agent.url(), "timeout_seconds": 1})).await.expect(201);
    let call = async |endpoint: &str| {
        server.post(&format!("/api/agents/a/call?endpoint={endpoint}"), &json!({})).await.expect(200)
    };
    for _ in 0..2 {
        for answer in timeout(DEADLINE, join_all((0..5).map(|_| call("/costly")))).await.unwrap() {
            assert_eq!(answer["status_code"], 408, "{answer}");
        }
        assert_eq!(call("/quick").await["success"], true);
    }
    // Its sign of life wipes out no failure.
    for _ in 0..4 {
        assert_eq!(call("/broken").await["status_code"], 503);
    }
    let healths = || agent.seen().iter().filter(|seen| seen.path == "/health").count();
    let before = healths();
    assert_eq!(call("/costly").await["status_code"], 408);
    wait_for(async || healths() > before).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(call("/broken").await["status_code"], 503);
    let spared = call("/quick").await;
    assert!(spared["error"].as_str().unwrap().contains("keeps failing"), "{spared}");
}

#[tokio::test]
async fn connections_that_break_are_no_outage_as_long_as_there_are_new_ones() {
    let database = mariadb(&["CREATE FUNCTION waits() RETURNS INT RETURN sleep(60)"]).await;
    let server =
        server_with("mysql", &database.url, json!({"config": {"max_connections": 5, "functions": ["waits"]}})).await;
    let asked = join_all((0..5).map(|_| failure(&server, "SELECT waits()", json!({}))));
    let broken = async {
        wait_for(async || database.running().await == 5).await;
        database.execute(&format!("KILL HARD USER {}", database.account())).await;
    };
    let (said, ()) = timeout(DEADLINE, async { tokio::join!(asked, broken) }).await.unwrap();
    assert!(said.iter().all(|said| said.contains("the connection failed")), "{said:?}");
    for _ in 0..5 {
        assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]));
    }
    assert_eq!(test(&server).await["details"]["breaker"], "closed");
}
