//! What a database holds, as JSON, and what a caller gives, as the database's own types.

use serde_json::{Value, json};

use crate::common::databases::{mariadb, postgres, sqlite};
use crate::common::sources::{failure, query, refusal, rows, server_with};

/// What each expression comes to, as JSON.
async fn assert_values(server: &crate::common::TestServer, cases: Vec<(&str, Value)>) {
    let mut wrong = Vec::new();
    for (expression, expected) in cases {
        let reply = crate::common::sources::ask(server, &format!("SELECT {expression} AS v"), json!({})).await.json();
        if reply["data"] != json!([{"v": expected}]) {
            wrong.push(format!("{expression}: {reply}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a query with the parameters comes to.
async fn assert_bound(server: &crate::common::TestServer, cases: Vec<(&str, Value, Value)>) {
    let mut wrong = Vec::new();
    for (sql, parameters, expected) in cases {
        let reply = crate::common::sources::ask(server, sql, parameters.clone()).await.json();
        if reply["data"] != expected {
            wrong.push(format!("{sql} with {parameters}: {reply}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const POSTGRES_TYPES: &[&str] = &[
    "CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy')",
    "CREATE TYPE \"Odd Name\" AS ENUM ('x')",
    "CREATE SCHEMA other",
    "CREATE TYPE other.shade AS ENUM ('dark', 'light')",
    "CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE <= 100)",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE TABLE people (id bigint PRIMARY KEY, name text, code char(3), feeling mood, odd \"Odd Name\", shade other.shade,
        share percent, born date, seen timestamptz, tags text[], info jsonb, key uuid, ratio float8, price numeric(20,4),
        flags bit(4), alive bool, host inet, letter \"char\", span interval)",
    "INSERT INTO people VALUES (9007199254740993, 'Ada', 'abc', 'happy', 'x', 'dark', 12.5, '1815-12-10',
        '2024-02-29 12:00:00+02', '{a,b}', '{\"a\": [1]}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 0.1, 19.99, B'0101', true,
        '10.0.0.1', 'q', '1 day')",
];

#[tokio::test]
async fn postgres_values_keep_their_type_and_their_last_digit() {
    let database = postgres(POSTGRES_TYPES).await;
    let server = server_with("postgres", &database.url, json!({})).await;
    assert_values(
        &server,
        vec![
            ("NULL::int", json!(null)),
            ("true", json!(true)),
            ("(-32768)::int2", json!(-32768)),
            ("2147483647", json!(2_147_483_647)),
            ("9007199254740992::int8", json!(9_007_199_254_740_992_i64)),
            ("9007199254740993::int8", json!("9007199254740993")),
            ("(-9223372036854775808)::int8", json!("-9223372036854775808")),
            ("4294967295::oid", json!(4_294_967_295_u32)),
            ("0.1::float4", json!(0.1)),
            ("0.1::float8", json!(0.1)),
            ("'NaN'::float8", json!("NaN")),
            ("'-Infinity'::float4", json!("-Infinity")),
            ("5::numeric", json!("5")),
            ("12.500::numeric(8,3)", json!("12.500")),
            ("(-0.000001)::numeric", json!("-0.000001")),
            ("123456789012345678901234567890.123456789", json!("123456789012345678901234567890.123456789")),
            ("1e30::numeric", json!("1000000000000000000000000000000")),
            ("'NaN'::numeric", json!("NaN")),
            ("'Infinity'::numeric", json!("Infinity")),
            ("99.5::percent", json!("99.50")),
            ("'-2.05'::money", json!("-2.05")),
            ("'Žluť 🐎'::text", json!("Žluť 🐎")),
            ("''::text", json!("")),
            ("'ab'::char(4)", json!("ab  ")),
            ("'a'::\"char\"", json!("a")),
            ("'people'::name", json!("people")),
            ("'people'::regclass", json!("people")),
            ("'\\x00ff'::bytea", json!("AP8=")),
            ("'{\"b\": [1, null, \"x\"], \"a\": {}}'::json", json!({"b": [1, null, "x"], "a": {}})),
            ("'[true, 1.5]'::jsonb", json!([true, 1.5])),
            ("'null'::jsonb", json!(null)),
            ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
            ("'2024-02-29'::date", json!("2024-02-29")),
            ("'infinity'::date", json!("infinity")),
            ("'0044-03-15 BC'::date", json!("-000043-03-15")),
            ("'13:05:06.25'::time", json!("13:05:06.25")),
            ("'13:05:06+05:30'::timetz", json!("13:05:06+05:30")),
            ("'2024-02-29 13:05:06.000001'::timestamp", json!("2024-02-29T13:05:06.000001")),
            ("'2024-02-29 13:05:06+02'::timestamptz", json!("2024-02-29T11:05:06Z")),
            ("'-infinity'::timestamptz", json!("-infinity")),
            ("'1 year 2 months 3 days 04:05:06.5'::interval", json!("P1Y2M3DT4H5M6.5S")),
            ("'-1 day -01:00'::interval", json!("P-1DT-1H")),
            ("'10.1.2.3'::inet", json!("10.1.2.3")),
            ("'10.1.2.3/8'::inet", json!("10.1.2.3/8")),
            ("'10.0.0.0/8'::cidr", json!("10.0.0.0/8")),
            ("'::1'::inet", json!("::1")),
            ("'08:00:2b:01:02:03'::macaddr", json!("08:00:2b:01:02:03")),
            ("B'0101'", json!("0101")),
            ("'so so'::mood", json!("so so")),
            ("'dark'::other.shade", json!("dark")),
            ("'{sad,NULL}'::mood[]", json!(["sad", null])),
            ("'{1,NULL,3}'::int[]", json!([1, null, 3])),
            ("'{{1,2},{3,4}}'::int8[]", json!([[1, 2], [3, 4]])),
            ("'{}'::text[]", json!([])),
            ("'[0:1]={7,8}'::int[]", json!([7, 8])),
            ("ARRAY['a', NULL, 'c,\"d\"']", json!(["a", null, "c,\"d\""])),
            ("'{1.50,NaN}'::numeric[]", json!(["1.50", "NaN"])),
            ("'{2024-02-29}'::date[]", json!(["2024-02-29"])),
            ("ARRAY['{\"a\":1}'::jsonb]", json!([{"a": 1}])),
            ("'{5,6}'::positive[]", json!([5, 6])),
            ("'{99.5}'::percent[]", json!(["99.50"])),
            ("'<a>1</a>'::xml", json!("<a>1</a>")),
            ("'[1,5)'::int4range", json!("[1,5)")),
            ("'[2024-01-01,]'::daterange", json!("[2024-01-01,)")),
            ("ROW(1, 'x y', NULL)", json!("(1,\"x y\",)")),
            ("'(1,2.5)'::point", json!("(1,2.5)")),
            ("to_tsvector('simple', 'a b')", json!("'a':1 'b':2")),
            ("'20000-01-01 01:02:03.5+00'::timestamptz", json!("20000-01-01 01:02:03.5+00")),
            ("'294276-12-31 23:59:59'::timestamp", json!("294276-12-31 23:59:59")),
            ("'5874897-12-31'::date", json!("5874897-12-31")),
            ("'24:00'::time", json!("24:00:00")),
            ("'[9007199254740993, 1, 1.10]'::jsonb", json!(["9007199254740993", 1, 1.1])),
            ("json_agg(9007199254740993)", json!(["9007199254740993"])),
            (
                "'{\"n\": -9007199254740993, \"d\": 12345678901234567890.5}'::json",
                json!({"n": "-9007199254740993",
                "d": "12345678901234567890.5"}),
            ),
            ("ARRAY['[9007199254740993]'::jsonb]", json!([["9007199254740993"]])),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_type_that_the_driver_does_not_know_is_shown_as_text_and_spoils_nothing() {
    let database = postgres(&[
        "CREATE DOMAIN spans AS int4multirange",
        "CREATE TYPE pair AS (a int, b datemultirange)",
        "CREATE TABLE shifts (id bigint, who text, times tsmultirange, all_of int8multirange[], span spans, pair pair, tags text[])",
        "INSERT INTO shifts VALUES (9007199254740993, 'Ada', '{[2024-01-01,2024-01-02)}', '{\"{[1,3)}\"}', '{[1,3)}', ROW(1, '{}'),
            '{a,b}')",
    ])
    .await;
    let server = server_with("postgres", &database.url, json!({})).await;
    assert_values(
        &server,
        vec![
            ("'{[1,3)}'::int4multirange", json!("{[1,3)}")),
            ("ARRAY['{[1,3)}'::int4multirange]", json!("{\"{[1,3)}\"}")),
            ("'{[1,3)}'::spans", json!("{[1,3)}")),
            ("NULL::nummultirange", json!(null)),
        ],
    )
    .await;
    let reply = query(&server, "SELECT * FROM shifts", json!({})).await;
    let row = json!({"id": "9007199254740993", "who": "Ada",
        "times": "{[\"2024-01-01 00:00:00\",\"2024-01-02 00:00:00\")}", "all_of": "{\"{[1,3)}\"}", "span": "{[1,3)}",
        "pair": "(1,{})", "tags": ["a", "b"]});
    assert_eq!(reply["data"], json!([row]));
    let kinds: Vec<_> =
        reply["metadata"]["columns"].as_array().unwrap().iter().map(|column| column["type"].clone()).collect();
    assert_eq!(
        kinds,
        ["int8", "text", "tsmultirange", "int8multirange[]", "int4multirange", "pair", "text[]"]
            .map(|kind| json!(kind))
    );
    for (sql, parameters, expected) in [
        (
            "SELECT who, times FROM shifts WHERE id = :id AND who = :who -- all",
            json!({"id": "9007199254740993", "who": "Ada"}),
            1,
        ),
        ("SELECT times FROM shifts WHERE span @> :n::int AND tags = :tags", json!({"n": 2, "tags": ["a", "b"]}), 1),
        (
            "SELECT times FROM shifts WHERE span && :span AND who <> :who",
            json!({"span": "{[2,9)}", "who": "O'Neil\\"}),
            1,
        ),
        ("SELECT span AS a, span AS a FROM shifts WHERE who = :who", json!({"who": "nobody"}), 0),
    ] {
        assert_eq!(query(&server, sql, parameters).await["row_count"], expected, "{sql}");
    }
    let said = failure(&server, "SELECT times, 1 / 0 FROM shifts", json!({})).await;
    assert!(said.contains("division by zero"), "{said}");
    assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]));
}

#[tokio::test]
async fn postgres_is_given_parameters_in_the_types_that_it_expects() {
    let database = postgres(POSTGRES_TYPES).await;
    let server = server_with("postgres", &database.url, json!({})).await;
    let ada = || json!([{"name": "Ada"}]);
    let none = || json!([]);
    let mut cases: Vec<(&str, Value, Value)> = vec![
        ("SELECT name FROM people WHERE id = :v", json!({"v": 9_007_199_254_740_993_i64}), ada()),
        ("SELECT name FROM people WHERE id = :v", json!({"v": "9007199254740993"}), ada()),
        ("SELECT name FROM people WHERE id = :v", json!({"v": 9_007_199_254_740_992_i64}), none()),
        ("SELECT name FROM people WHERE id = ANY(:v)", json!({"v": [1, "9007199254740993", null]}), ada()),
        ("SELECT name FROM people WHERE id = ANY(:v)", json!({"v": []}), none()),
        ("SELECT name FROM people WHERE name = :v", json!({"v": null}), none()),
        ("SELECT name FROM people WHERE :v::text IS NULL", json!({"v": null}), ada()),
        ("SELECT name FROM people WHERE name = ANY(:v)", json!({"v": ["x,\"y\"", "Ada", "NULL"]}), ada()),
        ("SELECT name FROM people WHERE code = :v", json!({"v": "abc"}), ada()),
        ("SELECT name FROM people WHERE code = ANY(:v)", json!({"v": ["abc"]}), ada()),
        ("SELECT name FROM people WHERE feeling = :v", json!({"v": "happy"}), ada()),
        ("SELECT name FROM people WHERE feeling = ANY(:v)", json!({"v": ["happy", "sad"]}), ada()),
        ("SELECT name FROM people WHERE odd = :v", json!({"v": "x"}), ada()),
        ("SELECT name FROM people WHERE odd = ANY(:v)", json!({"v": ["x"]}), ada()),
        ("SELECT name FROM people WHERE shade = :v", json!({"v": "dark"}), ada()),
        ("SELECT name FROM people WHERE share = :v", json!({"v": 12.5}), ada()),
        ("SELECT name FROM people WHERE price = :v", json!({"v": "19.9900"}), ada()),
        ("SELECT name FROM people WHERE born = :v", json!({"v": "1815-12-10"}), ada()),
        ("SELECT name FROM people WHERE born < :v::date", json!({"v": "1900-01-01"}), ada()),
        ("SELECT name FROM people WHERE seen = :v", json!({"v": "2024-02-29T10:00:00Z"}), ada()),
        ("SELECT name FROM people WHERE seen = :v", json!({"v": "2024-02-29T10:00:00"}), ada()),
        ("SELECT name FROM people WHERE tags = :v", json!({"v": ["a", "b"]}), ada()),
        ("SELECT name FROM people WHERE info = :v", json!({"v": {"a": [1]}}), ada()),
        ("SELECT name FROM people WHERE info @> :v", json!({"v": {"a": [1]}}), ada()),
        ("SELECT name FROM people WHERE key = :v", json!({"v": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}), ada()),
        ("SELECT name FROM people WHERE ratio = :v", json!({"v": 0.1}), ada()),
        ("SELECT name FROM people WHERE flags = :v", json!({"v": "0101"}), ada()),
        ("SELECT name FROM people WHERE alive = :v", json!({"v": true}), ada()),
        ("SELECT name FROM people WHERE host = :v", json!({"v": "10.0.0.1"}), ada()),
        ("SELECT name FROM people WHERE letter = :v", json!({"v": "q"}), ada()),
        ("SELECT name FROM people WHERE span = :v", json!({"v": "1 day"}), ada()),
        ("SELECT name FROM people WHERE name = :a OR id = :b OR name = :a", json!({"a": "Ada", "b": 1}), ada()),
        ("SELECT name FROM people ORDER BY id LIMIT :v", json!({"v": 1}), ada()),
        ("SELECT name FROM people WHERE name = :v", json!({"v": "' OR 1=1 --"}), none()),
        ("SELECT :v AS v", json!({"v": "it's \\ :x $1"}), json!([{"v": "it's \\ :x $1"}])),
        ("SELECT :v::int + 1 AS v", json!({"v": 41}), json!([{"v": 42}])),
        ("SELECT :v::jsonb AS v", json!({"v": [1, {"a": null}]}), json!([{"v": [1, {"a": null}]}])),
    ];
    cases.push(("SELECT ':v' AS v, 'a' || :v AS w", json!({"v": "b"}), json!([{"v": ":v", "w": "ab"}])));
    assert_bound(&server, cases).await;
    assert!(failure(&server, "SELECT name FROM people WHERE id = :v", json!({"v": "x"})).await.contains("bigint"));
    for (parameters, said) in [(json!({}), ":v"), (json!({"v": [1]}), "= ANY(:v)"), (json!({"v": {"a": 1}}), "object")]
    {
        let (at, text) = refusal(&server, "SELECT name FROM people WHERE id = :v", parameters).await;
        assert_eq!(at, json!(["body", "parameters"]));
        assert!(text.contains(said), "{text}");
    }
}

const MARIADB_TYPES: &[&str] = &[
    "CREATE TABLE t (id BIGINT UNSIGNED PRIMARY KEY, tiny TINYINT, flag TINYINT(1), small TINYINT(1) UNSIGNED, medium MEDIUMINT,
        big BIGINT, ratio FLOAT, wide DOUBLE, price DECIMAL(30,6), bits BIT(10), year YEAR, day DATE, clock TIME(3),
        moment DATETIME(6), stamp TIMESTAMP NULL, code CHAR(3), name VARCHAR(20), note TEXT, sorted VARCHAR(9) COLLATE utf8mb4_bin,
        raw BLOB, fixed BINARY(2), mood ENUM('sad', 'so so'), tags SET('a', 'b', 'c'), info JSON, ip INET6, nothing INT)
        CHARACTER SET utf8mb4",
    "INSERT INTO t VALUES (18446744073709551615, -128, 1, 200, -8388608, -9223372036854775808, 0.1, 0.1,
        123456789012345678901234.500000, b'1000000001', 2024, '2024-02-29', '-26:03:04.500', '2024-02-29 13:05:06.000001',
        '2024-02-29 13:05:06', 'abc', 'Žluť 🐎', 'long', 'bin', x'00ff', x'00ff', 'so so', 'a,c', '{\"a\": [1, null]}', '::1', NULL)",
];

#[tokio::test]
async fn mariadb_values_keep_their_type_and_their_last_digit() {
    let database = mariadb(MARIADB_TYPES).await;
    let server = server_with("mysql", &database.url, json!({})).await;
    let reply = query(&server, "SELECT * FROM t", json!({})).await;
    let expected = [
        ("id", "bigint unsigned", json!("18446744073709551615")),
        ("tiny", "tinyint", json!(-128)),
        ("flag", "boolean", json!(true)),
        ("small", "boolean", json!(200)),
        ("medium", "mediumint", json!(-8_388_608)),
        ("big", "bigint", json!("-9223372036854775808")),
        ("ratio", "float", json!(0.1)),
        ("wide", "double", json!(0.1)),
        ("price", "decimal", json!("123456789012345678901234.500000")),
        ("bits", "bit", json!(513)),
        ("year", "year", json!(2024)),
        ("day", "date", json!("2024-02-29")),
        ("clock", "time", json!("-26:03:04.5")),
        ("moment", "datetime", json!("2024-02-29T13:05:06.000001")),
        ("stamp", "timestamp", json!("2024-02-29T13:05:06Z")),
        ("code", "char", json!("abc")),
        ("name", "varchar", json!("Žluť 🐎")),
        ("note", "text", json!("long")),
        ("sorted", "varchar", json!("bin")),
        ("raw", "blob", json!("AP8=")),
        ("fixed", "binary", json!("AP8=")),
        ("mood", "enum", json!("so so")),
        ("tags", "char", json!("a,c")),
        // MariaDB keeps JSON as text, and says so.
        ("info", "text", json!("{\"a\": [1, null]}")),
        ("ip", "char", json!("::1")),
        ("nothing", "int", json!(null)),
    ];
    let row = &reply["data"][0];
    let found: Vec<_> = reply["metadata"]["columns"].as_array().unwrap().iter().collect();
    let found: Vec<_> = found
        .into_iter()
        .map(|column| {
            let name = column["name"].as_str().unwrap();
            (name, column["type"].as_str().unwrap(), row[name].clone())
        })
        .collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    assert_values(
        &server,
        vec![
            ("1", json!(1)),
            ("NULL", json!(null)),
            ("1.50", json!("1.50")),
            ("1e300", json!(1e300)),
            ("'a' = 'b'", json!(0)),
            ("x'6162'", json!("YWI=")),
            ("CAST('x' AS CHAR)", json!("x")),
            ("CONCAT('a', 1)", json!("a1")),
            ("JSON_OBJECT('a', 1)", json!("{\"a\": 1}")),
            ("CAST(5 AS UNSIGNED)", json!(5)),
            ("TIME'838:59:59'", json!("838:59:59")),
        ],
    )
    .await;
}

#[tokio::test]
async fn mariadb_is_given_parameters_in_the_types_that_it_expects() {
    let database = mariadb(MARIADB_TYPES).await;
    let server = server_with("mariadb", &database.url.replace("mysql://", "mariadb://"), json!({})).await;
    let hit = || json!([{"name": "Žluť 🐎"}]);
    let none = || json!([]);
    assert_bound(
        &server,
        vec![
            ("SELECT name FROM t WHERE id = :v", json!({"v": 18_446_744_073_709_551_615_u64}), hit()),
            ("SELECT name FROM t WHERE id = :v", json!({"v": "18446744073709551615"}), hit()),
            ("SELECT name FROM t WHERE id = :v", json!({"v": 18_446_744_073_709_551_614_u64}), none()),
            ("SELECT name FROM t WHERE id IN (:v)", json!({"v": [1, "18446744073709551615"]}), hit()),
            ("SELECT name FROM t WHERE id IN (:v)", json!({"v": []}), none()),
            ("SELECT name FROM t WHERE big = :v", json!({"v": i64::MIN}), hit()),
            ("SELECT name FROM t WHERE flag = :v", json!({"v": true}), hit()),
            ("SELECT name FROM t WHERE nothing <=> :v", json!({"v": null}), hit()),
            ("SELECT name FROM t WHERE wide = :v", json!({"v": 0.1}), hit()),
            ("SELECT name FROM t WHERE price = :v", json!({"v": "123456789012345678901234.5"}), hit()),
            ("SELECT name FROM t WHERE day = :v", json!({"v": "2024-02-29"}), hit()),
            ("SELECT name FROM t WHERE moment = :v", json!({"v": "2024-02-29T13:05:06.000001"}), hit()),
            ("SELECT name FROM t WHERE name = :v", json!({"v": "Žluť 🐎"}), hit()),
            ("SELECT name FROM t WHERE mood = :v", json!({"v": "so so"}), hit()),
            ("SELECT name FROM t WHERE ip = :v", json!({"v": "::1"}), hit()),
            ("SELECT name FROM t WHERE name = :v OR code = :w OR name = :v", json!({"v": "x", "w": "abc"}), hit()),
            ("SELECT name FROM t WHERE name = :v", json!({"v": "' OR 1=1 -- "}), none()),
            ("SELECT name FROM t LIMIT :v", json!({"v": 1}), hit()),
            ("SELECT CONCAT(:v, '?') AS v, ':w' AS w", json!({"v": "it's \\"}), json!([{"v": "it's \\?", "w": ":w"}])),
        ],
    )
    .await;
    let (at, text) = refusal(&server, "SELECT name FROM t WHERE id = :v", json!({"w": 1})).await;
    assert_eq!((at, text.contains(":v")), (json!(["body", "parameters"]), true), "{text}");
}

#[tokio::test]
async fn sqlite_values_and_parameters_keep_their_type_and_their_last_digit() {
    let file = sqlite(&[
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, ratio REAL, raw BLOB, flag BOOLEAN, day DATE, price NUMERIC, free)",
        "INSERT INTO t VALUES (9007199254740993, 'Žluť 🐎', 0.1, x'00ff', 1, '2024-02-29', 12.5, 'anything')",
        "INSERT INTO t VALUES (1, NULL, 1e999, NULL, 0, NULL, 7, 7)",
    ])
    .await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    let reply = query(&server, "SELECT * FROM t ORDER BY id DESC", json!({})).await;
    let ada = json!({"id": "9007199254740993", "name": "Žluť 🐎", "ratio": 0.1, "raw": "AP8=", "flag": true,
        "day": "2024-02-29", "price": 12.5, "free": "anything"});
    let one = json!({"id": 1, "name": null, "ratio": "Infinity", "raw": null, "flag": false, "day": null, "price": 7, "free": 7});
    assert_eq!(reply["data"], json!([ada, one]));
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let columns = [
        column("id", "integer"),
        column("name", "text"),
        column("ratio", "real"),
        column("raw", "blob"),
        column("flag", "boolean"),
        column("day", "date"),
        column("price", "real"),
        column("free", "text"),
    ];
    assert_eq!(reply["metadata"], json!({"columns": columns, "truncated": false}));
    assert_values(
        &server,
        vec![
            ("1", json!(1)),
            ("9223372036854775807", json!("9223372036854775807")),
            ("-1e999", json!("-Infinity")),
            ("CAST(x'ff' AS TEXT)", json!("/w==")),
            ("json('{\"a\":1}')", json!("{\"a\":1}")),
            ("NULL", json!(null)),
        ],
    )
    .await;
    assert_bound(
        &server,
        vec![
            ("SELECT id FROM t WHERE id = :v", json!({"v": 1}), json!([{"id": 1}])),
            ("SELECT ratio FROM t WHERE id = :v", json!({"v": 9_007_199_254_740_993_i64}), json!([{"ratio": 0.1}])),
            ("SELECT ratio FROM t WHERE id = :v", json!({"v": "9007199254740993"}), json!([{"ratio": 0.1}])),
            ("SELECT ratio FROM t WHERE id = :v", json!({"v": 9_007_199_254_740_992_i64}), json!([])),
            ("SELECT id FROM t WHERE id IN (:v)", json!({"v": [1, 2, null]}), json!([{"id": 1}])),
            ("SELECT id FROM t WHERE name IS NULL AND :v IS NULL", json!({"v": null}), json!([{"id": 1}])),
            ("SELECT id FROM t WHERE flag = :v", json!({"v": false}), json!([{"id": 1}])),
            ("SELECT ratio FROM t WHERE ratio = :v", json!({"v": 0.1}), json!([{"ratio": 0.1}])),
            ("SELECT ratio FROM t WHERE day = :v", json!({"v": "2024-02-29"}), json!([{"ratio": 0.1}])),
            (
                "SELECT typeof(:a) AS a, typeof(:b) AS b",
                json!({"a": 1, "b": "1"}),
                json!([{"a": "integer", "b": "text"}]),
            ),
            ("SELECT id FROM t WHERE name = :v", json!({"v": "' OR 1=1 --"}), json!([])),
        ],
    )
    .await;
}

#[tokio::test]
async fn columns_are_told_with_their_types_even_if_there_are_no_rows_and_names_stay_unique() {
    let database =
        postgres(&["CREATE TYPE mood AS ENUM ('sad')", "CREATE TABLE a (id int, m mood, n numeric, t text[])"]).await;
    let server = server_with("postgres", &database.url, json!({})).await;
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let reply = query(&server, "SELECT * FROM a WHERE id = :id", json!({"id": 1})).await;
    let columns = [column("id", "int4"), column("m", "mood"), column("n", "numeric"), column("t", "text[]")];
    assert_eq!(reply["metadata"], json!({"columns": columns, "truncated": false}));
    assert_eq!((&reply["data"], &reply["row_count"]), (&json!([]), &json!(0)));
    assert_eq!(
        rows(&server, "SELECT 1 AS x, 2 AS x, 3 AS x_2", json!({})).await,
        json!([{"x": 1, "x_2": 2, "x_2_2": 3}])
    );

    let database = mariadb(&["CREATE TABLE a (id INT UNSIGNED, d DECIMAL(5,2), n VARCHAR(9))"]).await;
    let server = server_with("mysql", &database.url, json!({})).await;
    let reply = query(&server, "SELECT *, id AS id FROM a WHERE id IN (:ids)", json!({"ids": [1, 2]})).await;
    let columns =
        [column("id", "int unsigned"), column("d", "decimal"), column("n", "varchar"), column("id_2", "int unsigned")];
    assert_eq!(reply["metadata"], json!({"columns": columns, "truncated": false}));

    let file = sqlite(&["CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT)"]).await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    let reply = query(&server, "SELECT id, n, n FROM a WHERE id > :v", json!({"v": 0})).await;
    let columns = [column("id", "integer"), column("n", "text"), column("n_2", "text")];
    assert_eq!(reply["metadata"], json!({"columns": columns, "truncated": false}));
    let reply = query(&server, "SELECT count(*) AS c, 'x' AS t FROM a", json!({})).await;
    assert_eq!(reply["metadata"]["columns"], json!([column("c", "integer"), column("t", "text")]));
}
