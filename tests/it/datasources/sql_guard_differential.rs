//! The guard and PostgreSQL read the same query: what `EXPLAIN (VERBOSE)` finds in a statement decides what the guard must
//! say. Each pattern is tried with relations and functions that may be used and with some that may not.

use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use crate::common::TestServer;
use crate::common::databases::postgres;
use crate::common::sources::{ask, server_with};

/// Statements with a relation in the place of `@`.
const RELATIONS: &str = r#"
SELECT * FROM @
SELECT * FROM ONLY @
SELECT * FROM ONLY (@)
SELECT * FROM ONLY @ AS x
SELECT * FROM @ *
SELECT * FROM @ only
SELECT * FROM only , @
SELECT * FROM t, @
SELECT * FROM t, ONLY @
SELECT * FROM t only, ONLY @
SELECT * FROM t CROSS JOIN @
SELECT * FROM t JOIN @ ON true
SELECT * FROM t JOIN ONLY @ ON true
SELECT * FROM t LEFT JOIN ONLY (@) x ON true
SELECT * FROM t FULL OUTER JOIN @ ON false
SELECT * FROM t NATURAL JOIN @
SELECT * FROM (t CROSS JOIN @)
SELECT * FROM (@ CROSS JOIN t) x
SELECT * FROM ((t CROSS JOIN t u) CROSS JOIN ONLY @)
SELECT * FROM (SELECT * FROM @) x
SELECT * FROM (SELECT * FROM ONLY @) x
SELECT * FROM (TABLE @) x
SELECT * FROM (TABLE ONLY @) x
SELECT * FROM t, LATERAL (SELECT * FROM @) x
SELECT * FROM t, LATERAL (SELECT * FROM ONLY @ LIMIT 1) x
TABLE @
TABLE ONLY @
(TABLE @)
TABLE @ LIMIT 1
TABLE t UNION ALL SELECT 1 FROM @
SELECT 1 UNION ALL SELECT 1 FROM @
SELECT count(*) FROM t INTERSECT (SELECT count(*) FROM ONLY @)
SELECT 1 EXCEPT (SELECT 1 FROM @ LIMIT 1)
SELECT (SELECT count(*) FROM @)
SELECT ARRAY(SELECT 1 FROM ONLY @)
SELECT 1 WHERE EXISTS (SELECT FROM @)
SELECT 1 WHERE EXISTS (TABLE @)
SELECT 1 WHERE 1 IN (SELECT 1 FROM ONLY @)
SELECT 1 WHERE 1 = ANY (SELECT 1 FROM @)
SELECT 1 WHERE (1, 2) = (SELECT 1, count(*) FROM ONLY @)
SELECT 1 FROM t ORDER BY (SELECT count(*) FROM @)
SELECT 1 FROM t GROUP BY (SELECT count(*) FROM @)
SELECT 1 FROM t LIMIT (SELECT count(*) FROM @)
SELECT 1 FROM t OFFSET (SELECT count(*) FROM ONLY @) ROWS
SELECT CASE WHEN (SELECT count(*) FROM @) > 0 THEN 1 END
SELECT coalesce(NULL, (SELECT count(*) FROM ONLY @))
SELECT sum(1) FILTER (WHERE EXISTS (SELECT FROM @)) FROM t
SELECT sum(1) OVER (ORDER BY (SELECT count(*) FROM ONLY @) ROWS 1 PRECEDING EXCLUDE TIES) FROM t
WITH x AS (SELECT * FROM @) SELECT * FROM x
WITH x AS MATERIALIZED (TABLE ONLY @) TABLE x
WITH only AS (SELECT 1) SELECT 1 FROM @
WITH "only" AS (SELECT 1) SELECT 1 FROM "only", ONLY @
WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x WHERE i < 2) SEARCH DEPTH FIRST BY i SET o SELECT * FROM x, @
WITH RECURSIVE x(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x, ONLY @ WHERE i < 2) CYCLE i SET c USING p SELECT * FROM x
SELECT * FROM (SELECT 1) search, @
SELECT * FROM (SELECT 1) cycle, ONLY @
SELECT * FROM (SELECT 1) x(search), @
SELECT * FROM (VALUES (1)) x(exclude), ONLY @
SELECT 1 AS only, 2 AS "from" FROM @
SELECT 1 only FROM @
SELECT xmlelement(name only, (SELECT count(*) FROM @))
SELECT 1 WHERE 1 BETWEEN SYMMETRIC 2 AND (SELECT count(*) FROM ONLY @)
SELECT * FROM @ TABLESAMPLE system (100)
SELECT * FROM ONLY @ TABLESAMPLE bernoulli (100) REPEATABLE (1)
SELECT * FROM t x(only), ONLY @
SELECT * FROM @ AS lateral_, LATERAL (SELECT 1) lateral__
SELECT (x).* FROM (SELECT x FROM ONLY @ x) y
SELECT * FROM t /* @ */ CROSS JOIN -- @
 @
EXPLAIN SELECT * FROM ONLY @"#;

/// Statements with an expression in the place of `@`.
const EXPRESSIONS: &str = r#"
SELECT @
SELECT (@)
SELECT @ AS only
SELECT 1 + @
SELECT -@
SELECT @ IS NULL
SELECT @::text
SELECT CAST(@ AS text)
SELECT ARRAY[@]
SELECT ROW(@, 1)
SELECT (@, 1) = (1, 2)
SELECT 1 FROM t WHERE @ IS NOT NULL
SELECT 1 FROM t GROUP BY @
SELECT count(*) FROM t HAVING @ IS NOT NULL
SELECT 1 FROM t ORDER BY @
SELECT DISTINCT ON (@) 1 FROM t
SELECT 1 FROM t LIMIT length(@::text)
SELECT 1 FROM t OFFSET length(@::text) ROWS
SELECT sum(1) OVER (ORDER BY @) FROM t
SELECT sum(1) OVER (PARTITION BY @::text) FROM t
SELECT sum(1) OVER (ORDER BY id ROWS BETWEEN length(@::text) PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW) FROM t
SELECT sum(1) OVER w FROM t WINDOW w AS (ORDER BY @)
SELECT sum(1) FILTER (WHERE @ IS NULL) FROM t
SELECT string_agg(name, ',' ORDER BY @) FROM t
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY length(@::text)) FROM t
SELECT CASE WHEN @ IS NULL THEN 1 END FROM t
SELECT CASE @::text WHEN 'a' THEN 1 ELSE 2 END FROM t
SELECT coalesce(name, @::text) FROM t
SELECT greatest(length(@::text), 1) FROM t
SELECT nullif(@::text, name) FROM t
SELECT id BETWEEN SYMMETRIC length(@::text) AND 2 FROM t
SELECT name LIKE @::text ESCAPE 'x' FROM t
SELECT name SIMILAR TO @::text FROM t
SELECT id IN (1, length(@::text)) FROM t
SELECT id = ANY (ARRAY[length(@::text)]) FROM t
SELECT (ARRAY[1])[length(@::text)]
SELECT substring(name FROM length(@::text)) FROM t
SELECT overlay(name PLACING @::text FROM 1) FROM t
SELECT trim(AGENTS_AND_SOURCES @::text FROM name) FROM t
SELECT position(@::text IN name) FROM t
SELECT extract(year FROM now() + make_interval(days => length(@::text)))
SELECT now() AT TIME ZONE ('UTC' || coalesce(@::text, ''))
SELECT xmlelement(name a, xmlattributes(@::text AS b), @::text)
SELECT xmlforest(@::text AS a)
SELECT xmlserialize(content xmlelement(name a, @::text) AS text)
SELECT json_build_object('a', @::text)
SELECT * FROM t JOIN t u ON @ IS NULL
SELECT * FROM t, LATERAL (SELECT @) x
SELECT * FROM unnest(ARRAY[@::text]) WITH ORDINALITY
SELECT * FROM t TABLESAMPLE system (length(@::text))
SELECT * FROM generate_series(1, length(@::text))
WITH x AS (SELECT @) SELECT * FROM x
VALUES (@)
VALUES (1), (length(@::text))
SELECT 1 UNION ALL SELECT length(@::text)
EXPLAIN SELECT @"#;

/// What is tried in the place of `@`, the name by which a plan shows it, and whether it may be used.
struct Bait(&'static str, &'static str, bool);

const RELATION_BAITS: &[Bait] = &[
    Bait("t", "public.t", true),
    Bait("\"Only\"", "public.Only", true),
    Bait("pg_class", "pg_catalog.pg_class", true),
    Bait("pg_authid", "pg_catalog.pg_authid", false),
    Bait("pg_catalog . \"pg_authid\"", "pg_catalog.pg_authid", false),
    Bait("vault.secrets", "vault.secrets", false),
];

const EXPRESSION_BAITS: &[Bait] = &[
    Bait("sqrt(4)", "sqrt(", true),
    Bait("random()", "random()", true),
    Bait("lo_get(1)", "lo_get(", false),
    Bait("\"currval\" ('s')", "currval(", false),
    Bait("evil(1)", "evil(", false),
    Bait("PUBLIC . Evil(1)", "evil(", false),
    Bait("(ROW(1)::u).mean", "mean(", false),
];

/// All relations and expressions of the plan that PostgreSQL makes of a statement, as one text; `None` if it takes none.
async fn plan(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let sql = sql.strip_prefix("EXPLAIN").unwrap_or(sql);
    let explain = AssertSqlSafe(format!("EXPLAIN (VERBOSE, FORMAT JSON) {sql}"));
    let row = connection.fetch_one(sqlx::raw_sql(explain)).await.ok()?;
    let plan: String = row.try_get_unchecked(0).unwrap();
    let mut found = Vec::new();
    collect(&serde_json::from_str(&plan).unwrap(), &mut found);
    Some(found.join("\n"))
}

fn collect(value: &Value, found: &mut Vec<String>) {
    if let (Some(schema), Some(relation)) = (value["Schema"].as_str(), value["Relation Name"].as_str()) {
        found.push(format!("{schema}.{relation}"));
    }
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}

/// The statements of a table; a line that begins with a blank belongs to the one before.
fn statements(table: &str) -> Vec<String> {
    table.trim().replace("\n ", "\u{0}").lines().map(|line| line.replace('\u{0}', "\n ")).collect()
}

/// Tries all patterns with all baits and tells how many PostgreSQL takes and where the guard reads otherwise.
async fn compare(
    server: &TestServer,
    database: &mut PgConnection,
    table: &str,
    baits: &[Bait],
) -> (usize, Vec<String>) {
    let (mut compared, mut wrong) = (0, Vec::new());
    for pattern in statements(table) {
        for Bait(spelled, shown, allowed) in baits {
            let sql = pattern.replace('@', spelled);
            let Some(plan) = plan(database, &sql).await else { continue };
            compared += 1;
            let reply = ask(server, &sql, json!({})).await;
            let used = plan.contains(shown);
            match reply.status {
                422 if *allowed => wrong.push(format!("{sql}\n    refused: {}", reply.text)),
                200 if !allowed && used => wrong.push(format!("{sql}\n    accepted, though it uses {shown}")),
                _ => {}
            }
        }
    }
    (compared, wrong)
}

#[tokio::test]
async fn the_guard_reads_in_a_query_what_postgres_reads_in_it() {
    let database = postgres(&[
        "CREATE TABLE t (id int, name text)",
        "CREATE TABLE \"Only\" (a int)",
        "CREATE TYPE u AS (a int)",
        "CREATE SEQUENCE s",
        "CREATE SCHEMA vault",
        "CREATE TABLE vault.secrets (key text)",
        "CREATE FUNCTION evil(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
        "CREATE FUNCTION mean(u) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
    ])
    .await;
    database.execute(&format!("ALTER ROLE {} SUPERUSER", database.account())).await;
    let server = server_with("postgres", &database.url, json!({})).await;
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let (relations, mut wrong) = compare(&server, &mut connection, RELATIONS, RELATION_BAITS).await;
    let (expressions, more) = compare(&server, &mut connection, EXPRESSIONS, EXPRESSION_BAITS).await;
    wrong.extend(more);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(relations + expressions >= 500, "only {relations} and {expressions} compared");
}
