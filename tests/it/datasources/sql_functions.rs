//! Which functions and relations of PostgreSQL a query may use: what its catalog says of them decides, and the configuration
//! of the source.

use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};

use crate::common::TestServer;
use crate::common::databases::{TestDatabase, mariadb, postgres};
use crate::common::sources::{ask, change, failure, query, refusal, rows, server_with, source};

/// What PostgreSQL calls volatile and may be called: it waits for nothing, writes nothing and tells no secret.
const HARMLESS: &str = "bernoulli clock_timestamp gen_random_uuid random random_normal system timeofday uuidv4 uuidv7 \
    pg_database_size pg_indexes_size pg_is_in_recovery pg_partition_ancestors pg_partition_tree pg_relation_size pg_table_size \
    pg_tablespace_size pg_total_relation_size";

/// What PostgreSQL 15 does not call volatile and may still not be called, apart from names that begin with `pg_`.
const REFUSED_STABLE: &str = "current_setting database_to_xml database_to_xml_and_xmlschema database_to_xmlschema inet_client_addr \
    inet_client_port inet_server_addr inet_server_port schema_to_xml schema_to_xml_and_xmlschema schema_to_xmlschema \
    table_to_xml table_to_xml_and_xmlschema table_to_xmlschema txid_current txid_current_if_assigned txid_current_snapshot \
    txid_snapshot_in txid_snapshot_out txid_snapshot_recv txid_snapshot_send txid_snapshot_xip txid_snapshot_xmax \
    txid_snapshot_xmin txid_visible_in_snapshot";

/// A database whose owner is a superuser: only this server stands between a query and the rest.
async fn as_superuser(schema_sql: &[&str]) -> TestDatabase {
    let database = postgres(schema_sql).await;
    database.execute(&format!("ALTER ROLE {} SUPERUSER", database.account())).await;
    database
}

/// The names that a query finds in the database.
async fn names(database: &TestDatabase, sql: &str) -> Vec<String> {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap()
}

/// Whether the guard refuses a statement; what the database makes of it does not matter.
async fn is_refused(server: &TestServer, sql: &str) -> bool {
    let reply = ask(server, sql, json!({})).await;
    assert!(matches!(reply.status, 200 | 422), "{sql}: {}", reply.text);
    reply.status == 422
}

/// Those of `functions` that may be called, asked for in groups of so many.
async fn callable(server: &TestServer, functions: &[String], at_once: usize) -> Vec<String> {
    let mut callable = Vec::new();
    for group in functions.chunks(at_once) {
        let calls: Vec<String> = group.iter().map(|name| format!("\"{name}\"()")).collect();
        if !is_refused(server, &format!("SELECT {} WHERE false", calls.join(", "))).await {
            callable.extend_from_slice(group);
        }
    }
    callable
}

#[tokio::test]
async fn every_function_of_postgres_and_its_extensions_is_judged_by_the_catalog() {
    let database = as_superuser(&[]).await;
    for extension in names(&database, "SELECT name::text FROM pg_available_extensions ORDER BY name").await {
        database.execute(&format!("CREATE EXTENSION IF NOT EXISTS \"{extension}\" CASCADE")).await;
    }
    let server = server_with("postgres", &database.url, json!({"timeout_seconds": 60})).await;
    let own =
        |rule: &str| format!("SELECT DISTINCT proname::text FROM pg_proc WHERE oid < 16384 AND {rule} ORDER BY 1");

    // Any volatile function of that name is enough.
    let volatile = names(&database, &own("provolatile = 'v'")).await;
    let mut expected: Vec<&str> =
        HARMLESS.split_whitespace().filter(|name| volatile.iter().any(|v| v == name)).collect();
    expected.sort_unstable();
    assert!(volatile.len() > 200);
    assert_eq!(callable(&server, &volatile, 1).await, expected);

    let rule =
        "proname !~ '^pg_' AND proname NOT IN (SELECT proname FROM pg_proc WHERE oid < 16384 AND provolatile = 'v')";
    let stable = names(&database, &own(rule)).await;
    let (refused, honest): (Vec<_>, Vec<_>) =
        stable.into_iter().partition(|name| REFUSED_STABLE.split_whitespace().any(|refused| refused == name));
    assert!(honest.len() > 2000, "{}", honest.len());
    assert_eq!(callable(&server, &honest, 40).await, honest);
    assert_eq!(callable(&server, &refused, 1).await, [""; 0]);

    // Of the extensions' functions those pass that only add to one of PostgreSQL's own, such as max(citext).
    let sql = "SELECT DISTINCT proname::text FROM pg_proc p WHERE oid >= 16384
        AND NOT EXISTS (SELECT 1 FROM pg_proc o WHERE o.oid < 16384 AND o.proname = p.proname) ORDER BY 1";
    let added = names(&database, sql).await;
    assert!(added.len() > 700, "{}", added.len());
    assert_eq!(callable(&server, &added, 1).await, [""; 0]);
    rows(&server, "SELECT max('a'::citext), replace('a'::citext, 'a', 'b')", json!({})).await;
    // As a column, only where there is one: isn_weak says it computes, and sets how the session reads numbers of books.
    database.execute("CREATE TABLE books (isbn isbn, sort int)").await;
    rows(&server, "SELECT b.isbn, b.sort FROM books b", json!({})).await;
    for call in [
        "x.isn_weak FROM unnest(ARRAY[true]) x",
        "x.crosstab2 FROM unnest(ARRAY['SELECT 1']) x",
        "x.unaccent FROM unnest(ARRAY['é']) x",
    ] {
        assert!(is_refused(&server, &format!("SELECT {call}")).await, "{call}");
    }
}

#[tokio::test]
async fn every_relation_of_the_catalog_that_tells_more_than_the_schema_is_refused() {
    let database = as_superuser(&[]).await;
    let server = server_with("postgres", &database.url, json!({})).await;
    let sql = "SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE nspname IN ('pg_catalog', 'information_schema') AND relkind IN ('r', 'v') ORDER BY 1";
    let (mut refused, mut allowed) = (Vec::new(), Vec::new());
    for relation in names(&database, sql).await {
        let (_, name) = relation.split_once('.').unwrap();
        let forms = [
            format!("SELECT * FROM {relation}"),
            format!("TABLE {name}"),
            format!("SELECT 1 FROM ONLY {name} x, {name} y"),
        ];
        let forms = if relation.starts_with("pg_") { &forms[..] } else { &forms[..1] };
        let first = is_refused(&server, &forms[0]).await;
        for form in forms {
            assert_eq!(is_refused(&server, form).await, first, "{form}");
        }
        if first { refused.push(relation) } else { allowed.push(relation) }
    }
    for secret in "pg_authid pg_roles pg_shadow pg_user pg_group pg_user_mapping pg_user_mappings pg_foreign_server pg_settings \
        pg_file_settings pg_hba_file_rules pg_stat_activity pg_prepared_statements pg_cursors pg_proc pg_largeobject pg_statistic \
        pg_subscription pg_db_role_setting pg_config pg_stat_replication pg_stat_ssl pg_locks pg_foreign_table pg_event_trigger"
        .split_whitespace()
    {
        assert!(refused.contains(&format!("pg_catalog.{secret}")), "{secret}");
    }
    for secret in
        ["user_mapping_options", "foreign_server_options", "_pg_user_mappings", "routines", "applicable_roles"]
    {
        assert!(refused.contains(&format!("information_schema.{secret}")), "{secret}");
    }
    assert!((50..70).contains(&allowed.len()) && refused.len() > 100, "{allowed:?}");
}

#[tokio::test]
async fn no_word_that_postgres_reserves_is_read_as_a_relation() {
    let database = postgres(&["CREATE TABLE t (a int)"]).await;
    let server = server_with("postgres", &database.url, json!({})).await;
    let words = names(&database, "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')").await;
    assert!(words.len() >= 100);
    for word in words {
        for sql in [format!("SELECT * FROM {word}"), format!("SELECT * FROM t, {word}"), format!("TABLE {word}")] {
            assert!(is_refused(&server, &sql).await, "{sql}");
        }
        assert!(!is_refused(&server, &format!("SELECT * FROM \"{word}\" x")).await, "{word}");
    }
    rows(&server, "SELECT * FROM ONLY t", json!({})).await;
}

#[tokio::test]
async fn what_an_attack_once_found_is_refused() {
    let database =
        as_superuser(&["CREATE SCHEMA vault", "CREATE TABLE vault.secrets (key text)", "CREATE TABLE t (a int)"]).await;
    for extension in ["pg_surgery", "pg_prewarm", "dblink", "tablefunc", "lo"] {
        database.execute(&format!("CREATE EXTENSION {extension}")).await;
    }
    let server = server_with("postgres", &database.url, json!({})).await;
    let before = database.contents().await;
    for sql in "
        SELECT * FROM ONLY pg_authid
        SELECT rolpassword FROM ONLY pg_authid a
        SELECT * FROM t, ONLY pg_catalog.pg_authid
        SELECT * FROM ONLY (pg_authid)
        TABLE ONLY pg_authid
        SELECT heap_force_kill('t'::regclass, ARRAY['(0,1)']::tid[])
        SELECT heap_force_freeze('t'::regclass, ARRAY['(0,1)']::tid[])
        SELECT autoprewarm_dump_now()
        SELECT autoprewarm_start_worker()
        SELECT rolconfig FROM pg_roles
        SELECT * FROM pg_user
        SELECT * FROM vault.secrets
        TABLE vault.secrets
        SELECT (SELECT key FROM ONLY vault.secrets)
        SELECT setseed(0.5)
        SELECT x.setseed FROM unnest(ARRAY[0.5::float8]) x
        SELECT treat(0.5 AS setseed)
        SELECT treat('data_directory' AS current_setting)
        SELECT TREAT ('/etc/passwd' AS pg_read_file)
        SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t(a int)
        SELECT * FROM crosstab('SELECT 1, 2, 3') AS t(a int, b int)
        SELECT prosrc FROM pg_proc
        SELECT * FROM pg_toast.pg_toast_1260
        SHOW data_directory
        SHOW ALL
        SHOW config_file
        "
    .lines()
    .map(str::trim)
    .filter(|sql| !sql.is_empty())
    {
        assert!(is_refused(&server, sql).await, "{sql}");
    }
    assert_eq!(database.contents().await, before);
    // A name that is cut to the length of one that is kept.
    database.execute(&format!("CREATE FUNCTION {}() RETURNS int LANGUAGE sql AS 'SELECT 1'", "f".repeat(63))).await;
    assert!(is_refused(&server, &format!("SELECT {}()", "f".repeat(64))).await);
}

#[tokio::test]
async fn functions_beyond_postgres_may_be_called_once_the_source_names_them() {
    let database = postgres(&[
        "CREATE SCHEMA geo",
        "CREATE FUNCTION geo.distance(a int, b int) RETURNS int LANGUAGE sql AS 'SELECT abs(a - b)'",
        "CREATE FUNCTION geo.half(a int) RETURNS int LANGUAGE sql AS 'SELECT a / 2'",
        "CREATE FUNCTION lower(a int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'mine'; END $$",
        "CREATE TABLE people (id int, born int)",
        "CREATE FUNCTION old(p people) RETURNS bool LANGUAGE sql AS 'SELECT p.born < 1970'",
        "INSERT INTO people VALUES (1, 1960)",
        "GRANT USAGE ON SCHEMA geo TO PUBLIC",
    ])
    .await;
    let server = server_with("postgres", &database.reader_url, json!({})).await;
    let calls = [
        "SELECT geo.distance(1, 5) AS r",
        "SELECT geo.half(8) AS r",
        "SELECT lower(3) AS r",
        "SELECT p.old AS r FROM people p",
    ];
    for sql in calls {
        let (at, said) = refusal(&server, sql, json!({})).await;
        assert_eq!(at, json!(["body", "query"]));
        assert!(said.contains("config.functions"), "{sql}: {said}");
    }
    // Which function is meant, its arguments decide; PostgreSQL's own can be told apart by its schema.
    assert_eq!(rows(&server, "SELECT pg_catalog.lower('A') AS r", json!({})).await, json!([{"r": "a"}]));

    let named = |functions: Value| json!({"config": {"functions": functions}});
    let everything = json!(["distance", "geo.half", "public.*", "old"]);
    change(&server, "postgres", &database.reader_url, named(everything)).await;
    let sql = "SELECT geo.distance(1, 5) AS d, geo.half(8) AS h, public.lower(3) AS l, p.old AS o FROM people p";
    assert_eq!(query(&server, sql, json!({})).await["data"], json!([{"d": 4, "h": 4, "l": "mine", "o": true}]));

    change(&server, "postgres", &database.reader_url, named(json!(["geo.*"]))).await;
    for (sql, refused) in calls.iter().zip([false, false, true, true]) {
        assert_eq!(is_refused(&server, sql).await, refused, "{sql}");
    }
    // PostgreSQL's own can't be let through by name.
    change(
        &server,
        "postgres",
        &database.reader_url,
        named(json!(["pg_sleep", "pg_catalog.*", "setseed", "current_setting"])),
    )
    .await;
    for sql in
        ["SELECT pg_sleep(5)", "SELECT pg_catalog.pg_sleep(5)", "SELECT setseed(0)", "SELECT current_setting('port')"]
    {
        assert!(is_refused(&server, sql).await, "{sql}");
    }

    for wrong in [
        json!("geo.half"),
        json!([1]),
        json!([""]),
        json!(["*"]),
        json!(["a.b.c"]),
        json!(["*.half"]),
        json!(["half()"]),
        json!({}),
    ] {
        let body = source("postgres", &database.reader_url, named(wrong.clone()));
        let reply = server.put("/api/datasources/db", &body).await.expect(422);
        assert_eq!(reply["errors"][0]["loc"], json!(["body", "config", "functions"]), "{wrong}");
        assert!(reply["errors"][0]["msg"].as_str().unwrap().contains("geo.distance"), "{reply}");
    }
}

#[tokio::test]
async fn a_function_that_is_made_or_changed_meanwhile_is_judged_as_it_is_then() {
    let database = postgres(&["CREATE TABLE t (a int)"]).await;
    let server = server_with("postgres", &database.url, json!({"config": {"max_connections": 1}})).await;
    assert!(failure(&server, "SELECT fresh()", json!({})).await.contains("does not exist"));
    database.execute("CREATE FUNCTION fresh() RETURNS int LANGUAGE sql AS 'SELECT 1'").await;
    assert!(refusal(&server, "SELECT fresh()", json!({})).await.1.contains("public.fresh"));
    // A refusal costs no connection.
    for _ in 0..5 {
        refusal(&server, "SELECT fresh()", json!({})).await;
    }
    assert_eq!(database.sessions().await, 1);
}

/// They run with the rights of whoever made them.
#[tokio::test]
async fn stored_functions_of_mysql_are_called_only_if_the_source_names_them() {
    let database = mariadb(&["CREATE FUNCTION half(x INT) RETURNS INT RETURN x / 2"]).await;
    let server = server_with("mariadb", &database.url, json!({})).await;
    let schema = rows(&server, "SELECT DATABASE() AS name", json!({})).await[0]["name"].as_str().unwrap().to_owned();
    let calls = ["SELECT half(4)", "SELECT HALF (4)", "SELECT `half`(4)", "SELECT 1 WHERE (SELECT half/* */(4)) = 2"]
        .map(str::to_owned);
    let qualified = [format!("SELECT {schema}.half(4)"), format!("SELECT `{schema}` . `Half` (4)")];
    for sql in calls.iter().chain(&qualified) {
        assert!(refusal(&server, sql, json!({})).await.1.contains("half is a stored one"), "{sql}");
    }
    assert_eq!(rows(&server, "SELECT ABS(-1) AS one, COUNT(*) AS n", json!({})).await, json!([{"one": 1, "n": 1}]));
    for named in ["half".to_owned(), format!("{schema}.half"), format!("{schema}.*")] {
        change(&server, "mariadb", &database.url, json!({"config": {"functions": [named]}})).await;
        assert_eq!(rows(&server, "SELECT half(4) AS two", json!({})).await, json!([{"two": 2}]), "{named}");
    }
}
