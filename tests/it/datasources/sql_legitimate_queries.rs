//! Analysts' queries, which must pass on each engine: one a line in the files of `queries`.

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::common::databases::{mariadb, postgres, sqlite};
use crate::common::sources::{ask, server_with};

const POSTGRES: &[&str] = &[
    "CREATE TYPE place AS (street text, city text)",
    "CREATE TYPE mood AS ENUM ('calm', 'busy')",
    "CREATE TABLE places (city text PRIMARY KEY, country text)",
    "CREATE TABLE customers (id int PRIMARY KEY, name text, city text, active bool, referred_by int, created_at timestamptz,
        address place, details json)",
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers, total numeric, paid bool,
        ordered_at timestamp)",
    "CREATE VIEW big_orders AS SELECT id, total AS \"Total €\" FROM orders WHERE total > 50",
    "INSERT INTO places VALUES ('Lisbon', 'PT'), ('Lima', 'PE')",
    "INSERT INTO customers VALUES
        (1, 'Ann', 'Lisbon', true, NULL, '2024-01-01', ROW('Rua 1', 'Lisbon'), '{\"plan\": \"pro\", \"tags\": [\"a\", \"b\"]}'),
        (2, 'Bob', 'Lima', false, 1, '2024-01-02', NULL, '{\"plan\": \"free\", \"tags\": []}')",
    "INSERT INTO orders VALUES (1, 1, 100, true, '2024-01-01 10:00'), (2, 1, 20, false, '2024-01-05 12:00'),
        (3, 2, 70, true, '2024-01-06 09:00')",
];

const MARIADB: &[&str] = &[
    "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(50), city VARCHAR(50), active BOOL, referred_by INT, details JSON,
        FULLTEXT (name))",
    "CREATE TABLE orders (id INT PRIMARY KEY, customer_id INT, total DECIMAL(10, 2), paid BOOL, ordered_at DATETIME)",
    "INSERT INTO customers VALUES (1, 'Ann', 'Lisbon', 1, NULL, '{\"plan\": \"pro\", \"tags\": [\"a\", \"b\"]}'),
        (2, 'Bob', 'Lima', 0, 1, '{\"plan\": \"free\", \"tags\": []}')",
    "INSERT INTO orders VALUES (1, 1, 100, 1, '2024-01-01 10:00'), (2, 1, 20, 0, '2024-01-05'), (3, 2, 70, 1, '2024-02-06')",
];

const SQLITE: &[&str] = &[
    "CREATE TABLE places (city TEXT PRIMARY KEY, country TEXT)",
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT, active INTEGER, referred_by INTEGER, details TEXT)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers, total REAL, paid INTEGER,
        ordered_at TEXT)",
    "CREATE INDEX by_customer ON orders (customer_id)",
    "CREATE VIEW places_by_name AS SELECT city FROM places",
    "INSERT INTO places VALUES ('Lisbon', 'PT'), ('Lima', 'PE')",
    "INSERT INTO customers VALUES (1, 'Ann', 'Lisbon', 1, NULL, '{\"plan\": \"pro\", \"tags\": [\"a\", \"b\"]}'),
        (2, 'Bob', 'Lima', 0, 1, '{\"plan\": \"free\", \"tags\": []}')",
    "INSERT INTO orders VALUES (1, 1, 100, 1, '2024-01-01 10:00'), (2, 1, 20, 0, '2024-01-05'), (3, 2, 70, 1, '2024-02-06')",
];

/// The replies to queries that fail, of the queries in a file's text.
async fn failing(server: &TestServer, queries: &str, least: usize) -> Vec<String> {
    assert!(queries.lines().count() >= least, "only {} queries", queries.lines().count());
    let mut failing = Vec::new();
    for sql in queries.lines() {
        let all = json!({"city": "Lisbon", "ids": [1, 2], "since": "2024-01-01", "list": "[1, 2]"});
        let used = all.as_object().unwrap().iter().filter(|(name, _)| sql.contains(&format!(":{name}")));
        let parameters: Value = used.map(|(name, value)| (name.clone(), value.clone())).collect();
        let reply = ask(server, sql, parameters).await;
        if reply.status != 200 || reply.json()["success"] != true {
            failing.push(format!("{sql}\n    {}", reply.text));
        }
    }
    failing
}

#[tokio::test]
async fn an_analysts_queries_pass_in_postgres() {
    let database = postgres(POSTGRES).await;
    let server = server_with("postgres", &database.reader_url, json!({})).await;
    let failing = failing(&server, include_str!("queries/postgres.sql"), 80).await;
    assert!(failing.is_empty(), "{}", failing.join("\n"));
}

#[tokio::test]
async fn an_analysts_queries_pass_in_mariadb() {
    let database = mariadb(MARIADB).await;
    let server = server_with("mysql", &database.reader_url, json!({})).await;
    let failing = failing(&server, include_str!("queries/mariadb.sql"), 50).await;
    assert!(failing.is_empty(), "{}", failing.join("\n"));
}

#[tokio::test]
async fn an_analysts_queries_pass_in_sqlite() {
    let file = sqlite(SQLITE).await;
    let server = server_with("sqlite", &file.url(), json!({})).await;
    let failing = failing(&server, include_str!("queries/sqlite.sql"), 45).await;
    assert!(failing.is_empty(), "{}", failing.join("\n"));
}
