//! Rows that belong to somebody, in a PostgreSQL whose policies decide by who asks.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{ADMIN, client_with, user, with_authentication};
use crate::common::chat::{Wanted, asked_for, wanted};
use crate::common::databases::{TestDatabase, postgres};
use crate::common::grounding::{COLLECTING, collected, values};
use crate::common::sources::{source, wait_for};
use crate::common::upstream::openai;
use crate::common::{Client, TestServer, Upstream};

/// Orders that belong to users, and prices that belong to tenants.
const SHOP: &[&str] = &[
    "CREATE TABLE orders (id int PRIMARY KEY, owner text NOT NULL, item text NOT NULL, state text NOT NULL)",
    "INSERT INTO orders VALUES (1, 'ada', 'lamp', 'open'), (2, 'ada', 'desk', 'open'), (3, 'eve', 'sofa', 'paid'), \
     (4, E'o''neill\\\\', 'rug', 'paid')",
    "ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE POLICY own ON orders USING (owner = current_setting('app.user_id', true))",
    "CREATE TABLE prices (tenant text, price int)",
    "INSERT INTO prices VALUES ('acme', 7), ('other', 8)",
    "ALTER TABLE prices ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE POLICY own ON prices USING (tenant = current_setting('app.tenant', true) \
     AND current_setting('app.role', true) <> 'viewer')",
    "CREATE FUNCTION become(name text) RETURNS text LANGUAGE sql AS \
     $$ SELECT set_config('app.user_id', name, true) $$",
];

const ITEMS: &str = "SELECT item FROM orders ORDER BY id";
const QUESTION: &str = "Which orders are there?";

fn session() -> Value {
    json!({"app.user_id": "user", "app.tenant": "tenant", "app.role": "role"})
}

fn shop(database: &TestDatabase, more: Value) -> Value {
    let mut config = json!({"session": session()});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    source("postgres", &database.reader_url, json!({"config": config}))
}

/// A server that tells callers apart, and has the shop as the source `db`.
async fn server_with_shop(database: &TestDatabase, llm: &Upstream, more: Value) -> TestServer {
    let server = TestServer::with_llm(llm, &with_authentication(&[])).await;
    server.with_credential(ADMIN).post("/api/datasources", &shop(database, more)).await.expect(201);
    server
}

/// The texts of the one column that a query gives.
async fn column(client: &Client, sql: &str) -> Vec<String> {
    let reply = client.post("/api/datasources/db/query", &json!({"query": sql})).await.expect(200);
    assert_eq!(reply["success"], true, "{sql}: {reply}");
    texts(&reply["data"])
}

/// The texts of the one column of these rows.
fn texts(rows: &Value) -> Vec<String> {
    let text = |row: &Value| row.as_object().unwrap().values().next().unwrap().as_str().unwrap_or_default().to_owned();
    rows.as_array().unwrap().iter().map(text).collect()
}

/// What a chat finds in the source, and what it answers.
async fn chat(client: &Client, prompt: &str) -> (Vec<String>, String) {
    let body = json!({"prompt": prompt, "metadata": {"datasource": "db"}});
    let reply = client.post("/v1/chat", &body).await.expect(200);
    (texts(&reply["metadata"]["data"][0]["rows"]), reply["answer"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn one_question_gives_each_user_their_rows() {
    let (database, llm) = (postgres(SHOP).await, Upstream::saying("Here you are.").await);
    let server = server_with_shop(&database, &llm, json!({})).await;
    let verified = json!({"question": QUESTION, "query": ITEMS, "verified_by": "ops"});
    server.with_credential(ADMIN).post("/api/datasources/db/verified", &verified).await.expect(201);
    for (name, own, others) in [
        ("ada", &["lamp", "desk"][..], &["sofa", "rug"][..]),
        ("eve", &["sofa"], &["lamp", "desk", "rug"]),
        (r"o'neill\", &["rug"], &["lamp", "desk", "sofa"]),
        ("zoe", &[], &["lamp", "desk", "sofa", "rug"]),
    ] {
        let client = user(&server, name).await;
        assert_eq!(column(&client, ITEMS).await, own, "{name} asks the source");
        let (rows, answer) = chat(&client, QUESTION).await;
        assert_eq!(rows, own, "{name} asks in a chat");
        assert!(own.iter().all(|item| answer.contains(item)) && !others.iter().any(|item| answer.contains(item)));
    }
    let told = llm.chats().iter().filter(|seen| seen.text.contains("sofa")).count();
    assert_eq!(told, 1, "the model is told of a row only for whose it is");
    // Neither a key that nobody owns nor one that may speak for everybody is anybody of these.
    let nobodys = client_with(&server, json!({"role": "user"})).await;
    for client in [&nobodys, &server.with_credential(ADMIN)] {
        assert!(column(client, ITEMS).await.is_empty());
    }
    let body = json!({"prompt": QUESTION, "user_id": "ada", "metadata": {"datasource": "db"}});
    let reply = server.with_credential(ADMIN).post("/v1/chat", &body).await.expect(200);
    assert_eq!(reply["metadata"]["data"][0]["rows"], json!([]));
}

#[tokio::test]
async fn tenant_and_role_are_told_too() {
    let (database, llm) = (postgres(SHOP).await, Upstream::saying("Here you are.").await);
    let server = server_with_shop(&database, &llm, json!({})).await;
    let prices = "SELECT price::text FROM prices";
    for (members, expected) in [
        (json!({"role": "user", "tenant": "acme"}), &["7"][..]),
        (json!({"role": "user", "user_id": "ada", "tenant": "other"}), &["8"]),
        (json!({"role": "user", "user_id": "acme"}), &[]),
    ] {
        let client = client_with(&server, members.clone()).await;
        assert_eq!(column(&client, prices).await, expected, "{members}");
    }
}

#[tokio::test]
async fn a_query_that_a_model_writes_gives_own_rows_and_cannot_become_somebody_else() {
    let database = postgres(SHOP).await;
    let llm = Upstream::start(|seen, _| match wanted(seen) {
        Wanted::Query if seen.text.contains("as eve") => {
            openai(seen, "```sql\nSELECT item FROM orders, (SELECT set_config('app.user_id', 'eve', true)) x\n```")
        }
        Wanted::Query => openai(seen, "```sql\nSELECT item FROM orders ORDER BY id\n```"),
        _ => openai(seen, "Here you are."),
    })
    .await;
    let server = server_with_shop(&database, &llm, json!({})).await;
    let (ada, eve) = (user(&server, "ada").await, user(&server, "eve").await);
    assert_eq!(chat(&ada, "What has been ordered so far?").await.0, ["lamp", "desk"]);
    assert_eq!(chat(&eve, "What has been ordered so far?").await.0, ["sofa"]);
    let body = json!({"prompt": "What has been ordered so far, as eve?", "metadata": {"datasource": "db"}});
    let reply = ada.post("/v1/chat", &body).await;
    assert!(!reply.text.contains("sofa"), "{}", reply.text);
    assert!(asked_for(&llm, Wanted::Query).len() >= 4, "it was asked to mend its query, too");
    let objection = "The function set_config is not allowed in a query";
    assert!(llm.seen().iter().any(|seen| seen.text.contains(objection)), "the model is told why");
}

/// Ways to become somebody else. `become` is a function of the database's own that does it.
const ATTACKS: &str = r#"
    SELECT set_config('app.user_id', 'eve', true)
    SELECT set_config('app.user_id', 'eve', false)
    SELECT "set_config"('app.user_id', 'eve', true)
    SELECT SET_CONFIG('app.user_id', 'eve', true)
    SELECT pg_catalog.set_config('app.user_id', 'eve', true)
    SELECT "pg_catalog" . "set_config" ('app.user_id', 'eve', true)
    SELECT pg_catalog /* x */ . set_config /* y */ ('app.user_id', 'eve', true)
    SELECT U&"set\005fconfig"('app.user_id', 'eve', true)
    SELECT item FROM orders, set_config('app.user_id', 'eve', true)
    SELECT item FROM set_config('app.user_id', 'eve', true), orders
    SELECT item FROM ROWS FROM (set_config('app.user_id', 'eve', true)) x, orders
    SELECT item FROM orders, LATERAL set_config('app.user_id', owner, true)
    SELECT item FROM orders WHERE set_config('app.user_id', 'eve', true) = 'eve'
    SELECT item FROM orders WHERE owner = (SELECT set_config('app.user_id', 'eve', true))
    SELECT item FROM orders ORDER BY set_config('app.user_id', 'eve', true)
    SELECT item FROM orders LIMIT (SELECT length(set_config('app.user_id', 'eve', true)))
    SELECT count(set_config('app.user_id', 'eve', true)) OVER () FROM orders
    SELECT CASE WHEN set_config('app.user_id', 'eve', true) = 'eve' THEN (SELECT max(item) FROM orders) END
    WITH x AS (SELECT set_config('app.user_id', 'eve', true)) SELECT item FROM x, orders
    WITH x AS MATERIALIZED (SELECT set_config('app.user_id', 'eve', true)) SELECT item FROM x, orders
    WITH RECURSIVE x(n) AS (SELECT set_config('app.user_id', 'eve', true) UNION SELECT n FROM x) SELECT item FROM x, orders
    VALUES (set_config('app.user_id', 'eve', true))
    EXPLAIN SELECT set_config('app.user_id', 'eve', true)
    EXPLAIN ANALYZE SELECT set_config('app.user_id', 'eve', true)
    SELECT query_to_xml($$SELECT set_config('app.user_id', 'eve', true)$$, true, true, '')
    SELECT become('eve')
    SELECT public.become('eve')
    SELECT item FROM become('eve'), orders
    SELECT x.become FROM (SELECT 'eve'::text AS name) x
    SELECT ('eve'::text).become
    SET app.user_id = 'eve'
    SET app.user_id TO eve
    SET LOCAL app.user_id = 'eve'
    SET LOCAL "app"."user_id" = 'eve'
    SET SESSION app.user_id = 'eve'
    SET ROLE postgres
    SET LOCAL ROLE NONE
    SET SESSION AUTHORIZATION DEFAULT
    SET LOCAL row_security = off
    RESET app.user_id
    RESET ALL
    RESET ROLE
    RESET SESSION AUTHORIZATION
    DISCARD ALL
    DISCARD TEMP
    DO $$ BEGIN PERFORM set_config('app.user_id', 'eve', true); END $$
    DO LANGUAGE plpgsql 'BEGIN PERFORM become(''eve''); END'
    CALL become('eve')
    UPDATE pg_settings SET setting = 'eve' WHERE name = 'app.user_id'
    ALTER ROLE CURRENT_USER SET app.user_id = 'eve'
    SELECT 1; SET LOCAL app.user_id = 'eve'; SELECT item FROM orders
    SET LOCAL app.user_id = 'eve'; SELECT item FROM orders
    SELECT 1; COMMIT; BEGIN; SET LOCAL app.user_id = 'eve'; SELECT item FROM orders
    ROLLBACK; SELECT item FROM orders
    PREPARE x AS SELECT set_config('app.user_id', 'eve', true)
    EXECUTE x
    COPY (SELECT set_config('app.user_id', 'eve', true)) TO STDOUT
    DECLARE c CURSOR FOR SELECT set_config('app.user_id', 'eve', true)
    SHOW app.user_id
    SELECT current_setting('app.user_id')
"#;

#[tokio::test]
async fn a_query_that_says_who_asks_is_refused() {
    let (database, llm) = (postgres(SHOP).await, Upstream::saying("Here you are.").await);
    // Not even an operator who names it lets a query call what sets variables.
    for functions in [json!([]), json!(["set_config", "pg_catalog.set_config", "pg_catalog.*"])] {
        let more = json!({"functions": functions, "max_connections": 1});
        let server = server_with_shop(&database, &llm, more).await;
        let ada = user(&server, "ada").await;
        let attacks: Vec<_> = ATTACKS.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(attacks.len(), 60);
        for attack in attacks {
            let reply = ada.post("/api/datasources/db/query", &json!({"query": attack})).await;
            assert_eq!(reply.status, 422, "{attack}: {}", reply.text);
            assert_eq!(reply.json()["errors"][0]["loc"], json!(["body", "query"]), "{attack}");
            assert!(!reply.text.contains("sofa"), "{attack}: {}", reply.text);
        }
        assert_eq!(column(&ada, ITEMS).await, ["lamp", "desk"], "on the only connection, after all of them");
    }
}

#[tokio::test]
async fn callers_who_share_two_connections_never_meet_each_others_rows() {
    let (database, llm) = (postgres(SHOP).await, Upstream::saying("Here you are.").await);
    let server = server_with_shop(&database, &llm, json!({"max_connections": 2})).await;
    let clients = [user(&server, "ada").await, user(&server, "eve").await, user(&server, "zoe").await];
    let own: [&[&str]; 3] = [&["lamp", "desk"], &["sofa"], &[]];
    // Some break off in the middle, some are cut short: their connections must not tell the next one who they were of.
    let queries = [
        ITEMS,
        "SELECT item FROM orders WHERE 1 / (id - id) = 1",
        "SELECT item FROM orders, generate_series(1, 300000) g WHERE g = 1 ORDER BY id",
        "SELECT nothing FROM orders",
        ITEMS,
    ];
    let asked = (0..50).map(|n| {
        let (client, own) = (&clients[n % 3], own[n % 3]);
        async move {
            let body = json!({"query": queries[n % queries.len()]});
            let reply = client.post("/api/datasources/db/query", &body).await.expect(200);
            if reply["success"] == true {
                assert_eq!(texts(&reply["data"]), own, "{body}: {reply}");
            }
            reply["success"] == true
        }
    });
    let succeeded = join_all(asked).await.into_iter().filter(|success| *success).count();
    assert!(succeeded >= 30, "{succeeded}");
    let accounts =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'reader%'";
    assert!(database.count(accounts).await <= 2);
}

#[tokio::test]
async fn without_a_caller_who_is_known_there_are_no_rows() {
    let (database, llm) = (postgres(SHOP).await, Upstream::saying("Here you are.").await);
    // What the account has as its default is nobody's either.
    let reader = database.reader_url.split("//").nth(1).unwrap().split(':').next().unwrap().to_owned();
    database.execute(&format!("ALTER ROLE {reader} SET app.user_id = 'ada'")).await;
    let server = TestServer::with_llm(&llm, &[COLLECTING]).await;
    server.post("/api/datasources", &shop(&database, json!({}))).await.expect(201);
    assert!(column(&server, ITEMS).await.is_empty());
    let body = json!({"prompt": format!("{ITEMS};"), "user_id": "ada", "metadata": {"datasource": "db"}});
    let reply = server.post("/v1/chat", &body).await;
    assert!(!reply.text.contains("lamp"), "{}", reply.text);
    // What is collected for everybody has nobody's values, as it would without the variables.
    let known = collected(&server, "db").await;
    assert!(values(&known, "orders", "state").is_empty(), "{known}");
    let all = source("postgres", &database.url, json!({"config": {}}));
    database.execute("ALTER TABLE orders NO FORCE ROW LEVEL SECURITY").await;
    server.put("/api/datasources/db", &all).await.expect(200);
    wait_for(async || !values(&collected(&server, "db").await, "orders", "state").is_empty()).await;
    // A source that is to tell rows apart from now on forgets what it told before.
    server.put("/api/datasources/db", &shop(&database, json!({}))).await.expect(200);
    wait_for(async || values(&collected(&server, "db").await, "orders", "state").is_empty()).await;
}

#[tokio::test]
async fn a_test_warns_of_an_account_that_no_policy_holds() {
    let database = postgres(SHOP).await;
    let server = TestServer::bare().await;
    let mut warnings = BTreeSet::new();
    for (url, is_forced, more, expected) in [
        (&database.reader_url, true, json!({"session": session()}), false),
        (&database.url, true, json!({"session": session()}), false),
        (&database.url, false, json!({"session": session()}), true),
        (&database.url, false, json!({}), false),
        (&database.reader_url, false, json!({"session": session()}), false),
    ] {
        let force = if is_forced { "FORCE" } else { "NO FORCE" };
        database.execute(&format!("ALTER TABLE orders {force} ROW LEVEL SECURITY")).await;
        server.delete("/api/datasources/db").await;
        let source = source("postgres", url, json!({"config": more}));
        server.post("/api/datasources", &source).await.expect(201);
        let tested = server.post("/api/datasources/db/test", &Value::Null).await.expect(200);
        let warning = tested["details"]["warning"].as_str().unwrap_or_default().to_owned();
        assert_eq!(warning.starts_with("Row-level security does not hold the account"), expected, "{source}: {tested}");
        warnings.insert(warning);
    }
    assert_eq!(warnings.len(), 3, "none, that it may write, and this one: {warnings:?}");
}
