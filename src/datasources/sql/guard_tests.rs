//! Tables of ordinary queries, which must pass, one a line, and properties of all texts.

use proptest::prelude::*;
use sqlparser::tokenizer::Tokenizer;

use super::dialect::Dialect;
use super::guard::{check, parse};
use super::parameters::Piece;
use super::rewrite::rewrite;

/// The engines.
const ALL: [Dialect; 3] = [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite];

/// Queries for every engine.
const ACCEPTED_EVERYWHERE: &str = "\
SELECT 1
select count(*) from orders where created_at >= :since and status <> 'void';
SELECT a, sum(b) AS total FROM t GROUP BY a HAVING sum(b) > 10 ORDER BY total DESC LIMIT 10 OFFSET 5
SELECT DISTINCT city FROM customers WHERE name LIKE '%O''Brien%' OR name IS NULL
WITH monthly AS (SELECT month, sum(x) AS s FROM t GROUP BY month) SELECT * FROM monthly m JOIN t USING (month)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT * FROM n
SELECT id, row_number() OVER (PARTITION BY a ORDER BY b DESC) AS r, lag(b, 1) OVER w FROM t WINDOW w AS (ORDER BY b)
SELECT sum(x) OVER (ORDER BY d ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) FROM t
SELECT CASE WHEN x > 1 THEN 'many' WHEN x = 1 THEN 'one' ELSE 'none' END, coalesce(y, 0), nullif(z, '') FROM t
SELECT a FROM t UNION SELECT a FROM u EXCEPT SELECT a FROM v ORDER BY 1
SELECT * FROM a LEFT JOIN b ON a.id = b.a_id CROSS JOIN c WHERE EXISTS (SELECT 1 FROM d WHERE d.id = a.id)
SELECT * FROM t WHERE (a, b) IN ((1, 2), (3, 4)) AND c BETWEEN 1 AND 5 AND d NOT IN (:x, :y)
SELECT (SELECT max(x) FROM u WHERE u.id = t.id) AS m, -x, +y, x % 2, x * y / 3.5e2 FROM t
SELECT 'DROP TABLE x; DELETE FROM y -- no', 'pg_sleep(1)', 'a /* b */' FROM t -- sleep(1)
SELECT cast(x AS decimal(10, 2)), trim(y), upper(z), substring(a, 1, 2), replace(b, 'x', 'y') FROM t
SELECT u.user, n.mysql, i.updated, d.deleted FROM \
some_schema.users u, n, i, d /* insert into x */ WHERE u.sleep = 8
SELECT 'příliš žluťoučký 🐎', sloupec_č FROM účty WHERE název = :nazev
EXPLAIN SELECT * FROM t WHERE id = :id";

/// Analysts' queries, which are run on each engine too.
const HONEST: [(&str, Dialect); 3] = [
    (include_str!("../../../tests/it/datasources/queries/postgres.sql"), Dialect::Postgres),
    (include_str!("../../../tests/it/datasources/queries/mariadb.sql"), Dialect::MySql),
    (include_str!("../../../tests/it/datasources/queries/sqlite.sql"), Dialect::Sqlite),
];

/// Queries for PostgreSQL.
const ACCEPTED_POSTGRES: &str = r#"
SELECT date_trunc('month', created_at)::date AS m, count(*) FILTER (WHERE paid) FROM orders GROUP BY 1 ORDER BY 1
SELECT extract(epoch FROM now() - interval '7 days'), now() AT TIME ZONE 'Europe/Prague', current_date - 1
SELECT region, product, sum(x) FROM t GROUP BY GROUPING SETS ((region, product), (region), ())
SELECT region, sum(x) FROM t GROUP BY ROLLUP (region, product)
SELECT region, grouping(region), sum(x) FROM t GROUP BY CUBE (region, product)
SELECT u.id, l.x FROM users u CROSS JOIN LATERAL (SELECT x FROM t WHERE t.id = u.id ORDER BY x LIMIT 1) l
SELECT d::date FROM generate_series(:from::date, :to::date, interval '1 day') AS d
SELECT data->'a'->>'b', data #>> '{a,b}', data #> '{a}', data @> '{"x": 1}'::jsonb, data ? 'k', data ?| ARRAY['a'] FROM t
SELECT * FROM t WHERE id = ANY(:ids) OR tags && ARRAY['a', 'b']::text[] OR arr[1:2] = '{1,2}' OR arr[1] = 3
SELECT DISTINCT ON (customer_id) * FROM orders ORDER BY customer_id, created_at DESC NULLS LAST
SELECT string_agg(name, ', ' ORDER BY name), array_agg(DISTINCT x), jsonb_build_object('a', b), bool_or(c) FROM t
SELECT * FROM t TABLESAMPLE SYSTEM (10) ORDER BY 1 FETCH FIRST 5 ROWS ONLY
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), mode() WITHIN GROUP (ORDER BY y) FROM t
SELECT * FROM t WHERE name ILIKE '%x%' AND name ~* '^a\d+' AND name SIMILAR TO 'a|b' AND name !~ 'z'
SELECT to_tsvector('english', body) @@ plainto_tsquery('x'), ts_rank(v, q) FROM t, to_tsquery('a & b') q
SELECT x FROM unnest(:names::text[]) WITH ORDINALITY AS u(x, i)
SELECT k, v FROM t, jsonb_each_text(t.data) AS e(k, v)
SELECT * FROM jsonb_to_recordset(:rows::jsonb) AS r(a int, b text)
VALUES (1, 'a'), (2, 'b')
EXPLAIN (FORMAT json, COSTS off) SELECT 1
EXPLAIN VERBOSE SELECT 1
SELECT pg_size_pretty(pg_total_relation_size('orders')), pg_typeof(x), pg_catalog.count(*) FROM t
SELECT c.relname, pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
SELECT E'it\'s', $$it's; -- here$$, $tag$a $$ b$tag$, U&'\0061', B'101', X'1f', N'x', "Quoted ""Name""" FROM "T"
SELECT lineorder.lo_revenue, l.lo_orderdate FROM lineorder l
SELECT x IS NOT DISTINCT FROM y, a || b, point(1, 2) <-> point(3, 4), 5 & 3, 5 # 3, ~5, 2 ^ 3, @ -5, |/ 4 FROM t
SELECT row_to_json(t), (t).a, (composite_column).field.sub, t.* FROM t /* a /* nested */ comment */
WITH a AS MATERIALIZED (SELECT 1), b AS NOT MATERIALIZED (SELECT 2) SELECT * FROM a, b
SELECT sum(x) OVER (ORDER BY d RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW) FROM t
SELECT x[1], x[:2], x[2:], x[1:2], x[:n] FROM t
SELECT substring(a FROM 1 FOR 2), position('x' IN a), overlay(a PLACING 'b' FROM 1), trim(BOTH ' ' FROM a) FROM t
SELECT width_bucket(x, 0, 100, 10), date_part('dow', d), to_char(d, 'YYYY-MM'), make_interval(days => 10) FROM t
(SELECT 1 UNION ALL SELECT 2) INTERSECT (SELECT 2) ORDER BY 1 LIMIT ALL
SELECT NOT a, b IS TRUE, c IS UNKNOWN, d NOTNULL, (a, b) OVERLAPS (c, d) FROM t
SELECT * FROM ONLY t
SELECT count(*) FROM a FULL OUTER JOIN b ON a.x = b.x NATURAL JOIN c
SELECT date '2024-01-01' + 1, timestamp '2024-01-01 10:00', time '10:00', interval '1' day, 'a' COLLATE "C""#;

/// Queries for MySQL and MariaDB.
const ACCEPTED_MYSQL: &str = r#"
SELECT DATE_FORMAT(created_at, '%Y-%m') AS m, GROUP_CONCAT(DISTINCT name ORDER BY name SEPARATOR ', ') FROM t GROUP BY m
SELECT `order`.`id`, `t`.`weird``name` FROM `order` JOIN `shop`.`t` ON `t`.`id` = `order`.`id` LIMIT 5, 10
SELECT * FROM t WHERE name REGEXP '^a.*z$' OR name RLIKE 'x' OR name NOT REGEXP 'y' OR name REGEXP BINARY 'q'
SELECT id, MATCH (title, body) AGAINST (:words IN NATURAL LANGUAGE MODE) AS score FROM articles ORDER BY score DESC
SELECT * FROM articles WHERE MATCH (title) AGAINST ('+a -b' IN BOOLEAN MODE)
SELECT STRAIGHT_JOIN a.x FROM a STRAIGHT_JOIN b ON a.id = b.id
SELECT a.x FROM a USE INDEX (i1) IGNORE INDEX (i2) FORCE INDEX FOR ORDER BY (i3) WHERE a.y = 1
SELECT year(d), sum(x) FROM t GROUP BY year(d) WITH ROLLUP
SELECT DATE_ADD(NOW(), INTERVAL 1 DAY), d - INTERVAL 1 MONTH, TIMESTAMPDIFF(DAY, a, b), EXTRACT(YEAR FROM d) FROM t
SELECT IF(a > 1, 'x', 'y'), IFNULL(b, 0), a DIV 2, MOD(a, 2), a % 2, a <=> b, a && b, a XOR b, NOT c FROM t
SELECT data->'$.a', data->>'$.b', JSON_EXTRACT(data, '$.c'), JSON_UNQUOTE(x) FROM t # a comment
SELECT CONVERT(x, CHAR), CONVERT(y USING utf8mb4), CAST(z AS UNSIGNED), BINARY 'x', _utf8mb4'y' FROM t
SELECT "double quoted", 'it''s', 'a\nb', 'C:\\dir', 0x1F, x'1f', b'101' FROM dual
SELECT SQL_NO_CACHE * FROM t PARTITION (p0, p1) WHERE x IN (1, 2)
SELECT j.a FROM t, JSON_TABLE(t.data, '$[*]' COLUMNS (a INT PATH '$.a')) AS j
SELECT table_name, column_type FROM information_schema.columns WHERE table_schema = DATABASE()
EXPLAIN FORMAT=JSON SELECT * FROM t
SELECT a FROM 2024_sales WHERE 1e3 < x AND y > .5 -- a comment
SELECT 1 - -1, 2 - - 2 #
SELECT x FROM t ORDER BY FIELD(status, 'a', 'b'), RAND() LIMIT :n OFFSET :m
SELECT NOW(6), CURRENT_TIMESTAMP, CURDATE(), UNIX_TIMESTAMP(), WEEK(d, 3), STR_TO_DATE(s, '%d.%m.%Y') FROM t
SELECT COUNT(DISTINCT a, b), STDDEV(x), BIT_OR(y), ANY_VALUE(z) FROM t
SELECT t.a COLLATE utf8mb4_bin, a LIKE 'x!%' ESCAPE '!', n.`select` FROM t, n"#;

/// Queries for SQLite.
const ACCEPTED_SQLITE: &str = r#"
SELECT strftime('%Y-%m', created_at) AS m, julianday('now') - julianday(created_at), date('now', '-7 days') FROM t
SELECT j.value, j.key FROM t, json_each(t.data) AS j WHERE json_extract(t.data, '$.a') = :a
SELECT data -> 'a', data ->> '$.b', a || b, a == b, a <> b, a IS NOT NULL, a & 2, ~c FROM t
SELECT group_concat(name, ', '), total(x), iif(a, b, c), printf('%.2f', x), typeof(y), instr(a, 'b') FROM t
SELECT [weird name], `other`, "third ""one""", 'it''s' FROM [my table] LIMIT 5, 10
SELECT * FROM t WHERE name GLOB 'a*' OR name REGEXP 'b' OR name LIKE '10\%' ESCAPE '\'
SELECT * FROM docs WHERE docs MATCH :words
SELECT name, sql FROM sqlite_master WHERE type = 'table'
SELECT name, type FROM pragma_table_info('orders')
SELECT count(*) FILTER (WHERE a > 1), a IS NULL, b NOTNULL, c ISNULL FROM t
EXPLAIN QUERY PLAN SELECT * FROM t
SELECT value FROM generate_series(1, :n)
SELECT 0x1F, x'1f', 1e3, .5, "a" COLLATE NOCASE, cast(b AS TEXT) FROM t ORDER BY 1 NULLS FIRST
VALUES (1, 'a'), (2, 'b')
WITH t(a) AS (VALUES (1), (2)) SELECT a FROM t
SELECT row_number() OVER (ORDER BY x GROUPS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING) FROM t
SELECT * FROM main.orders AS o NATURAL LEFT JOIN items WHERE rowid IN (SELECT 1) AND NOT EXISTS (SELECT 2)"#;

/// The queries of a table, one a line.
fn lines(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter(|line| !line.is_empty())
}

/// The queries of `table` that are refused, with the reason.
fn refused(table: &str, dialect: Dialect) -> Vec<String> {
    lines(table)
        .filter_map(|sql| check(sql, dialect, &[]).err().map(|refusal| format!("{dialect:?}: {sql}\n    {refusal}")))
        .collect()
}

#[test]
fn a_query_that_only_reads_is_accepted() {
    let mut wrong: Vec<String> = ALL.iter().flat_map(|dialect| refused(ACCEPTED_EVERYWHERE, *dialect)).collect();
    wrong.extend(refused(ACCEPTED_POSTGRES, Dialect::Postgres));
    wrong.extend(refused(ACCEPTED_MYSQL, Dialect::MySql));
    wrong.extend(refused(ACCEPTED_SQLITE, Dialect::Sqlite));
    wrong.extend(HONEST.iter().flat_map(|(table, dialect)| refused(table, *dialect)));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The query as its pieces spell it.
fn spelled(sql: &str, dialect: Dialect) -> Option<String> {
    let query = check(sql, dialect, &[]).ok()?;
    let text = query.pieces().iter().map(|piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Parameter(name) => format!(":{name}"),
    });
    Some(text.collect())
}

/// Whether an accepted query is spelled as given, apart from what ends it, and passes with values in place of parameters.
fn holds(sql: &str, dialect: Dialect) -> bool {
    let Some(spelled) = spelled(sql, dialect) else { return true };
    let placed =
        check(&spelled, dialect, &[]).unwrap().pieces().iter().fold(String::new(), |text, piece| match piece {
            Piece::Text(more) => text + more,
            Piece::Parameter(_) => text + "NULL",
        });
    sql.starts_with(&spelled)
        && check(sql, dialect, &[]) == check(&spelled, dialect, &[])
        && check(&placed, dialect, &[]).is_ok()
}

/// A text of the words and characters that tricks are made of.
fn tricky() -> impl Strategy<Value = String> {
    let words = [
        "SELECT", "FROM", "WHERE", "1", "a", "t", ",", "(", ")", "=", "'", "\"", "`", "\\", "--", "-- ", "/*", "*/",
        "#", "$$", "$a$", ";", ":a", ":", "::", "[", "]", "E'", "x'", "U&\"", "\n", "\r\n", "\t", " ", "ř", "🐎", "@",
        "?", "->", "-", "*", "/", "!", "0x", ".", "1.", "e1", "UNION", "'a'", "LIMIT", "\u{a0}", "/*!", "N'", "AS",
    ];
    let word = proptest::sample::select(words.to_vec());
    proptest::collection::vec((word, prop::bool::weighted(0.7)), 0..24)
        .prop_map(|words| {
            words.into_iter().map(|(word, blank)| format!("{word}{}", if blank { " " } else { "" })).collect()
        })
        .prop_map(|text: String| format!("SELECT {text}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_text_of_any_kind_is_judged_without_a_panic(sql in any::<String>(), tricky in tricky()) {
        for dialect in ALL {
            prop_assert!(holds(&sql, dialect));
            prop_assert!(holds(&tricky, dialect));
        }
    }
}

#[test]
fn a_query_that_passes_is_handed_on_as_it_was_given() {
    let accepted =
        [(ACCEPTED_POSTGRES, Dialect::Postgres), (ACCEPTED_MYSQL, Dialect::MySql), (ACCEPTED_SQLITE, Dialect::Sqlite)];
    for (table, dialect) in accepted.into_iter().chain(HONEST) {
        for sql in lines(table).chain(lines(ACCEPTED_EVERYWHERE)) {
            assert!(spelled(sql, dialect).is_some() && holds(sql, dialect), "{dialect:?}: {sql}");
        }
    }
}

#[test]
fn a_tree_that_is_printed_and_read_again_is_the_same() {
    let mut compared = 0;
    for (table, dialect) in HONEST {
        // What stands for a parameter can't be read from a text, and backslashes are not printed as they were.
        let printable = |sql: &&str| ![" :", "(:", "\\"].iter().any(|sign| sql.contains(sign));
        for sql in lines(table).filter(printable) {
            let tree = |sql: &str| {
                let tokens = Tokenizer::new(dialect.grammar(), sql).tokenize_with_location().unwrap();
                parse(rewrite(tokens, dialect), dialect).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"))
            };
            let first = tree(sql);
            assert_eq!(tree(&first.to_string()), first, "{sql}");
            compared += 1;
        }
    }
    assert!(compared > 150);
}

#[test]
fn what_engines_plan_for_minutes_is_refused_by_its_size() {
    let joins = |count: usize| format!("SELECT * FROM t{}", " JOIN t AS u ON true".repeat(count));
    let nested = |depth: usize| format!("{}SELECT 1{}", "WITH a AS (".repeat(depth), ") SELECT * FROM a".repeat(depth));
    for dialect in ALL {
        assert!(check(&joins(63), dialect, &[]).is_ok(), "{dialect:?}");
        assert!(check(&nested(12), dialect, &[]).is_ok(), "{dialect:?}");
        assert!(check(&joins(64), dialect, &[]).unwrap_err().to_string().contains("more than 64"), "{dialect:?}");
        assert!(check(&nested(13), dialect, &[]).unwrap_err().to_string().contains("more than 12 WITH"), "{dialect:?}");
    }
}
