//! What a query costs a database server besides itself.

use serde_json::json;
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};

use crate::common::databases::{mariadb, variable};
use crate::common::sources::{rows, server_with};

/// The commands that an account has sent, in their order, as the server's log has them.
async fn commands(account: &str) -> Vec<(String, String)> {
    let mut admin = MySqlConnection::connect(&variable("TEST_MARIADB_URL")).await.unwrap();
    let sql = "SELECT CONVERT(command_type USING utf8mb4), CONVERT(argument USING utf8mb4) FROM mysql.general_log
        WHERE user_host LIKE CONCAT(?, '[%')";
    let found = sqlx::query(sql).bind(account).fetch_all(&mut admin).await.unwrap();
    found.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn mariadb_is_asked_nothing_but_the_query_between_the_ends_of_its_transaction() {
    let database = mariadb(&["CREATE TABLE t (id INT)"]).await;
    database.execute("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1").await;
    let server = server_with("mysql", &database.reader_url, json!({"config": {"max_connections": 1}})).await;
    for _ in 0..3 {
        assert_eq!(rows(&server, "SELECT count(*) AS n FROM t", json!({})).await, json!([{"n": 0}]));
    }
    let seen = commands(database.reader()).await;
    database.execute("SET GLOBAL general_log = 0").await;
    let end = seen.iter().rposition(|(_, text)| text == "ROLLBACK").unwrap();
    let start = seen[..end].iter().rposition(|(_, text)| text == "ROLLBACK").unwrap() + 1;
    let last: Vec<_> = seen[start..=end].iter().map(|(command, text)| (command.as_str(), text.as_str())).collect();
    let kinds: Vec<_> = last.iter().map(|(command, _)| *command).filter(|command| *command != "Close stmt").collect();
    assert_eq!(kinds, ["Query", "Prepare", "Execute", "Query"], "{last:?}");
    let begin = last[0].1;
    assert!(begin.starts_with("SET SESSION") && begin.ends_with("; START TRANSACTION READ ONLY"), "{last:?}");
    assert!(!seen.iter().any(|(_, text)| text.contains("VERSION()")), "{seen:?}");
}
