//! Addresses of databases as hosters, ORMs and drivers hand them out.

use serde_json::json;

use crate::common::databases::{TestDatabase, mariadb, postgres, sqlite};
use crate::common::resources::{SOURCES, with};
use crate::common::sources::{ask, change, rows, server_with, test};
use crate::common::{Program, TestServer};

/// Account, place and database of a URL: `u:p@host:port`, and `db`.
fn parts(database: &TestDatabase) -> (String, String, String) {
    let (_, rest) = database.url.split_once("://").unwrap();
    let (account, rest) = rest.split_once('@').unwrap();
    let (place, name) = rest.split_once('/').unwrap();
    (account.to_owned(), place.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_query_goes_through_whatever_form_the_url_has() {
    let (one, two) = (postgres(&[]).await, mariadb(&[]).await);
    let file = sqlite(&["CREATE TABLE t (id INTEGER)"]).await;
    let path = file.path.display();
    let (account, place, name) = parts(&one);
    let (user, password) = account.split_once(':').unwrap();
    let of_postgres = [
        format!("postgresql+asyncpg://{account}@{place}/{name}?ssl=prefer"),
        format!("postgresql+psycopg2://{account}@{place}/{name}?sslmode=disable&connect_timeout=10"),
        format!("postgres://{account}@{place}/{name}?sslmode=prefer&channel_binding=prefer"),
        format!("postgres://{account}@{place}/{name}?pgbouncer=true&connection_limit=1&pool_timeout=0&schema=public"),
        format!("postgres://{account}@{place}/{name}?target_session_attrs=read-write&application_name=x"),
        format!("postgis://{account}@{place}/{name}?options=-c%20search_path%3Dpublic"),
        format!("jdbc:postgresql://{place}/{name}?user={user}&ssl=false&ApplicationName=x&password={password}"),
    ];
    let (account, place, name) = parts(&two);
    let of_mysql = [
        format!("mysql+pymysql://{account}@{place}/{name}?charset=utf8mb4"),
        format!("mysql2://{account}@{place}/{name}?pool=5&ssl-mode=DISABLED"),
        format!("mariadb+mariadbconnector://{account}@{place}/{name}"),
        format!("mysql://{account}@{place}/{name}?serverVersion=10.11&parseTime=true&tls=false"),
        format!("mysql://{account}@{place}/{name}?allowPublicKeyRetrieval=true&useSSL=false&connectionLimit=3"),
    ];
    let of_sqlite = [
        format!("sqlite+aiosqlite:///{path}"),
        format!("sqlite+pysqlite:///{path}?mode=ro"),
        format!("sqlite3:{path}"),
        format!("jdbc:sqlite:{path}"),
    ];
    let server = server_with("postgres", &of_postgres[0], json!({})).await;
    let all = [("postgres", of_postgres.as_slice()), ("mysql", &of_mysql), ("sqlite", &of_sqlite)];
    for (kind, urls) in all {
        for url in urls {
            change(&server, kind, url, json!({})).await;
            assert_eq!(rows(&server, "SELECT 1 AS one", json!({})).await, json!([{"one": 1}]), "{url}");
        }
    }
}

#[tokio::test]
async fn a_search_path_counts_for_queries_and_what_changes_nothing_is_named() {
    let database = postgres(&[
        "CREATE SCHEMA sales",
        "CREATE SCHEMA \"Odd Name\"",
        "CREATE TABLE sales.orders (id int)",
        "INSERT INTO sales.orders VALUES (1), (2)",
        "CREATE TABLE \"Odd Name\".orders (id int)",
    ])
    .await;
    let server = server_with("postgres", &database.url, json!({})).await;
    for (parameters, count) in [
        ("options=-c%20search_path%3Dsales%2Cpublic", 2),
        ("options=--search_path%3Dsales", 2),
        ("schema=sales", 2),
        ("schema=Odd%20Name", 0),
        ("currentSchema=%22Odd%20Name%22%2Csales", 0),
    ] {
        change(&server, "postgres", &format!("{}?{parameters}", database.url), json!({})).await;
        let found = rows(&server, "SELECT count(*) AS n FROM orders", json!({})).await;
        assert_eq!(found, json!([{"n": count}]), "{parameters}");
    }
    let url = format!("{}?sslmode=prefer&channel_binding=require&pool_timeout=5", database.url);
    change(&server, "postgres", &url, json!({})).await;
    let found = test(&server).await;
    assert_eq!(
        found["details"]["unused_parameters"],
        "Parameters of the URL that change nothing here: channel_binding, pool_timeout"
    );
}

#[tokio::test]
async fn what_can_not_be_had_is_refused_when_it_is_configured_in_words_that_fit() {
    let server = TestServer::bare().await;
    for (kind, url, said) in [
        ("postgres", "postgres://u:p@h1:5432,h2:5432/d", "names one host"),
        ("postgres", "postgres://u:p@/d?host=/var/run/postgresql", "sockets of this machine"),
        ("postgres", "postgres://u:p@%2Fvar%2Frun/d", "sockets of this machine"),
        ("postgres", "postgres://u:p@h/d?sslrootcert=/etc/ca.pem", "'sslrootcert', which names a file"),
        ("postgres", "postgres://u:p@h/d?sslmode=perhaps", "whose sslmode is disable, allow"),
        ("postgres", "postgres://u:p@h/d?options=-c%20role%3Downer", "no more than search_path"),
        ("postgres", "postgres://u:p@h/d?no_such=1", "'no_such', which is not known"),
        ("postgres", "postgres://u:p@h/d#x", "without '#'"),
        ("postgres", "host=h dbname=d user=u", "a list of keywords such as host=... is not read"),
        ("mysql", "mysql+srv://h/d", "starts with mysql://"),
        ("mysql", "mysql://u@h/d?unix_socket=/run/my.sock", "'unix_socket', which names a socket"),
        ("mysql", "mysql://u@h/d?init_command=SET%20x", "which has statements run"),
    ] {
        let reply = server.post(SOURCES.path, &with(&SOURCES.entry("a", url), "type", json!(kind))).await.expect(422);
        let text = reply.to_string();
        assert!(text.contains("\"url\"") && text.contains(said), "{url}: {text}");
    }
    let asked = ask(&server, "SELECT 1", json!({})).await;
    assert_eq!(asked.status, 404, "nothing was kept");
}

#[tokio::test]
async fn check_config_refuses_what_the_start_would_refuse_and_takes_what_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let check = |variables: &[(&str, &str)]| {
        let output = Program::run("check-config", folder.path(), variables);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    for (variable, value) in [
        ("REDIS_URL", "redis://h/x"),
        ("REDIS_URL", "redis://h1:1,h2:2/0"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("REDIS_URL", "rediss://h/0#insecure"),
        ("REDIS_HOST", "cache:6379"),
        ("POSTGRES_DSN", "postgres://h1,h2/d"),
        ("POSTGRES_DSN", "postgres://h/d?hostaddr=1.2.3.4"),
        ("POSTGRES_DSN", "postgres://h/d?sslmode=perhaps"),
        ("POSTGRES_DSN", "mysql://h/d"),
        ("POSTGRES_DSN", "host=h dbname=d"),
        ("POSTGRES_HOST", "db:5432"),
    ] {
        let (code, said) = check(&[(variable, value)]);
        assert!(code == Some(2) && said.contains(variable), "{value}: {said}");
    }
    for (variable, value) in [
        ("REDIS_URL", "redis://h?db=3&socket_timeout=5"),
        ("REDIS_URL", "valkeys://u:p@h:6380/1"),
        ("POSTGRES_DSN", "postgresql+asyncpg://u:p@h/d?ssl=require"),
        ("POSTGRES_DSN", "postgres://u:p@h/d?sslmode=require&channel_binding=require&pgbouncer=true"),
        ("POSTGRES_DSN", "jdbc:postgresql://h/d?user=u&password=p"),
        ("POSTGRES_DSN", "postgres:///d?host=/var/run/postgresql"),
        ("POSTGRES_DSN", "postgres://h/d?sslrootcert=/etc/ca.pem&sslmode=verify-full"),
    ] {
        assert_eq!(check(&[(variable, value)]).0, Some(0), "{value}");
    }
    // And the server starts with them; the services are away, which it gets over.
    let variables = [
        ("REDIS_URL", "redis://127.0.0.1:9?db=3&socket_timeout=5"),
        ("POSTGRES_DSN", "postgresql+asyncpg://u:p@127.0.0.1:9/d?ssl=require&connection_limit=1"),
    ];
    let program = Program::start("serve", folder.path(), &variables).await;
    let log = program.log();
    assert!(
        log.contains("change nothing here: socket_timeout") && log.contains("nothing here: connection_limit"),
        "{log}"
    );
}
