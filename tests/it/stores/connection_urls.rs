//! The ways to say where Redis and Postgres are: accounts, passwords with every odd character, database numbers, TLS.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::certificates::Authority;
use crate::common::databases::postgres;
use crate::common::redis::RedisServer;
use crate::common::resources::encode;
use crate::common::{Client, Program, TestServer};

/// What URLs, configuration files and shells would each take for something else.
const ODD: &str = "p@s:s/w%41rd#? &+é'\"\\";

/// What memory says of Redis (0) or Postgres (1), once it is in use or has failed.
async fn store(client: &Client, nth: usize, wanted: &str) -> Value {
    let mut found = Value::Null;
    for _ in 0..250 {
        found = client.get("/api/memory/health").await.expect(200)["storage"][nth].clone();
        if found["status"] == wanted {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("not {wanted}: {found}");
}

async fn say(client: &Client, user: &str) {
    let body = json!({"role": "user", "content": "Hello"});
    client.post(&format!("/api/memory/{user}/message"), &body).await.expect(200);
}

#[tokio::test]
async fn an_account_and_a_database_number_are_taken_from_the_url() {
    let redis = RedisServer::start();
    let password = format!(">{ODD}");
    // It may not ask how the server is, only use its own keys.
    let may =
        ["~conversation*", "~orchestrator_cache:*", "~orchestrator_{limits}:*", "+@all", "-@admin", "-@dangerous"];
    redis.cli(&[&["ACL", "SETUSER", "stu:dio", "on", &password][..], &may].concat());
    let password = encode(ODD);
    let url = format!("redis://stu%3Adio:{password}@127.0.0.1:{}/3", redis.port());

    let server = TestServer::with(&[("REDIS_URL", &url)]).await;
    let shown = store(&server, 0, "healthy").await.to_string();
    assert!(shown.contains("********@") && !shown.contains(&password), "{shown}");
    say(&server, "ada").await;
    assert_eq!(redis.cli(&["-n", "3", "LLEN", "conversation:ada"]), "1");
    assert_eq!(redis.cli(&["-n", "0", "DBSIZE"]), "0");

    redis.cli(&["ACL", "SETUSER", "stu:dio", "resetpass"]);
    let server = server.restart().await;
    let refused = store(&server, 0, "unhealthy").await;
    assert!(refused["error"].as_str().unwrap().contains("authentication failed"), "{refused}");
    assert!(!refused.to_string().contains("w%41rd") && !refused.to_string().contains(&password), "{refused}");
    say(&server, "bob").await;
}

#[tokio::test]
async fn redis_can_be_given_piece_by_piece() {
    let redis = RedisServer::start();
    redis.cli(&["ACL", "SETUSER", "default", &format!(">{ODD}")]);
    let port = redis.port().to_string();
    let variables = [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), ("REDIS_DB", "5"), ("REDIS_PASSWORD", ODD)];
    let server = TestServer::with(&variables).await;
    store(&server, 0, "healthy").await;
    say(&server, "ada").await;
    assert_eq!(redis.cli(&["-n", "5", "LLEN", "conversation:ada"]), "1");
    assert_eq!(redis.cli(&["-n", "0", "DBSIZE"]), "0");
}

#[tokio::test]
async fn postgres_can_be_given_piece_by_piece() {
    let database = postgres(&[]).await;
    let id = uuid::Uuid::new_v4().simple();
    let (account, name) = (format!("us er@:/%41{id}"), format!("da ta?#/%41{id}"));
    // A quote in a text is doubled.
    let password = ODD.replace('\'', "''");
    database.execute(&format!("CREATE ROLE \"{account}\" LOGIN PASSWORD '{password}'")).await;
    database.execute(&format!("CREATE DATABASE \"{name}\" OWNER \"{account}\"")).await;
    let url: url::Url = database.url.parse().unwrap();
    let port = url.port().unwrap().to_string();
    let variables = [
        ("POSTGRES_HOST", url.host_str().unwrap()),
        ("POSTGRES_PORT", &port),
        ("POSTGRES_USER", &account),
        ("POSTGRES_PASSWORD", ODD),
        ("POSTGRES_DATABASE", &name),
    ];
    let server = TestServer::with(&variables).await;
    let shown = store(&server, 1, "healthy").await.to_string();
    assert!(!shown.contains("w%41rd") && !shown.contains("w%2541rd"), "{shown}");

    let server = server.restart_with(&[("POSTGRES_PASSWORD", "wrong")]).await;
    let refused = store(&server, 1, "unhealthy").await;
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("password authentication failed") && !error.contains(" at line "), "{refused}");

    let nobody = server.restart_with(&[("POSTGRES_USER", "nobody-at-all"), ("POSTGRES_PASSWORD", "")]).await;
    let refused = store(&nobody, 1, "unhealthy").await["error"].as_str().unwrap().to_owned();
    assert!(refused.contains("nobody-at-all") && !refused.contains(" at line "), "{refused}");
}

#[tokio::test]
async fn tls_is_spoken_with_a_private_authority_that_is_trusted_and_with_no_other() {
    let Some(authority) = Authority::new() else { return };
    let (data, certificate) = (TempDir::new().unwrap(), authority.issue("redis"));
    let (redis, port) = RedisServer::with_tls(&certificate.cert, &certificate.key);
    let url = RedisServer::url_at(port).replace("redis://", "rediss://");
    let authority = authority.cert().display().to_string();

    let program = Program::start("serve", data.path(), &[("REDIS_URL", &url)]).await;
    let refused = store(&program.client, 0, "unhealthy").await;
    assert!(refused["error"].as_str().unwrap().contains("UnknownIssuer"), "{refused}");
    say(&program.client, "ada").await;
    program.kill();
    assert_eq!(redis.cli(&["DBSIZE"]), "0", "nothing was sent to a server that nobody vouches for");

    let variables = [("REDIS_URL", url.as_str()), ("SSL_CERT_FILE", &authority)];
    let program = Program::start("serve", data.path(), &variables).await;
    store(&program.client, 0, "healthy").await;
    say(&program.client, "ada").await;
    assert_eq!(redis.cli(&["LLEN", "conversation:ada"]), "2");
}
