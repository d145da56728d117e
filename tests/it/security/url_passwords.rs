//! Passwords that their writer did not escape: `postgres://reader:Secr@t/Word#9@host/shop`. Where parsers may disagree on what
//! the password is, the URL is refused with its field named; whatever is refused or kept, no piece of the password is shown.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::resources::{AGENTS, AGENTS_AND_SOURCES, SOURCES, TOOLS, with};
use crate::common::{Answer, Program, Upstream};

/// Pieces of which passwords are made: nothing else holds them.
const PIECES: [&str; 4] = ["QXZ", "JWQ", "ZXJ", "WZQ"];
const ODD: &str = "postgres://reader:QXZ@JWQ/ZXJ#WZQ@host/shop";

fn assert_hidden(text: &str, whose: &str) {
    let found = PIECES.iter().find(|piece| text.to_uppercase().contains(*piece));
    assert_eq!(found, None, "{whose}: {text}");
}

/// Fields of the 422 that is the reply.
fn refused_fields(reply: &Answer) -> Vec<Value> {
    assert_hidden(&reply.text, "a 422");
    let errors = reply.expect(422)["errors"].clone();
    let issues = errors.as_array().unwrap().iter();
    issues.map(|issue| issue["loc"].as_array().unwrap()[1..].iter().cloned().collect()).collect()
}

#[tokio::test]
async fn a_url_with_an_unescaped_password_is_refused_in_every_field() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[("LOG_LEVEL", "trace")]).await;
    let server = &program.client;
    let http =
        ["http://reader:QXZ@JWQ/ZXJ#WZQ@host/shop", "http://reader:80/QXZ@JWQ@host", "https://reader:1?QXZ=JWQ@host"];
    for resource in AGENTS_AND_SOURCES {
        for url in http {
            let refused = server.post(resource.path, &resource.entry("a", url)).await;
            assert_eq!(refused_fields(&refused), [json!(["url"])], "{url}");
            assert!(refused.text.contains("percent-encoded"), "{}", refused.text);
        }
    }
    for (kind, url) in [
        ("postgres", ODD),
        ("postgres", "postgres://reader:5432/QXZ@JWQ@host/shop"),
        ("mysql", "mysql://reader:QXZ?JWQ#ZXJ@host/shop"),
        ("mariadb", "mariadb://rea/der:JWQ@host/shop"),
        ("mongodb", "mongodb+srv://reader:QXZ/JWQ@host"),
        ("redis", "rediss://:QXZ#JWQ@host/0"),
    ] {
        let entry = with(&SOURCES.entry("a", url), "type", json!(kind));
        assert_eq!(refused_fields(&server.post(SOURCES.path, &entry).await), [json!(["url"])], "{url}");
    }
    for (kind, field) in [
        ("http_request", "base_url"),
        ("http_request", "endpoint"),
        ("web_search", "endpoint"),
        ("web_search", "base_url"),
        ("mcp", "url"),
    ] {
        for url in http {
            let tool = json!({"name": "t", "type": kind, "config": {field: url}});
            let refused = server.post(TOOLS.path, &tool).await;
            assert_eq!(refused_fields(&refused), [json!(["config", field])], "{kind}: {url}");
        }
    }
    for url in http {
        let refused = server.put("/api/llm/config", &json!({"base_url": url})).await;
        assert_eq!(refused_fields(&refused), [json!(["base_url"])], "{url}");
    }
    // Nor is a parameter quoted that is a credential, or what is wrong with a URL otherwise.
    for (url, kind) in [
        ("http://host/x?api_key=QXZ&JWQ/ZXJ", "api"),
        ("postgres://host/x?sslpassword=QXZ#JWQ", "postgres"),
        ("Server=host;Password=QXZ;JWQ", "mssql"),
        ("reader:QXZ/JWQ@host", "api"),
    ] {
        let refused = server.post(SOURCES.path, &with(&SOURCES.entry("a", url), "type", json!(kind))).await;
        assert_eq!(refused_fields(&refused), [json!(["url"])], "{url}");
        let in_list = server.post(AGENTS.path, &with(&AGENTS.entry("a", ""), "url", json!([url]))).await;
        assert_eq!(refused_fields(&in_list), [json!(["url"])], "{url}");
        let refused = server.put("/api/llm/config", &json!({"base_url": url})).await;
        assert_eq!(refused_fields(&refused), [json!(["base_url"])], "{url}");
    }
    server.post(AGENTS.path, &AGENTS.entry("a", "http://127.0.0.1:9")).await.expect(201);
    let endpoint = crate::common::resources::encode("http://reader:QXZ/JWQ@host");
    let refused = server.post(&format!("/api/agents/a/call?endpoint={endpoint}"), &json!({})).await;
    assert_hidden(&refused.text, "an endpoint");
    for path in ["/api/monitoring/logs?limit=1000", "/metrics", "/api/agents", "/api/datasources", "/api/tools"] {
        assert_hidden(&server.get(path).await.text, path);
    }
    assert_hidden(&program.log(), "the log");
}

#[tokio::test]
async fn check_config_names_the_place_and_shows_no_piece() {
    let folder = TempDir::new().unwrap();
    let http = "http://reader:80/QXZ@JWQ@host";
    let source = json!({"d": {"type": "postgres", "url": ODD}}).to_string();
    let tool = json!({"t": {"type": "mcp", "config": {"url": http}}}).to_string();
    let rows = [
        ("REDIS_URL", "redis://:QXZ/JWQ@host", "REDIS_URL"),
        ("REDIS_URL", "redis://u:12#QXZJWQ@host", "REDIS_URL"),
        ("POSTGRES_DSN", ODD, "POSTGRES_DSN"),
        ("POSTGRES_DSN", "postgres://u:12?QXZ=JWQ@host", "POSTGRES_DSN"),
        ("LLM_BASE_URL", http, "LLM_BASE_URL"),
        ("HTTPS_PROXY", http, "HTTPS_PROXY"),
        ("HTTP_PROXY", "reader:QXZ/JWQ@proxy:3128", "HTTP_PROXY"),
        ("ALL_PROXY", "socks5://reader:QXZ#JWQ@proxy", "ALL_PROXY"),
        ("EXTERNAL_AGENT_BASE_URL", http, "agents.default.url"),
        ("DATASOURCE_BASE_URL", http, "datasources.default.url"),
        ("DATASOURCES", &source, "datasources.d.url"),
        ("TOOLS", &tool, "tools.t.config.url"),
        ("CORS_ORIGINS", "https://reader:QXZ@JWQ/ZXJ@host", "CORS_ORIGINS"),
        ("OUTBOUND_ALLOW", ODD, "OUTBOUND_ALLOW"),
    ];
    for (variable, value, place) in rows {
        for command in ["check-config", "serve"] {
            let output = Program::run(command, folder.path(), &[(variable, value)]);
            let said =
                format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(2), "{variable}: {said}");
            assert!(said.contains(place), "{variable}: {said}");
            assert_hidden(&said, variable);
        }
    }
    let file = folder.path().join("datasources.json");
    let entry = with(&SOURCES.entry("d", ODD), "type", json!("postgres"));
    std::fs::write(&file, json!({"datasources": [entry]}).to_string()).unwrap();
    let variables = [("DATASOURCES_CONFIG_PATH", file.to_str().unwrap())];
    let output = Program::run("check-config", folder.path(), &variables);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("datasources.json: datasources[0].url: "), "{said}");
    assert_hidden(&said, "a file");
}

/// A password of odd characters around the pieces.
fn password() -> String {
    let odd = "/:?#@%&=;!$*+ é\\\"'~<>[]{}|^`,";
    let odd: Vec<char> = odd.chars().collect();
    let mut password = String::new();
    for piece in PIECES {
        password.push_str(piece);
        (0..fastrand::usize(1..=2)).for_each(|_| password.push(odd[fastrand::usize(..odd.len())]));
    }
    password
}

#[tokio::test]
async fn no_piece_of_any_password_in_any_scheme_is_shown_anywhere() {
    let llm = Upstream::saying("Hi.").await;
    let folder = TempDir::new().unwrap();
    let base = llm.url();
    let variables =
        [("LOG_LEVEL", "trace"), ("LLM_BASE_URL", &base), ("LLM_DEFAULT_MODEL", "m"), ("LLM_PROVIDER", "openai")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let server = &program.client;
    fastrand::seed(7);
    let schemes = ["postgres", "mysql", "http", "https", "redis", "mongodb+srv", "jdbc:postgresql"];
    let (mut kept, mut refused) = (0, 0);
    for nth in 0..70 {
        let scheme = schemes[nth % schemes.len()];
        let (plain, password) = (nth % 3 == 0, password());
        let written = if plain { crate::common::resources::encode(&password) } else { password.clone() };
        let url = format!("{scheme}://reader:{written}@127.0.0.1:9/shop");
        let kind = scheme.trim_start_matches("jdbc:");
        let mut entry = with(&SOURCES.entry("db", &url), "type", json!(kind));
        entry["timeout_seconds"] = json!(1);
        entry["config"] = json!({"replica": format!("{scheme}://reader:{password}@127.0.0.1:9/shop"), "default": true});
        let added = server.post(SOURCES.path, &entry).await;
        let mut replies = vec![added.text.clone()];
        if added.status == 201 {
            kept += 1;
            for path in
                ["/api/datasources", "/api/datasources/db", "/api/datasources/db/schema", "/api/datasources/health/all"]
            {
                replies.push(server.get(path).await.text);
            }
            replies.push(server.post("/api/datasources/db/test", &json!({})).await.text);
            replies.push(server.post("/api/datasources/db/query", &json!({"query": "SELECT 1"})).await.text);
            if nth < 7 {
                let asked = json!({"prompt": "SELECT count(*) FROM orders", "metadata": {"use_cache": false}});
                let events = server.chat_events(&asked).await;
                replies.extend(events.iter().map(|event| event.data.to_string()));
                replies.push(server.get("/api/monitoring/connectivity").await.text);
            }
            let mut moved = server.get("/api/datasources/db").await.json();
            moved["url"] = json!(moved["url"].as_str().unwrap().replace("127.0.0.1", "127.0.0.2"));
            let moved = server.put("/api/datasources/db", &moved).await;
            assert_eq!(moved.status, 422, "{}", moved.text);
            replies.push(moved.text);
            server.delete("/api/datasources/db").await.expect(200);
        } else {
            refused += 1;
            assert_eq!(added.status, 422, "{}", added.text);
        }
        for reply in replies {
            assert_hidden(&reply, &url);
        }
    }
    assert!(kept >= 10 && refused >= 20, "{kept} {refused}");
    for path in ["/api/monitoring/logs?limit=1000", "/v1/executions?limit=200", "/metrics"] {
        assert_hidden(&server.get(path).await.text, path);
    }
    assert_hidden(&program.log(), "the log");
}

/// Addresses of databases with this password, in each of the places where one may stand.
fn addresses(password: &str) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for scheme in ["postgres", "postgresql+asyncpg", "pgsql"] {
        all.push(("postgres", format!("{scheme}://reader:{password}@127.0.0.1:9/shop?sslmode=require")));
    }
    for scheme in ["mysql", "mysql+pymysql", "mariadb"] {
        all.push(("mysql", format!("{scheme}://reader:{password}@127.0.0.1:9/shop")));
    }
    all.push(("postgres", format!("jdbc:postgresql://127.0.0.1:9/shop?user=reader&password={password}")));
    all.push(("mysql", format!("jdbc:mysql://127.0.0.1:9/shop?user=reader&password={password}&sslMode=DISABLED")));
    // Places where none belongs.
    all.push(("postgres", format!("postgres://127.0.0.1:9/shop?password={password}")));
    all.push(("postgres", format!("host=127.0.0.1 port=9 user=reader password={password} dbname=shop")));
    // Behind an `@`, it could only be a host.
    if !password.contains('@') {
        all.push(("postgres", format!("postgres://reader:{password}")));
    }
    all
}

#[tokio::test]
async fn the_password_of_a_database_is_shown_nowhere_whatever_it_holds_and_wherever_it_stands() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[("LOG_LEVEL", "trace")]).await;
    let server = &program.client;
    let (mut kept, mut refused) = (0, 0);
    for odd in ['@', '/', '?', '#', ':'] {
        for password in [
            format!("{odd}QXZJWQ"),
            format!("QXZ{odd}JWQ"),
            format!("QXZJWQ{odd}"),
            format!("QXZ{odd}{odd}JWQ{odd}ZXJ"),
        ] {
            for written in [password.clone(), crate::common::resources::encode(&password)] {
                for (kind, url) in addresses(&written) {
                    let mut entry = with(&SOURCES.entry("db", &url), "type", json!(kind));
                    entry["timeout_seconds"] = json!(1);
                    let added = server.post(SOURCES.path, &entry).await;
                    assert_hidden(&added.text, &url);
                    if added.status != 201 {
                        assert_eq!(added.status, 422, "{}", added.text);
                        refused += 1;
                        continue;
                    }
                    kept += 1;
                    for path in ["/api/datasources/db", "/api/datasources/db/schema", "/api/datasources/health/all"] {
                        assert_hidden(&server.get(path).await.text, &url);
                    }
                    assert_hidden(&server.post("/api/datasources/db/test", &json!({})).await.text, &url);
                    server.delete("/api/datasources/db").await.expect(200);
                }
                let url = format!("http://reader:{written}@127.0.0.1:9/x");
                for resource in AGENTS_AND_SOURCES {
                    assert_hidden(&server.post(resource.path, &resource.entry("a", &url)).await.text, &url);
                }
                let tool = json!({"name": "t", "type": "http_request", "config": {"base_url": url}});
                assert_hidden(&server.post(TOOLS.path, &tool).await.text, &url);
            }
        }
    }
    assert!(kept >= 100 && refused >= 100, "{kept} {refused}");
    for path in ["/metrics", "/api/monitoring/logs?limit=1000", "/api/agents", "/api/datasources", "/api/tools"] {
        assert_hidden(&server.get(path).await.text, path);
    }
    assert_hidden(&program.log(), "the log");
}

#[tokio::test]
async fn the_password_of_a_store_is_shown_by_no_command_and_no_server() {
    let folder = TempDir::new().unwrap();
    let mut usable = Vec::new();
    for odd in ['@', '/', '?', '#', ':'] {
        for password in [format!("QXZ{odd}JWQ"), format!("{odd}QXZ{odd}JWQ")] {
            for written in [password.clone(), crate::common::resources::encode(&password)] {
                for (variable, url) in [
                    ("POSTGRES_DSN", format!("postgresql+asyncpg://u:{written}@127.0.0.1:9/d?channel_binding=require")),
                    ("POSTGRES_DSN", format!("jdbc:postgresql://127.0.0.1:9/d?user=u&password={written}")),
                    ("REDIS_URL", format!("redis://u:{written}@127.0.0.1:9/0?socket_timeout=5")),
                    ("REDIS_URL", format!("redis://127.0.0.1:9/0?password={written}")),
                ] {
                    let output = Program::run("check-config", folder.path(), &[(variable, &url)]);
                    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                    assert_hidden(&said, &url);
                    match output.status.code() {
                        Some(0) => usable.push((variable, url)),
                        code => assert!(code == Some(2) && said.contains(variable), "{url}: {said}"),
                    }
                }
            }
        }
    }
    let find = |name: &str| usable.iter().rfind(|(variable, _)| *variable == name).unwrap().1.as_str();
    let variables = [("LOG_LEVEL", "trace"), ("POSTGRES_DSN", find("POSTGRES_DSN")), ("REDIS_URL", find("REDIS_URL"))];
    let program = Program::start("serve", folder.path(), &variables).await;
    for path in ["/metrics", "/api/monitoring/health", "/api/monitoring/connectivity", "/api/memory/health", "/health"]
    {
        assert_hidden(&program.client.get(path).await.text, path);
    }
    assert_hidden(&program.log(), "the log");
}
