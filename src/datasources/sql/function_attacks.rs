//! Tables of refused functions and relations, written in every way the engines take, one query a line.

use super::dialect::Dialect;
use super::guard::check;

/// Functions and relations of PostgreSQL that are refused however they are written.
const FUNCTIONS_POSTGRES: &str = r#"
SELECT pg_sleep(1)
SELECT PG_SLEEP(1)
SELECT "pg_sleep"(1)
SELECT pg_catalog.pg_sleep(1)
SELECT "pg_catalog"."pg_sleep" (1)
SELECT pg_sleep /* x */ (1)
SELECT U&"pg\005fsleep"(1)
SELECT u&"\0070g_sleep" UESCAPE '!' (1)
SELECT * FROM pg_sleep(1)
SELECT * FROM t, LATERAL pg_sleep(1)
SELECT * FROM ROWS FROM (pg_ls_dir('.'))
SELECT 1 FROM t WHERE a = 1 OR pg_sleep(1) IS NULL
SELECT 1 FROM t ORDER BY pg_sleep(1)
SELECT 1 FROM t GROUP BY pg_sleep(1)
SELECT 1 FROM t LIMIT (SELECT length(pg_read_file('x')))
SELECT sum(1) OVER (ORDER BY pg_sleep(1))
SELECT sum(1) FILTER (WHERE pg_sleep(1) IS NULL) FROM t
SELECT CASE WHEN true THEN pg_sleep(1) END
SELECT ARRAY[pg_sleep(1)]
VALUES (pg_sleep(1))
EXPLAIN SELECT pg_sleep(1)
SELECT a FROM t JOIN u ON pg_sleep(1) IS NULL
SELECT ('/etc/passwd'::text).pg_read_file
SELECT x.pg_read_file FROM unnest(ARRAY['/etc/passwd']) x
SELECT pg_catalog.pg_read_file FROM unnest(ARRAY['/etc/passwd']) pg_catalog
SELECT x[1].pg_read_file FROM t
SELECT (ARRAY['/etc/passwd'])[1].pg_read_file
SELECT (x).a.pg_read_file FROM t
SELECT (x).a."pg_read_file" FROM t
SELECT :path.pg_read_file
SELECT (:path).pg_read_file
SELECT * FROM t ORDER BY (a).pg_sleep
SELECT DISTINCT ON (x.pg_read_file) 1 FROM t x
SELECT 1 FROM t x GROUP BY GROUPING SETS ((x.pg_read_file))
SELECT 1 FROM t x GROUP BY x.pg_read_file HAVING max(x.pg_read_file) > 'a'
SELECT (x.pg_read_file).* FROM t x
SELECT x.pg_read_file::text[] FROM t x
SELECT x.pg_read_file[1] FROM t x
SELECT extract(year FROM x.pg_read_file), trim(x.pg_read_file) FROM t x
SELECT sum(1) OVER (PARTITION BY x.pg_read_file) FROM t x
SELECT sum(1) OVER w FROM t x WINDOW w AS (ORDER BY x.pg_read_file)
SELECT json_object('a': x.pg_read_file) FROM t x
SELECT * FROM t x, LATERAL upper(x.pg_read_file) u
SELECT * FROM t x, unnest(ARRAY[x.pg_read_file]) u
SELECT * FROM t x WHERE 'a' LIKE 'b' ESCAPE x.pg_read_file
SELECT * FROM t x JOIN u ON x.pg_read_file = 'a'
SELECT * FROM t TABLESAMPLE system (1) REPEATABLE ((SELECT x.pg_sleep FROM t x))
SELECT string_agg(a, ',' ORDER BY x.pg_read_file) FROM t x
SELECT x . /* y */ pg_read_file FROM t x
SELECT pg_read_binary_file('x'), pg_ls_dir('.'), pg_stat_file('x')
SELECT pg_terminate_backend(1)
SELECT pg_advisory_lock(1)
SELECT pg_notify('a', 'b')
SELECT pg_reload_conf()
SELECT lo_import('/etc/passwd')
SELECT lo_export(1, '/tmp/x')
SELECT loread(1, 2)
SELECT lowrite(1, 'x')
SELECT * FROM dblink('host=x', 'SELECT 1') AS t(a int)
SELECT dblink_exec('DELETE FROM t')
SELECT set_config('transaction_read_only', 'off', false)
SELECT "set_config"('app.user_id', 'eve', true)
SELECT pg_catalog.Set_Config('app.user_id', 'eve', true)
SELECT U&"set\005fconfig"('app.user_id', 'eve', true)
SELECT * FROM t, LATERAL set_config('app.user_id', t.owner, true)
SELECT * FROM ROWS FROM (set_config('app.user_id', 'eve', true)) x, t
SELECT * FROM t WHERE set_config('app.user_id', owner, true) = owner
WITH x AS MATERIALIZED (SELECT set_config('app.user_id', 'eve', true)) SELECT * FROM x, t
SELECT current_setting('data_directory')
SELECT nextval('s'), setval('s', 1)
SELECT query_to_xml('DELETE FROM t', true, true, '')
SELECT table_to_xmlschema('t', true, true, '')
SELECT database_to_xml_and_xmlschema(true, true, '')
SELECT * FROM ts_stat('DELETE FROM t')
SELECT ts_rewrite('a'::tsquery, 'SELECT 1')
SELECT * FROM crosstab('SELECT 1') AS t(a int)
SELECT crosstab2('SELECT 1')
SELECT * FROM xpath_table('a', 'b', 'c', 'd', 'e') AS t(a int)
SELECT http_get('http://example.org')
SELECT txid_current(), inet_server_addr()
SELECT cron.schedule('x', 'y', 'z')
SELECT net.http_get('x')
SELECT * FROM pg_authid
SELECT * FROM pg_catalog.pg_shadow
SELECT * FROM "pg_catalog"."pg_shadow"
SELECT * FROM PG_SHADOW
SELECT * FROM t, pg_user_mappings
SELECT 1 WHERE 1 IN (SELECT pid FROM pg_stat_activity)
SELECT * FROM pg_largeobject
SELECT * FROM pg_hba_file_rules
SELECT * FROM ONLY pg_authid
SELECT * FROM ONLY pg_authid x
SELECT * FROM ONLY (pg_authid)
SELECT * FROM t, ONLY pg_catalog.pg_authid
SELECT * FROM t JOIN ONLY pg_authid ON true
SELECT * FROM only, pg_authid
TABLE ONLY pg_authid
TABLE pg_authid
EXPLAIN SELECT * FROM ONLY pg_authid
SELECT * FROM pg_authid *
SELECT * FROM pg_roles
SELECT rolconfig FROM pg_catalog.pg_roles
SELECT * FROM pg_proc
SELECT histogram_bounds::text FROM pg_stats WHERE tablename = 'pg_authid'
SELECT * FROM pg_unheard_of
SELECT * FROM public.pg_stat_statements
SELECT * FROM pg_toast.pg_toast_1260
SELECT * FROM information_schema.routines
SELECT * FROM information_schema._pg_user_mappings
SELECT * FROM shop.information_schema.user_mapping_options
SELECT * FROM user_mapping_options
SELECT * FROM vault.decrypted_secrets
SELECT * FROM "vault"."secrets"
TABLE vault.secrets
SELECT setseed(0.5)
SELECT x.setseed FROM unnest(ARRAY[0.5]) x
SELECT treat(0.5 AS setseed)
SELECT TREAT ('x' AS pg_catalog.current_setting)
SELECT 1 AS a, pg_authid FROM t
WITH RECURSIVE n(i) AS (SELECT 1) SEARCH DEPTH FIRST BY i SET pg_authid SELECT * FROM n
SELECT * FROM (SELECT 1) x CYCLE a, pg_authid SET b USING c"#;

/// Functions and relations of MySQL that are refused however they are written.
const FUNCTIONS_MYSQL: &str = r#"
SELECT sleep(5)
SELECT SLEEP (5)
SELECT `sleep`(5)
SELECT "sleep"(5)
SELECT sleep/**/(5)
SELECT benchmark(1000000, md5('a'))
SELECT load_file('/etc/passwd')
SELECT LoAd_FiLe(0x2f6574632f706173737764)
SELECT * FROM t WHERE a = 1 OR sleep(5)
SELECT * FROM t ORDER BY sleep(5)
SELECT * FROM (SELECT sleep(5)) x
SELECT IF(1 = 1, sleep(5), 0)
SELECT get_lock('a', 1), release_lock('a'), release_all_locks()
SELECT is_free_lock('a'), is_used_lock('a')
SELECT master_pos_wait('a', 1)
SELECT source_pos_wait('a', 1)
SELECT wait_for_executed_gtid_set('a')
SELECT sys_exec('id')
SELECT sys_eval('id')
SELECT lib_mysqludf_sys_info()
SELECT last_insert_id(5)
SELECT nextval(s)
SELECT extractvalue(1, concat(0x7e, version()))
SELECT updatexml(1, concat(0x7e, version()), 1)
SELECT name_const('a', 1)
SELECT * FROM mysql.user
SELECT * FROM `mysql`.`user`
SELECT * FROM MySQL . User
SELECT * FROM "mysql"."user"
SELECT * FROM performance_schema.threads
SELECT * FROM sys.session
SELECT * FROM information_schema.processlist
SELECT * FROM INFORMATION_SCHEMA.USER_PRIVILEGES
SELECT 1 WHERE 1 IN (SELECT 1 FROM mysql.user)
SELECT * FROM t JOIN mysql.user u ON 1 = 1
SELECT 1 UNION SELECT authentication_string FROM mysql.user
TABLE mysql.user
SHOW TABLES FROM mysql
SHOW FULL TABLES IN `performance_schema`
SHOW COLUMNS FROM mysql.user
SHOW COLUMNS FROM user FROM mysql
SHOW CREATE TABLE mysql.user
SHOW CREATE TABLE federated
SHOW CREATE FUNCTION f
SHOW TABLES WHERE sleep(5)
SHOW COLUMNS FROM t WHERE (SELECT 1 FROM mysql.user)
SHOW STATUS
SHOW MASTER STATUS
SHOW BINARY LOGS
SHOW ENGINE INNODB STATUS
SHOW CREATE USER u
SELECT 1 FROM t x JOIN sys.session USING (a)
SELECT 5 MOD sleep(5)
SELECT EXTRACT(YEAR_MONTH FROM sleep(5))
SELECT 'it\'s', sleep(5), 'it\'s'"#;

/// Functions and relations of SQLite that are refused however they are written.
const FUNCTIONS_SQLITE: &str = r#"
SELECT load_extension('x')
SELECT LOAD_EXTENSION('x')
SELECT "load_extension"('x')
SELECT [load_extension]('x')
SELECT `load_extension` ('x')
SELECT readfile('/etc/passwd')
SELECT writefile('/tmp/x', 'y')
SELECT edit('x')
SELECT fts3_tokenizer('x')
SELECT randomblob(1000000000)
SELECT hex(zeroblob(1000000000))
SELECT eval('DELETE FROM t')
SELECT * FROM fsdir('/')
SELECT * FROM fsdir WHERE path = '/'
SELECT * FROM pragma_database_list
SELECT * FROM pragma_database_list()
SELECT * FROM "pragma_database_list"
SELECT * FROM 'pragma_database_list'
SELECT * FROM main.pragma_function_list
SELECT * FROM pragma_query_only(0)
SELECT * FROM sqlite_dbpage
SELECT * FROM dbstat
SELECT * FROM 'dbstat'
SELECT * FROM [dbstat]
SELECT 1 WHERE EXISTS (SELECT 1 FROM dbstat)
SELECT * FROM t ORDER BY readfile('x')
EXPLAIN SELECT readfile('x')
VALUES (readfile('x'))
WITH a AS (SELECT load_extension('x')) SELECT * FROM a
SELECT * FROM t WHERE a IN pragma_database_list
SELECT * FROM t WHERE a IN dbstat
SELECT * FROM t WHERE a IN fsdir('/')
SELECT * FROM t INDEXED BY i, dbstat
SELECT * FROM sqlite_stmt
SELECT * FROM sqlite_unheard_of
SELECT * FROM pragma_unheard_of
SELECT a IS NOT readfile('x') FROM t
SELECT 1 << readfile('x')"#;

#[test]
fn a_query_that_calls_a_refused_function_or_reads_a_refused_relation_is_refused() {
    let mut wrong = Vec::new();
    for (table, dialect) in [
        (FUNCTIONS_POSTGRES, Dialect::Postgres),
        (FUNCTIONS_MYSQL, Dialect::MySql),
        (FUNCTIONS_SQLITE, Dialect::Sqlite),
    ] {
        for sql in table.lines().filter(|sql| !sql.is_empty()) {
            let verdict = check(sql, dialect, &[]);
            println!("{sql}\n    {verdict:?}");
            if verdict.is_ok() {
                wrong.push(sql);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
