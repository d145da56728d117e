//! Databases as data sources: what is asked of them, for how long, with which account, and what a caller is told.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::common::databases::{TestDatabase, mariadb, postgres, sqlite};
use crate::common::sources::{
    ask, by_name, change, failure, query, readers, refusal, rows, server_with, source, test, wait_for,
};
use crate::common::{Program, TestServer};

/// Longer than a statement of a source with `timeout_seconds: 1` may take by far, and shorter than the 60 s of others.
const DEADLINE: Duration = Duration::from_secs(15);

const SHOP: &[&str] = &[
    "CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)",
    "INSERT INTO customers VALUES (1, 'Ada'), (2, 'Alan'), (3, 'Grace')",
];
const MARIADB_SHOP: &[&str] = &[
    "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20) NOT NULL)",
    "INSERT INTO customers VALUES (1, 'Ada'), (2, 'Alan'), (3, 'Grace')",
];

const SLOW_POSTGRES: &str = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
const SLOW_RECURSION: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000000) SELECT count(*) FROM n";
const SLOW_MARIADB_RECURSION: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) \
    SELECT count(*) FROM n a, n b, n c, n d";
const SLOW_MARIADB: &str = "SELECT count(*) FROM information_schema.collations a, information_schema.collations b, \
    information_schema.collations c, information_schema.collations d";

#[tokio::test]
async fn a_change_of_the_source_counts_from_the_next_query_on_and_the_old_connections_close() {
    let (old, new) = (postgres(SHOP).await, postgres(SHOP).await);
    new.execute("DELETE FROM customers WHERE id > 1").await;
    let server = server_with("postgres", &old.url, json!({})).await;
    let sql = "SELECT count(*) AS n FROM customers";
    assert_eq!(rows(&server, sql, json!({})).await, json!([{"n": 3}]));
    assert_eq!(old.sessions().await, 1);
    change(&server, "postgres", &new.url, json!({})).await;
    assert_eq!(rows(&server, sql, json!({})).await, json!([{"n": 1}]));
    wait_for(async || old.sessions().await == 0).await;

    // The password alone, kept apart from the URL: a wrong one is refused at once, although the pool was logged in.
    let bare = new.url_with(&format!(":{}@", new.password()), "@");
    change(&server, "postgres", &bare, json!({"auth_token": new.password()})).await;
    assert_eq!(rows(&server, sql, json!({})).await, json!([{"n": 1}]));
    change(&server, "postgres", &bare, json!({"auth_token": "not-the-password"})).await;
    let said = failure(&server, sql, json!({})).await;
    assert!(said.contains("password authentication failed") && !said.contains("not-the-password"), "{said}");

    // Another engine under the same name.
    let third = mariadb(MARIADB_SHOP).await;
    change(&server, "mysql", &third.url, json!({"auth_token": null})).await;
    assert_eq!(rows(&server, sql, json!({})).await, json!([{"n": 3}]));
}

#[tokio::test]
async fn a_password_may_hold_any_character() {
    let password = "p@ss/w:rd%3A #?ř";
    let (one, two) = (postgres(SHOP).await, mariadb(MARIADB_SHOP).await);
    one.execute(&format!("ALTER ROLE {} PASSWORD '{password}'", one.account())).await;
    two.execute(&format!("ALTER USER {} IDENTIFIED BY '{password}'", two.account())).await;
    for (kind, database) in [("postgres", &one), ("mysql", &two)] {
        let login = |written: &str| database.url_with(&format!(":{}@", database.password()), written);
        let server = server_with(kind, &login(":p%40ss%2Fw%3Ard%253A%20%23%3F%C5%99@"), json!({})).await;
        query(&server, "SELECT 1 AS one", json!({})).await;
        change(&server, kind, &login("@"), json!({"auth_token": password})).await;
        query(&server, "SELECT 1 AS one", json!({})).await;
    }
}

#[tokio::test]
async fn rows_stop_at_what_the_query_or_else_the_source_allows_and_that_is_told() {
    let (one, two) = (postgres(SHOP).await, mariadb(MARIADB_SHOP).await);
    let file = sqlite(SHOP).await;
    for (kind, url) in [("postgres", &one.url), ("mysql", &two.url), ("sqlite", &file.url())] {
        let server = server_with(kind, url, json!({"config": {"max_rows": 2, "max_connections": 1}})).await;
        let sql = "SELECT id FROM customers ORDER BY id";
        for (most, ids, truncated) in
            [(json!(null), 2, true), (json!(1), 1, true), (json!(3), 3, false), (json!(100_000), 3, false)]
        {
            let body = json!({"query": sql, "max_rows": most});
            let reply = server.post("/api/datasources/db/query", &body).await.expect(200);
            assert_eq!(
                (&reply["row_count"], &reply["metadata"]["truncated"]),
                (&json!(ids), &json!(truncated)),
                "{kind}"
            );
            assert_eq!(reply["data"].as_array().unwrap().len(), ids);
        }
        let reply = server.post("/api/datasources/db/query", &json!({"query": sql, "max_rows": 0})).await;
        assert_eq!(reply.expect(422)["errors"][0]["loc"], json!(["body", "max_rows"]));
    }
}

#[tokio::test]
async fn a_result_too_large_to_pass_on_is_cut() {
    let (one, two) = (postgres(&[]).await, mariadb(&[]).await);
    let file = sqlite(&[]).await;
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT";
    for (kind, url, wide) in [
        ("postgres", &one.url, "repeat('x', 100000)"),
        ("mysql", &two.url, "repeat('x', 100000)"),
        ("sqlite", &file.url(), "printf('%.100000c', 'x')"),
    ] {
        let server = server_with(kind, url, json!({})).await;
        let reply = query(&server, &format!("{many} i, {wide} AS x FROM n"), json!({})).await;
        let count = reply["row_count"].as_u64().unwrap();
        assert!((90..100).contains(&count), "{kind}: {count}");
        assert_eq!(reply["metadata"]["truncated"], true);
        // One value alone may be too large too.
        let huge = wide.replace("100000", "12000000");
        let reply = query(&server, &format!("SELECT {huge} AS x"), json!({})).await;
        assert_eq!((&reply["data"], &reply["metadata"]["truncated"]), (&json!([]), &json!(true)), "{kind}");
        assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]));
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended_in_the_database() {
    let (one, two) = (postgres(&[]).await, mariadb(&[]).await);
    for (database, kind, slow) in
        [(&one, "postgres", SLOW_POSTGRES), (&two, "mysql", SLOW_MARIADB), (&two, "mariadb", SLOW_MARIADB_RECURSION)]
    {
        let more = json!({"timeout_seconds": 1, "config": {"max_connections": 1}});
        let server = server_with(kind, &database.url, more).await;
        timeout(DEADLINE, failure(&server, slow, json!({}))).await.unwrap();
        database.idle().await;
        assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]));
    }
}

#[tokio::test]
async fn queries_that_take_too_long_are_no_outage() {
    let sleepy = "CREATE FUNCTION waits() RETURNS text LANGUAGE sql AS 'SELECT pg_sleep(60)::text'";
    let one = postgres(&[sleepy]).await;
    let two = mariadb(&["CREATE FUNCTION waits() RETURNS INT RETURN sleep(60)"]).await;
    for (kind, database) in [("postgres", &one), ("mysql", &two)] {
        // The database objects a second before the deadline. On a busy machine its word may come too late: no outage either.
        let more = json!({"timeout_seconds": 10, "config": {"max_connections": 5, "functions": ["waits"]}});
        let server = server_with(kind, &database.url, more).await;
        // As many as open a circuit.
        let asked = (0..5).map(|_| failure(&server, "SELECT waits()", json!({})));
        for said in timeout(DEADLINE, futures_util::future::join_all(asked)).await.unwrap() {
            assert!(["statement", "did not answer in time"].iter().any(|part| said.contains(part)), "{kind}: {said}");
        }
        assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]));
    }
}

#[tokio::test]
async fn an_endless_query_of_a_file_leaves_its_only_connection_free() {
    let file = sqlite(SHOP).await;
    let more = json!({"timeout_seconds": 1, "config": {"max_connections": 1}});
    let server = server_with("sqlite", &file.url(), more).await;
    timeout(DEADLINE, failure(&server, SLOW_RECURSION, json!({}))).await.unwrap();
    change(&server, "sqlite", &file.url(), json!({"timeout_seconds": 60, "config": {"max_connections": 1}})).await;
    assert_eq!(rows(&server, "SELECT count(*) AS n FROM customers", json!({})).await, json!([{"n": 3}]));
    let waiting = (*server).clone();
    let leaving = tokio::spawn(async move {
        waiting.post("/api/datasources/db/query", &json!({"query": SLOW_RECURSION})).await;
    });
    // The connection is taken once a query has to wait for it.
    wait_for(async || {
        let quick = ask(&server, "SELECT 1 AS one", json!({}));
        timeout(Duration::from_millis(300), quick).await.is_err()
    })
    .await;
    leaving.abort();
    let free = timeout(DEADLINE, rows(&server, "SELECT 1 AS one", json!({}))).await;
    assert_eq!(free.unwrap(), json!([{"one": 1}]));
}

#[tokio::test]
async fn work_ends_when_the_caller_leaves() {
    let database = postgres(&[]).await;
    let server = server_with("postgres", &database.url, json!({"timeout_seconds": 60})).await;
    let client = (*server).clone();
    let leaving = tokio::spawn(async move {
        client.post("/api/datasources/db/query", &json!({"query": SLOW_POSTGRES})).await;
    });
    database.busy().await;
    leaving.abort();
    database.idle().await;
    assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]));

    // MariaDB does not notice; its own limit ends the statement.
    let database = mariadb(&[]).await;
    let server = server_with("mysql", &database.url, json!({"timeout_seconds": 3})).await;
    let client = (*server).clone();
    let leaving = tokio::spawn(async move {
        client.post("/api/datasources/db/query", &json!({"query": SLOW_MARIADB})).await;
    });
    database.busy().await;
    leaving.abort();
    database.idle().await;
}

#[tokio::test]
async fn a_files_reader_stops_when_the_caller_leaves_and_when_the_server_is_killed() {
    let (folder, file) = (tempfile::tempdir().unwrap(), sqlite(SHOP).await);
    let program = Program::start("serve", folder.path(), &[]).await;
    let more = json!({"timeout_seconds": 3600, "config": {"max_connections": 1}});
    program.client.post("/api/datasources", &source("sqlite", &file.url(), more)).await.expect(201);
    let ask = || {
        let client = program.client.clone();
        tokio::spawn(async move {
            client.post("/api/datasources/db/query", &json!({"query": SLOW_RECURSION})).await;
        })
    };
    let leaving = ask();
    wait_for(async || readers(&file).contains(&'R')).await;
    leaving.abort();
    wait_for(async || readers(&file).is_empty()).await;

    let cut = ask();
    wait_for(async || readers(&file).contains(&'R')).await;
    program.kill();
    wait_for(async || readers(&file).is_empty()).await;
    cut.abort();
}

#[tokio::test]
async fn no_statement_stays_behind_in_a_connection() {
    let left =
        "CREATE FUNCTION left_over() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM pg_prepared_statements'";
    let database = postgres(&[SHOP[0], SHOP[1], left]).await;
    let named = json!({"max_connections": 1, "functions": ["left_over"]});
    let server = server_with("postgres", &database.url, json!({"config": named})).await;
    for id in 1..=5 {
        query(&server, "SELECT name FROM customers WHERE id = :id", json!({"id": id})).await;
        query(&server, "SELECT name FROM customers WHERE id > 99", json!({})).await;
    }
    // The query itself is one, in the form in which it was checked.
    assert_eq!(rows(&server, "SELECT left_over() AS n", json!({})).await, json!([{"n": 1}]));
    assert_eq!(database.sessions().await, 1);
}

const CATALOG_POSTGRES: &[&str] = &[
    "CREATE SCHEMA archive",
    "CREATE TABLE customers (id int PRIMARY KEY, name varchar(20) NOT NULL DEFAULT 'nobody', city text)",
    "COMMENT ON TABLE customers IS 'Who buys'",
    "COMMENT ON COLUMN customers.city IS 'Where they live'",
    "CREATE TABLE archive.sales (customer int REFERENCES customers (id), day date, amount numeric(10,2), PRIMARY KEY (customer, day))",
    "CREATE VIEW rich AS SELECT name, 1 AS one FROM customers",
    "CREATE TABLE hidden (secret text)",
    "CREATE TABLE partly (open int, closed text)",
    "CREATE SCHEMA locked",
    "CREATE TABLE locked.gone (id int)",
];

#[tokio::test]
async fn the_schema_of_postgres_holds_what_the_account_may_read() {
    let database = postgres(CATALOG_POSTGRES).await;
    let reader = database.reader();
    database
        .execute(&format!(
            "REVOKE ALL ON hidden, partly FROM {reader}; GRANT SELECT (open) ON partly TO {reader};
             REVOKE USAGE ON SCHEMA locked FROM {reader}"
        ))
        .await;
    let server = server_with("postgres", &database.reader_url, json!({})).await;
    let reply = server.get("/api/datasources/db/schema").await.expect(200);
    assert_eq!((&reply["success"], &reply["datasource"]), (&json!(true), &json!("db")));
    let tables = by_name(&reply["schema"]["tables"]);
    let customers = json!({"schema": "public", "name": "customers", "type": "table", "comment": "Who buys", "columns": [
        {"name": "id", "type": "integer", "nullable": false, "default": null, "primary_key": true, "references": null, "comment": null},
        {"name": "name", "type": "character varying(20)", "nullable": false, "default": "'nobody'::character varying",
            "primary_key": false, "references": null, "comment": null},
        {"name": "city", "type": "text", "nullable": true, "default": null, "primary_key": false, "references": null,
            "comment": "Where they live"}]});
    assert_eq!(Value::from(tables["customers"].clone()), customers);
    let sales = &tables["sales"];
    assert_eq!(
        (&sales["schema"], &sales["columns"][0]["references"]),
        (&json!("archive"), &json!("public.customers.id"))
    );
    let keys: Vec<_> =
        sales["columns"].as_array().unwrap().iter().map(|column| column["primary_key"].clone()).collect();
    assert_eq!(keys, [true, true, false]);
    assert_eq!(sales["columns"][2]["type"], "numeric(10,2)");
    assert_eq!((&tables["rich"]["type"], &tables["rich"]["columns"][1]["name"]), (&json!("view"), &json!("one")));
    let readable = tables["partly"]["columns"].as_array().unwrap().iter().map(|column| column["name"].clone());
    assert_eq!(readable.collect::<Vec<_>>(), ["open"]);
    let mut names: Vec<_> = tables.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["customers", "partly", "rich", "sales"]);

    let reply = server.get("/api/datasources/db/tables").await.expect(200);
    assert_eq!((&reply["success"], &reply["count"]), (&json!(true), &json!(4)));
    let first = json!({"schema": "archive", "name": "sales", "type": "table", "comment": null});
    assert_eq!(reply["tables"][0], first);
}

#[tokio::test]
async fn the_schema_of_mariadb_holds_what_the_account_may_read() {
    let elsewhere = mariadb(&["CREATE TABLE other (id INT)"]).await;
    let database = mariadb(&[
        "CREATE TABLE customers (id INT UNSIGNED PRIMARY KEY, name VARCHAR(20) NOT NULL DEFAULT 'nobody' COMMENT 'Full name',
            city TEXT) COMMENT 'Who buys'",
        "CREATE TABLE sales (customer INT UNSIGNED, day DATE, amount DECIMAL(10,2), PRIMARY KEY (customer, day),
            FOREIGN KEY (customer) REFERENCES customers (id))",
        "CREATE VIEW rich AS SELECT name, 1 AS one FROM customers",
    ])
    .await;
    let server = server_with("mysql", &database.reader_url, json!({})).await;
    let reply = server.get("/api/datasources/db/schema").await.expect(200);
    assert_eq!(reply["success"], true, "{reply}");
    let tables = by_name(&reply["schema"]["tables"]);
    let customers = json!({"schema": database.name(), "name": "customers", "type": "table", "comment": "Who buys", "columns": [
        {"name": "id", "type": "int(10) unsigned", "nullable": false, "default": null, "primary_key": true, "references": null,
            "comment": null},
        {"name": "name", "type": "varchar(20)", "nullable": false, "default": "'nobody'", "primary_key": false,
            "references": null, "comment": "Full name"},
        {"name": "city", "type": "text", "nullable": true, "default": "NULL", "primary_key": false, "references": null,
            "comment": null}]});
    assert_eq!(Value::from(tables["customers"].clone()), customers);
    let sales = tables["sales"]["columns"].as_array().unwrap();
    assert_eq!((&sales[0]["references"], &sales[1]["references"]), (&json!("customers.id"), &json!(null)));
    assert_eq!((&sales[1]["primary_key"], &sales[2]["primary_key"]), (&json!(true), &json!(false)));
    assert_eq!((&tables["rich"]["type"], &tables["rich"]["comment"]), (&json!("view"), &json!(null)));
    assert_eq!(tables.len(), 3, "{tables:?}");
    assert!(!reply.to_string().contains(elsewhere.name()));
    assert_eq!(server.get("/api/datasources/db/tables").await.expect(200)["count"], 3);
}

#[tokio::test]
async fn the_schema_of_a_file_holds_tables_views_and_keys_even_if_a_view_is_broken() {
    let file = sqlite(&[
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'nobody', loud TEXT AS (upper(name)))",
        "CREATE TABLE sales (customer INTEGER REFERENCES customers, day DATE, kind TEXT REFERENCES kinds (code), free,
            PRIMARY KEY (customer, day))",
        "CREATE TABLE kinds (code TEXT PRIMARY KEY)",
        "CREATE VIEW rich AS SELECT name, 1 AS one FROM customers",
        "CREATE VIEW broken AS SELECT x FROM no_longer_there",
    ])
    .await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    let reply = server.get("/api/datasources/db/schema").await.expect(200);
    assert_eq!(reply["success"], true, "{reply}");
    let tables = by_name(&reply["schema"]["tables"]);
    let customers = json!({"schema": null, "name": "customers", "type": "table", "comment": null, "columns": [
        {"name": "id", "type": "INTEGER", "nullable": false, "default": null, "primary_key": true, "references": null, "comment": null},
        {"name": "name", "type": "TEXT", "nullable": false, "default": "'nobody'", "primary_key": false, "references": null,
            "comment": null},
        {"name": "loud", "type": "TEXT", "nullable": true, "default": null, "primary_key": false, "references": null,
            "comment": null}]});
    assert_eq!(Value::from(tables["customers"].clone()), customers);
    let sales = tables["sales"]["columns"].as_array().unwrap();
    let references: Vec<_> = sales.iter().map(|column| column["references"].clone()).collect();
    assert_eq!(references, [json!("customers.id"), json!(null), json!("kinds.code"), json!(null)]);
    assert_eq!(tables["rich"]["type"], "view");
    assert_eq!(tables["rich"]["columns"][1]["name"], "one");
}

/// What a test of a new source finds.
async fn tested(kind: &str, url: &str, more: Value) -> Value {
    let server = server_with(kind, url, more).await;
    let reply = test(&server).await;
    let state = if reply["success"] == true { "reachable" } else { "unreachable" };
    let mut expected = json!({"datasource": "db", "type": kind, "config_valid": true, "config_saved": true, "enabled": true,
        "connectivity_tested": true, "connectivity_status": state});
    for (name, value) in expected.as_object_mut().unwrap() {
        assert_eq!(&reply[name.as_str()], value, "{name} of {reply}");
    }
    assert_eq!(reply["message"], reply["details"]["message"]);
    assert_eq!((&reply["details"]["success"], &reply["details"]["datasource"]), (&reply["success"], &json!("db")));
    assert!(reply["details"]["response_time_ms"].as_f64().unwrap() >= 0.0);
    assert_eq!(reply.get("suggestion").is_some(), reply["success"] == false, "{reply}");
    reply
}

/// Asserts each of these fields of the details.
fn assert_found(reply: &Value, expected: Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&reply["details"][name], value, "{name} of {reply}");
    }
}

#[tokio::test]
async fn a_test_tells_what_the_account_may_do() {
    let databases =
        [("postgres", postgres(SHOP).await, "PostgreSQL 15"), ("mysql", mariadb(MARIADB_SHOP).await, "MariaDB 10")];
    for (kind, database, version) in databases {
        let reply = tested(kind, &database.reader_url, json!({})).await;
        assert_eq!((&reply["success"], &reply["message"]), (&json!(true), &json!("Datasource is reachable")));
        assert_found(
            &reply,
            json!({"reached": true, "authenticated": true, "read_only": true, "account_may_write": false,
                "account_is_superuser": false, "warning": null, "breaker": "closed", "status_code": null}),
        );
        assert!(reply["details"]["version"].as_str().unwrap().starts_with(version), "{reply}");
        assert!(reply["details"]["account"].as_str().unwrap().starts_with("reader_"), "{reply}");

        let reply = tested(kind, &database.url, json!({})).await;
        assert_found(&reply, json!({"read_only": true, "account_may_write": true, "account_is_superuser": false}));
        assert!(reply["details"]["warning"].as_str().unwrap().contains("may write"), "{reply}");
    }
    // An empty database, in which the account may make tables.
    let reply = tested("postgres", &postgres(&[]).await.url, json!({})).await;
    assert_found(&reply, json!({"account_may_write": true}));
    for (kind, variable) in [("postgres", "TEST_POSTGRES_URL"), ("mysql", "TEST_MARIADB_URL")] {
        let url = crate::common::databases::variable(variable);
        // Its own database is one that a source of MariaDB may not be.
        let reply = tested(kind, url.trim_end_matches("mysql"), json!({})).await;
        assert_found(&reply, json!({"read_only": true, "account_may_write": true, "account_is_superuser": true}));
        assert!(reply["details"]["warning"].as_str().unwrap().contains("superuser"), "{reply}");
    }
    let file = sqlite(SHOP).await;
    let reply = tested("sqlite", &file.url(), json!({})).await;
    assert_found(&reply, json!({"reached": true, "authenticated": null, "read_only": true, "tables": 1}));
    assert!(reply["details"]["version"].as_str().unwrap().starts_with("SQLite 3."), "{reply}");
}

#[tokio::test]
async fn a_test_tells_why_a_database_can_not_be_used() {
    let (one, two) = (postgres(SHOP).await, mariadb(MARIADB_SHOP).await);
    let closed = "127.0.0.1:1".to_owned();
    let address = |database: &TestDatabase| {
        let (_, rest) = database.url.split_once('@').unwrap();
        rest.split('/').next().unwrap().to_owned()
    };
    let canary = "canary-password-1";
    let cases = [
        ("postgres", one.url_with(one.password(), canary), "password authentication failed"),
        ("mysql", two.url_with(two.password(), canary), "Access denied"),
        ("postgres", one.url_with(&address(&one), &closed), "refused the connection"),
        ("mysql", two.url_with(&address(&two), &closed), "refused the connection"),
        ("postgres", one.url_with(one.name(), "no_such_database"), "no_such_database"),
        ("mysql", two.url_with(two.name(), "no_such_database"), "no_such_database"),
        ("postgres", format!("{}?sslmode=require", one.url), "TLS"),
        ("mysql", format!("{}?ssl-mode=REQUIRED", two.url), "TLS"),
        ("mysql", two.url_with(two.name(), "mysql"), "a database of the server's own"),
        // Something else listens there.
        ("postgres", one.url_with(&address(&one), &address(&two)), ""),
    ];
    for (kind, url, expected) in cases {
        // The source's own timeout is much longer than the test's patience.
        let reply = timeout(DEADLINE, tested(kind, &url, json!({"timeout_seconds": 3600}))).await.unwrap();
        assert_eq!((&reply["success"], &reply["message"]), (&json!(false), &json!("Failed to connect to datasource")));
        let said = reply["details"]["error"].as_str().unwrap();
        assert!(said.starts_with("DataSource 'db'") && said.contains(expected), "{kind} at {url}: {said}");
        assert_found(&reply, json!({"reached": false}));
        assert!(!reply.to_string().contains(canary) && !reply.to_string().contains(one.password()), "{reply}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    for kind in ["postgres", "mysql"] {
        let url = format!("{kind}://u:canary-password-1@{address}/x");
        let reply = timeout(DEADLINE, tested(kind, &url, json!({"timeout_seconds": 1}))).await.unwrap();
        assert_eq!(reply["message"], "Datasource did not respond within timeout period");
        let said = reply["details"]["error"].as_str().unwrap();
        assert!(said.contains("did not answer in time"), "{said}");
    }
}

#[tokio::test]
async fn a_circuit_opens_after_failures_and_is_shown_and_a_refused_query_does_not_mend_it() {
    let url = "postgres://u:p@127.0.0.1:1/x".to_owned();
    let server = server_with("postgres", &url, json!({})).await;
    for _ in 0..4 {
        assert!(failure(&server, "SELECT 1", json!({})).await.contains("refused the connection"));
    }
    refusal(&server, "DROP TABLE x", json!({})).await;
    assert_eq!(test(&server).await["details"]["breaker"], "closed");
    failure(&server, "SELECT 1", json!({})).await;
    assert_eq!(test(&server).await["details"]["breaker"], "open");
    assert!(failure(&server, "SELECT 1", json!({})).await.contains("keeps failing"));
    assert_eq!(server.get("/api/datasources/health/all").await.expect(200)["datasources"]["db"]["breaker"], "open");
    // A source that moves starts anew.
    let database = postgres(SHOP).await;
    change(&server, "postgres", &database.url, json!({})).await;
    assert_eq!(test(&server).await["details"]["breaker"], "closed");
}

#[tokio::test]
async fn a_source_that_is_disabled_or_skipped_is_not_contacted() {
    let url = "postgres://u:canary-password-1@127.0.0.1:1/x".to_owned();
    let server = server_with("postgres", &url, json!({"enabled": false})).await;
    for path in ["/api/datasources/db/test", "/api/datasources/db/test?skip_connectivity=true"] {
        let shown = url.replace("canary-password-1", "********");
        let expected = json!({"datasource": "db", "type": "postgres", "config_valid": true, "config_saved": true,
            "enabled": false, "url": shown, "success": false, "connectivity_tested": false, "connectivity_status": "skipped",
            "message": "DataSource is disabled. Enable it to test connectivity.",
            "warning": "DataSource configuration is saved but datasource is disabled"});
        assert_eq!(server.post(path, &Value::Null).await.expect(200), expected);
    }
    assert_eq!(failure(&server, "SELECT 1", json!({})).await, "DataSource 'db' is disabled");
    let reply = server.get("/api/datasources/db/tables").await.expect(200);
    assert_eq!(reply["error"], "DataSource 'db' is disabled");
    change(&server, "postgres", &url, json!({"enabled": true})).await;
    let reply = server.post("/api/datasources/db/test?skip_connectivity=true", &Value::Null).await.expect(200);
    assert_eq!((&reply["success"], &reply["connectivity_status"]), (&json!(true), &json!("skipped")));
    assert_eq!(reply["message"], "DataSource configuration is valid. Connectivity test skipped.");
    assert!(reply.get("details").is_none(), "{reply}");
}

#[tokio::test]
async fn a_type_that_is_not_supported_can_be_stored_but_not_used() {
    let server = server_with("mongodb", "mongodb://u:canary-password-1@127.0.0.1:27017/x", json!({})).await;
    let unsupported = "DataSource 'db': unsupported type 'mongodb'";
    assert_eq!(failure(&server, "{}", json!({})).await, unsupported);
    let reply = test(&server).await;
    assert_eq!((&reply["success"], &reply["details"]["error"]), (&json!(false), &json!(unsupported)));
    for path in ["schema", "tables"] {
        let reply = server.get(&format!("/api/datasources/db/{path}")).await.expect(200);
        assert_eq!((&reply["success"], &reply["error"]), (&json!(false), &json!(unsupported)));
    }
    assert!(!server.get("/api/datasources").await.text.contains("canary"));
}

#[tokio::test]
async fn a_file_that_is_missing_or_no_database_or_the_servers_own_is_refused() {
    let server = TestServer::bare().await;
    let own = server.folder().join("studio.db");
    let folder = tempfile::tempdir().unwrap();
    let (link, text) = (folder.path().join("innocent.db"), folder.path().join("notes.txt"));
    std::os::unix::fs::symlink(&own, &link).unwrap();
    std::fs::write(&text, "This is no database at all, although it is long enough to be looked at as if it were one.")
        .unwrap();
    let missing = folder.path().join("missing.db");
    server.post("/api/datasources", &source("sqlite", "sqlite:x", json!({}))).await.expect(201);
    for (path, expected) in [
        (own.display().to_string(), "own store"),
        (
            format!(
                "{}/../{}/studio.db",
                own.parent().unwrap().display(),
                own.parent().unwrap().file_name().unwrap().display()
            ),
            "own store",
        ),
        (link.display().to_string(), "own store"),
        (missing.display().to_string(), "No such file"),
        (format!("{}?mode=rwc", missing.display()), "No such file"),
        (text.display().to_string(), "not a database"),
        (folder.path().display().to_string(), "is no file"),
    ] {
        change(&server, "sqlite", &format!("sqlite://{path}"), json!({})).await;
        let said = failure(&server, "SELECT count(*) FROM sqlite_master", json!({})).await;
        assert!(said.contains(expected), "{path}: {said}");
        let reply = test(&server).await;
        assert_eq!((&reply["success"], &reply["connectivity_status"]), (&json!(false), &json!("unreachable")));
        assert!(reply["details"]["error"].as_str().unwrap().contains(expected), "{reply}");
        let reply = server.get("/api/datasources/db/tables").await.expect(200);
        assert_eq!((&reply["success"], &reply["tables"], &reply["count"]), (&json!(false), &json!([]), &json!(0)));
    }
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_file_is_read_while_another_program_writes_it() {
    let file = sqlite(&["PRAGMA journal_mode = WAL", SHOP[0], SHOP[1]]).await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    let mut writer = file.open().await;
    sqlx::raw_sql("BEGIN IMMEDIATE; DELETE FROM customers WHERE id = 1").execute(&mut writer).await.unwrap();
    assert_eq!(rows(&server, "SELECT count(*) AS n FROM customers", json!({})).await, json!([{"n": 3}]));
    sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
    assert_eq!(rows(&server, "SELECT count(*) AS n FROM customers", json!({})).await, json!([{"n": 2}]));
}

#[tokio::test]
async fn a_plan_can_be_explained_and_many_callers_share_the_pool() {
    let (one, two) = (postgres(SHOP).await, mariadb(MARIADB_SHOP).await);
    let file = sqlite(SHOP).await;
    for (kind, url) in [("postgres", &one.url), ("mysql", &two.url), ("sqlite", &file.url())] {
        let server = server_with(kind, url, json!({"config": {"max_connections": 3}})).await;
        let sql = "SELECT name FROM customers WHERE id = :id";
        let plan = query(&server, &format!("EXPLAIN {sql}"), json!({"id": 1})).await;
        assert!(plan["row_count"].as_u64().unwrap() > 0, "{kind}: {plan}");
        let asked = (0..20).map(|_| query(&server, sql, json!({"id": 2})));
        for reply in futures_util::future::join_all(asked).await {
            assert_eq!(reply["data"], json!([{"name": "Alan"}]));
        }
    }
    assert!(one.sessions().await <= 3 && two.sessions().await <= 3);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_replaced() {
    let database = postgres(SHOP).await;
    let server = server_with("postgres", &database.url, json!({"config": {"max_connections": 1}})).await;
    let sql = "SELECT count(*) AS n FROM customers";
    query(&server, sql, json!({})).await;
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'owner_%' AND datname = current_database()").await;
    assert_eq!(rows(&server, sql, json!({})).await, json!([{"n": 3}]));
}
