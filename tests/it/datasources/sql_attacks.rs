//! Attempts to do more than read, with an account that could. Whoever may send a query must not get further than that.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::common::TestServer;
use crate::common::databases::{mariadb, postgres, sqlite};
use crate::common::sources::{ask, failure, rows, server_with};

/// Longest time for one attempt. The source's own limit is half a minute.
const AT_ONCE: Duration = Duration::from_secs(10);

/// The lines of a table of attacks.
fn attacks(table: &'static str) -> Vec<&'static str> {
    let attacks: Vec<_> = table.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert!(attacks.len() >= 40, "only {} attacks", attacks.len());
    attacks
}

/// Sends an attack, which must be refused or fail, and at once.
async fn assert_repelled(server: &TestServer, sql: &str) {
    let reply =
        timeout(AT_ONCE, ask(server, sql, json!({"v": 1}))).await.unwrap_or_else(|_| panic!("takes long: {sql}"));
    match reply.status {
        422 => assert_eq!(reply.json()["errors"][0]["loc"], json!(["body", "query"]), "{sql}"),
        _ => assert_eq!(reply.expect(200)["success"], false, "{sql}: {}", reply.text),
    }
}

const POSTGRES: &str = r#"
    INSERT INTO accounts VALUES (9, 9)
    UPDATE accounts SET balance = 0
    DELETE FROM accounts
    TRUNCATE accounts
    MERGE INTO accounts a USING accounts b ON a.id = b.id WHEN MATCHED THEN DELETE
    DROP TABLE accounts
    CREATE TABLE loot AS SELECT * FROM accounts
    CREATE TEMP TABLE loot (id int)
    SELECT * INTO loot FROM accounts
    ALTER TABLE accounts ADD COLUMN x int
    CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS 'SELECT 1'
    GRANT ALL ON accounts TO public
    WITH gone AS (DELETE FROM accounts RETURNING *) SELECT * FROM gone
    WITH new AS (INSERT INTO accounts VALUES (9, 9) RETURNING *) SELECT * FROM new
    SELECT * FROM accounts WHERE id IN (WITH x AS (UPDATE accounts SET balance = 0 RETURNING id) SELECT id FROM x)
    EXPLAIN ANALYZE DELETE FROM accounts
    EXPLAIN (ANALYZE) SELECT 1
    SELECT 1; DELETE FROM accounts
    SELECT 1; COMMIT; DELETE FROM accounts
    SELECT 1; ROLLBACK; BEGIN READ WRITE; DELETE FROM accounts; COMMIT
    ; DELETE FROM accounts
    SELECT 1 /* ; */ ; /* */ DROP TABLE accounts --
    COMMIT
    ROLLBACK
    ABORT AND CHAIN
    SET TRANSACTION READ WRITE
    SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
    SET default_transaction_read_only = off
    SET statement_timeout = 0
    RESET ALL
    SAVEPOINT a
    SELECT set_config('transaction_read_only', 'off', false)
    SELECT "set_config"('transaction_read_only', 'off', false)
    SELECT pg_catalog.set_config('statement_timeout', '0', false)
    DO $$ BEGIN DELETE FROM accounts; END $$
    CALL emptied()
    EXECUTE stolen
    PREPARE stolen AS DELETE FROM accounts
    DECLARE c CURSOR FOR SELECT 1
    COPY accounts TO '/tmp/loot'
    COPY accounts FROM PROGRAM 'id'
    COPY (SELECT 1) TO PROGRAM 'id'
    SELECT pg_sleep(20)
    SELECT pg_catalog.pg_sleep_for('20 seconds')
    SELECT * FROM accounts, pg_sleep(20)
    SELECT pg_read_file('/etc/passwd')
    SELECT pg_ls_dir('/')
    SELECT x.pg_read_file FROM (SELECT '/etc/passwd'::text AS p) x
    SELECT lo_import('/etc/passwd')
    SELECT lo_create(4711)
    SELECT lo_from_bytea(4711, 'x')
    SELECT nextval('numbers')
    SELECT setval('numbers', 99)
    SELECT pg_advisory_lock(1)
    SELECT pg_notify('a', 'b')
    SELECT pg_terminate_backend(pg_backend_pid())
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    SELECT query_to_xml('DELETE FROM accounts RETURNING 1', true, true, '')
    SELECT dblink('dbname=postgres', 'SELECT 1')
    SELECT * FROM accounts FOR UPDATE
    SELECT * FROM pg_authid
    SELECT rolpassword FROM pg_shadow
    LOCK TABLE accounts
    VACUUM accounts
    ANALYZE accounts
    REINDEX TABLE accounts
    CLUSTER accounts
    REFRESH MATERIALIZED VIEW x
    LISTEN a
    NOTIFY a
    LOAD 'auto_explain'
    DISCARD ALL
    CREATE EXTENSION dblink
    SECURITY LABEL ON TABLE accounts IS 'x'
    SELECT U&"pg\005fsleep"(20)
    SELECT 'a\'; DELETE FROM accounts; --'
    SELECT $1
    TABLE accounts; DELETE FROM accounts
    SELECT emptied() FROM (VALUES (1)) v; SELECT 1
"#;

#[tokio::test]
async fn no_query_makes_postgres_write_wait_or_tell_secrets() {
    let database = postgres(&[
        "CREATE TABLE accounts (id int PRIMARY KEY, balance numeric)",
        "INSERT INTO accounts VALUES (1, 100), (2, 200)",
        "CREATE SEQUENCE numbers",
        "CREATE PROCEDURE emptied() LANGUAGE sql AS 'DELETE FROM accounts'",
    ])
    .await;
    let server = server_with("postgres", &database.url, json!({})).await;
    let before = database.contents().await;
    for sql in attacks(POSTGRES) {
        assert_repelled(&server, sql).await;
        assert_eq!(database.contents().await, before, "{sql}");
        assert_eq!(database.running().await, 0, "{sql}");
    }
    assert_eq!(rows(&server, "SELECT sum(balance) AS s FROM accounts", json!({})).await, json!([{"s": "300"}]));
}

#[tokio::test]
async fn functions_that_the_guard_can_not_see_through_find_postgres_read_only() {
    let function = |name: &str, body: &str| {
        format!("CREATE FUNCTION {name}() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN 1; END $$")
    };
    let harmful = [
        ("removes", "DELETE FROM accounts"),
        ("adds", "INSERT INTO accounts VALUES (9, 9)"),
        ("alters", "ALTER TABLE accounts ADD COLUMN x int"),
        ("creates", "CREATE TABLE loot (id int)"),
        ("counts", "PERFORM nextval('numbers')"),
        ("unlocks", "SET LOCAL transaction_read_only = off; DELETE FROM accounts"),
        ("configures", "PERFORM set_config('transaction_read_only', 'off', false); DELETE FROM accounts"),
        ("insists", "BEGIN SET TRANSACTION READ WRITE; EXCEPTION WHEN OTHERS THEN NULL; END; DELETE FROM accounts"),
        ("commits", "COMMIT; DELETE FROM accounts"),
    ];
    let mut schema = vec![
        "CREATE TABLE accounts (id int PRIMARY KEY, balance numeric)".to_owned(),
        "INSERT INTO accounts VALUES (1, 100), (2, 200)".to_owned(),
        "CREATE SEQUENCE numbers".to_owned(),
        function("tampers", "PERFORM set_config('default_transaction_read_only', 'off', false)"),
        function("waits", "PERFORM pg_sleep(50)"),
        function("imports", "PERFORM lo_create(4711)"),
    ];
    schema.extend(harmful.map(|(name, body)| function(name, body)));
    let database = postgres(&schema.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // The functions do what they say where nothing keeps them from it.
    database.execute("SELECT counts()").await;
    let named = json!({"max_connections": 1, "functions": ["public.*"]});
    let server = server_with("postgres", &database.url, json!({"config": named})).await;
    let before = database.contents().await;
    for (name, _) in harmful {
        let said = failure(&server, &format!("SELECT {name}()"), json!({})).await;
        let refused = ["read-only transaction", "before any query", "invalid transaction termination"];
        assert!(refused.iter().any(|reason| said.contains(reason)), "{name}: {said}");
        assert_eq!(database.contents().await, before, "{name}");
    }
    // Before PostgreSQL 16 a large object counts as no write; it goes when the transaction is rolled back.
    ask(&server, "SELECT imports()", json!({})).await.expect(200);
    assert_eq!(database.contents().await, before);
    // What one query sets is not there for the next one.
    rows(&server, "SELECT tampers()", json!({})).await;
    failure(&server, "SELECT removes()", json!({})).await;
    assert_eq!(database.contents().await, before);

    let server =
        server_with("postgres", &database.url, json!({"timeout_seconds": 1, "config": {"functions": ["waits"]}})).await;
    timeout(AT_ONCE, failure(&server, "SELECT waits()", json!({}))).await.unwrap();
    database.idle().await;
}

const MARIADB: &str = r#"
    INSERT INTO accounts VALUES (9, 9)
    REPLACE INTO accounts VALUES (1, 0)
    UPDATE accounts SET balance = 0
    DELETE FROM accounts
    TRUNCATE accounts
    DROP TABLE accounts
    RENAME TABLE accounts TO loot
    CREATE TABLE loot SELECT * FROM accounts
    CREATE TEMPORARY TABLE loot (id INT)
    ALTER TABLE accounts ADD COLUMN x INT
    CREATE PROCEDURE evil() SELECT 1
    GRANT ALL ON accounts TO CURRENT_USER()
    SELECT 1; DELETE FROM accounts
    SELECT 1; COMMIT; DELETE FROM accounts
    SELECT 1 ; -- x
    ; DELETE FROM accounts
    /*! DELETE FROM accounts */
    /*M! DELETE FROM accounts */
    SELECT 1 /*!50000 INTO OUTFILE '/tmp/loot' */
    SELECT 1 /*!99999 */ /*! UNION SELECT sleep(20) */
    COMMIT
    ROLLBACK
    START TRANSACTION READ WRITE
    BEGIN NOT ATOMIC DELETE FROM accounts; END
    SET SESSION TRANSACTION READ WRITE
    SET tx_read_only = 0
    SET STATEMENT max_statement_time = 0 FOR SELECT 1
    SET @a = 1
    SELECT @a := 1
    SELECT 1 INTO @a
    SELECT * FROM accounts INTO OUTFILE '/tmp/loot'
    SELECT * FROM accounts INTO DUMPFILE '/tmp/loot'
    LOAD DATA INFILE '/etc/passwd' INTO TABLE accounts
    LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE accounts
    SELECT load_file('/etc/passwd')
    SELECT sleep(20)
    SELECT `sleep`(20)
    SELECT * FROM accounts WHERE id = 1 OR sleep(20)
    SELECT benchmark(1000000000, md5('x'))
    SELECT get_lock('a', 20)
    SELECT NEXT VALUE FOR numbers
    SELECT nextval(numbers)
    SELECT setval(numbers, 99)
    CALL emptied()
    DO sleep(20)
    DO removed()
    EXECUTE IMMEDIATE 'DELETE FROM accounts'
    PREPARE stolen FROM 'DELETE FROM accounts'
    HANDLER accounts OPEN
    LOCK TABLES accounts WRITE
    FLUSH TABLES
    SELECT * FROM accounts FOR UPDATE
    SELECT * FROM accounts LOCK IN SHARE MODE
    SELECT * FROM mysql.user
    SELECT * FROM `mysql` . `user`
    SELECT * FROM information_schema.processlist
    SELECT extractvalue(1, concat(0x7e, version()))
    SELECT 1 PROCEDURE ANALYSE()
    ANALYZE SELECT * FROM accounts
    ANALYZE TABLE accounts
    OPTIMIZE TABLE accounts
    SHOW GRANTS
    SHOW PROCESSLIST
    KILL 1
    SHUTDOWN
    INSTALL SONAME 'ha_spider'
    CREATE EVENT evil ON SCHEDULE EVERY 1 SECOND DO DELETE FROM accounts
    CREATE TRIGGER evil BEFORE INSERT ON accounts FOR EACH ROW SET NEW.balance = 0
    XA START 'a'
    SELECT 'a\\'; DELETE FROM accounts; -- '
    SELECT 'a\'', sleep(20), '
    SELECT 1 --1; DELETE FROM accounts
    SELECT @@version
    SELECT ?
"#;

#[tokio::test]
async fn no_query_makes_mariadb_write_wait_or_tell_secrets() {
    let database = mariadb(&[
        "CREATE TABLE accounts (id INT PRIMARY KEY, balance DECIMAL(10,2))",
        "INSERT INTO accounts VALUES (1, 100), (2, 200)",
        "CREATE SEQUENCE numbers",
        "CREATE PROCEDURE emptied() DELETE FROM accounts",
        "CREATE FUNCTION removed() RETURNS INT BEGIN DELETE FROM accounts; RETURN 1; END",
    ])
    .await;
    let server = server_with("mysql", &database.url, json!({})).await;
    let before = database.contents().await;
    for sql in attacks(MARIADB) {
        // A trailing semicolon and a comment are no second statement.
        if sql != "SELECT 1 ; -- x" {
            assert_repelled(&server, sql).await;
        }
        assert_eq!(database.contents().await, before, "{sql}");
        assert_eq!(database.running().await, 0, "{sql}");
    }
    assert_eq!(rows(&server, "SELECT sum(balance) AS s FROM accounts", json!({})).await, json!([{"s": "300.00"}]));
}

#[tokio::test]
async fn functions_that_the_guard_can_not_see_through_find_mariadb_read_only() {
    let function = |name: &str, body: &str| format!("CREATE FUNCTION {name}() RETURNS INT BEGIN {body}; RETURN 1; END");
    let harmful = [
        ("removes", "DELETE FROM accounts"),
        ("adds", "INSERT INTO accounts VALUES (9, 9)"),
        ("changes", "UPDATE accounts SET balance = 0"),
        ("replaces", "REPLACE INTO accounts VALUES (1, 0)"),
        ("logs", "INSERT INTO logged VALUES (1)"),
        ("counts", "SET @x = NEXT VALUE FOR numbers"),
        (
            "insists",
            "BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; DELETE FROM accounts; END; DELETE FROM accounts",
        ),
        ("unlocks", "SET SESSION tx_read_only = 0; DELETE FROM accounts"),
    ];
    let mut schema = vec![
        "CREATE TABLE accounts (id INT PRIMARY KEY, balance DECIMAL(10,2))".to_owned(),
        "INSERT INTO accounts VALUES (1, 100), (2, 200)".to_owned(),
        // Knows no transactions.
        "CREATE TABLE logged (id INT) ENGINE = Aria TRANSACTIONAL = 0".to_owned(),
        "CREATE SEQUENCE numbers".to_owned(),
        function("waits", "DO sleep(50)"),
    ];
    schema.extend(harmful.map(|(name, body)| function(name, body)));
    let database = mariadb(&schema.iter().map(String::as_str).collect::<Vec<_>>()).await;
    // The functions do what they say where nothing keeps them from it.
    database.execute("SELECT logs()").await;
    let named: Vec<&str> = harmful.iter().map(|(name, _)| *name).chain(["logs", "waits"]).collect();
    let config = json!({"max_connections": 1, "functions": named});
    let server = server_with("mysql", &database.url, json!({"config": config})).await;
    let before = database.contents().await;
    for (name, _) in harmful {
        let said = failure(&server, &format!("SELECT {name}()"), json!({})).await;
        assert!(said.contains("READ ONLY transaction") || said.contains("read only"), "{name}: {said}");
        assert_eq!(database.contents().await, before, "{name}");
    }
    let more = json!({"timeout_seconds": 1, "config": {"functions": ["waits"]}});
    let server = server_with("mysql", &database.url, more).await;
    timeout(AT_ONCE, failure(&server, "SELECT waits()", json!({}))).await.unwrap();
    database.idle().await;
}

const SQLITE: &str = r#"
    INSERT INTO accounts VALUES (9, 9)
    REPLACE INTO accounts VALUES (1, 0)
    INSERT OR REPLACE INTO accounts VALUES (1, 0)
    UPDATE accounts SET balance = 0
    DELETE FROM accounts
    DELETE FROM accounts RETURNING *
    WITH x AS (SELECT 1) DELETE FROM accounts
    WITH x AS (DELETE FROM accounts RETURNING *) SELECT * FROM x
    DROP TABLE accounts
    CREATE TABLE loot AS SELECT * FROM accounts
    CREATE TEMP TABLE loot (id)
    CREATE VIRTUAL TABLE loot USING fts5(x)
    CREATE TRIGGER evil AFTER INSERT ON accounts BEGIN DELETE FROM accounts; END
    CREATE INDEX evil ON accounts (balance)
    CREATE VIEW evil AS SELECT 1
    ALTER TABLE accounts RENAME TO loot
    ALTER TABLE accounts ADD COLUMN x
    SELECT 1; DELETE FROM accounts
    SELECT 1; COMMIT; DELETE FROM accounts
    ; DELETE FROM accounts
    BEGIN
    BEGIN IMMEDIATE
    COMMIT
    ROLLBACK
    SAVEPOINT a
    RELEASE a
    PRAGMA query_only = OFF
    PRAGMA query_only(0)
    PRAGMA writable_schema = ON
    PRAGMA journal_mode = DELETE
    PRAGMA user_version = 7
    PRAGMA wal_checkpoint
    PRAGMA table_info(accounts)
    SELECT * FROM pragma_query_only(0)
    SELECT * FROM pragma_database_list
    ATTACH DATABASE '/tmp/loot.db' AS loot
    ATTACH 'file:/tmp/loot.db?mode=rwc' AS loot
    DETACH main
    VACUUM
    VACUUM INTO '/tmp/loot.db'
    REINDEX
    ANALYZE
    SELECT load_extension('/tmp/evil.so')
    SELECT "load_extension"('/tmp/evil.so')
    SELECT readfile('/etc/passwd')
    SELECT writefile('/tmp/loot', 'x')
    SELECT edit('x')
    SELECT fts3_tokenizer('x')
    SELECT randomblob(1000000000)
    SELECT length(zeroblob(1000000000))
    SELECT * FROM fsdir('/')
    SELECT * FROM sqlite_dbpage
    SELECT * FROM dbstat
    EXPLAIN DELETE FROM accounts
    EXPLAIN QUERY PLAN DELETE FROM accounts
    UPDATE sqlite_master SET sql = ''
    SELECT 'a'';' ; DELETE FROM accounts
    SELECT $v
    SELECT @v
    SELECT ?1
"#;

#[tokio::test]
async fn no_query_makes_sqlite_write_wait_or_open_other_files() {
    let file = sqlite(&[
        "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER)",
        "INSERT INTO accounts VALUES (1, 100), (2, 200)",
    ])
    .await;
    let server = server_with("sqlite", &file.url(), json!({"config": {"max_connections": 1}})).await;
    let before = file.contents();
    for sql in attacks(SQLITE) {
        assert_repelled(&server, sql).await;
        assert!(file.contents() == before, "{sql}");
    }
    assert_eq!(rows(&server, "SELECT sum(balance) AS s FROM accounts", json!({})).await, json!([{"s": 300}]));
}
