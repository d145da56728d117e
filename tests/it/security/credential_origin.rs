//! A credential that a change keeps, by its mask or by silence, stays with the server, account and database that it was given
//! for, over a connection that is no less protected. Each row is a change of what a GET showed, and what becomes of the credential;
//! a change that is refused leaves everything as it was. On the way to another server on this machine, the mask means none: a page
//! that hides the field of a key for a local service sends it back.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::common::databases::{TestDatabase, mariadb, postgres};
use crate::common::mcp::allowing;
use crate::common::refusals::describe;
use crate::common::resources::{AGENTS_AND_SOURCES, ALL, MASK, ResourceKind, SOURCES, TOOLS};
use crate::common::{TestServer, Upstream};

/// Long enough to be looked for.
const SECRET: &str = "kept-canary-7f3a9c";
/// A server on another machine.
const ELSEWHERE: &str = "https://elsewhere.example";

/// `target` with these members; null takes one away.
fn merge(target: &mut Value, change: &Value) {
    let Some(change) = change.as_object() else {
        *target = change.clone();
        return;
    };
    for (key, value) in change {
        match value {
            Value::Null => drop(target.as_object_mut().unwrap().remove(key)),
            value => merge(&mut target[key], value),
        }
    }
}

/// What a change does to the credential that the entry holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Kept,
    Dropped,
    /// The change is a 422.
    Refused,
}

use Outcome::{Dropped, Kept, Refused};

/// Adds the entry, which holds this secret, and puts each change to it.
async fn put_each(
    server: &TestServer,
    resource: &ResourceKind,
    entry: &Value,
    secret: &str,
    changes: &[(Value, Outcome)],
) {
    for (change, outcome) in changes {
        server.post(resource.path, entry).await.expect(201);
        let name = entry["name"].as_str().unwrap();
        let (shown, stored) = (server.get(&resource.at(name)).await.expect(200), resource.stored(server.folder()));
        assert!(!shown.to_string().contains(secret) && stored.contains(secret), "{shown}");
        let mut body = shown.clone();
        merge(&mut body, change);
        let reply = server.put(&resource.at(name), &body).await;
        assert_eq!(reply.status == 422, *outcome == Refused, "{change} of {shown}: {}", reply.text);
        assert!(!reply.text.contains(secret), "{}", reply.text);
        let renamed = body["name"].as_str().unwrap();
        if *outcome == Refused {
            assert_eq!(describe(&reply.json()), "a text", "{change}");
            assert_eq!(server.get(&resource.at(name)).await.expect(200), shown, "{change}");
            assert_eq!(resource.stored(server.folder()), stored, "{change}");
            server.post(&format!("{}/test", resource.at(name)), &json!({})).await.expect(200);
            server.delete(&resource.at(name)).await.expect(200);
        } else {
            reply.expect(200);
            assert_eq!(resource.stored(server.folder()).contains(secret), *outcome == Kept, "{change}");
            server.delete(&resource.at(renamed)).await.expect(200);
        }
    }
}

#[tokio::test]
async fn the_token_of_an_agent_or_a_source() {
    for resource in AGENTS_AND_SOURCES {
        let (mine, other) = (Upstream::answering(json!({})).await, Upstream::answering(json!({})).await);
        let server = TestServer::bare().await;
        let mut entry = resource.entry("a", &mine.url());
        entry["auth_token"] = json!(SECRET);
        entry[resource.free] = json!({"verify_tls": true, "headers": {"X-Key": SECRET}, "description": "A"});
        let port = mine.url().rsplit_once(':').unwrap().1.to_owned();
        let changes = [
            (json!({"timeout_seconds": 7, "auth_token": null}), Kept),
            (json!({"name": "b", "url": format!("{}/below", mine.url())}), Kept),
            (json!({"url": format!("https://127.0.0.1:{port}")}), Kept),
            (json!({resource.free: {"description": "B"}}), Kept),
            (json!({"url": ELSEWHERE}), Refused),
            (json!({"url": ELSEWHERE, "auth_token": null}), Refused),
            (json!({"url": ELSEWHERE, "name": "b"}), Refused),
            (json!({"url": ELSEWHERE, "auth_token": "given-again"}), Refused),
            // Who gives a secret in one field has not given that of another.
            (json!({"url": ELSEWHERE, resource.free: {"headers": {"X-Key": SECRET}}}), Refused),
            (json!({"url": other.url()}), Dropped),
            (json!({"url": other.url(), "name": "b"}), Dropped),
            (json!({"url": other.url(), "auth_token": "given-again"}), Dropped),
            (json!({"url": format!("https://localhost:{port}")}), Dropped),
            // What a body leaves out is kept, which it can't be here.
            (json!({"url": other.url(), "auth_token": null}), Refused),
            (json!({"url": other.url(), resource.free: {"proxy": ELSEWHERE}}), Dropped),
            (json!({"url": "http://localhost.elsewhere.example"}), Refused),
            (json!({resource.free: {"verify_tls": false}}), Refused),
            (json!({resource.free: {"verify_tls": null}}), Refused),
            (json!({resource.free: {"proxy": other.url()}}), Refused),
            (json!({resource.free: {"tls": {"insecure": true}}}), Refused),
        ];
        put_each(&server, resource, &entry, SECRET, &changes).await;
        assert!(mine.seen().iter().all(|seen| seen.headers["authorization"] == format!("Bearer {SECRET}")));
        assert_eq!((mine.seen().len(), other.seen().len()), (11, 0), "what was refused still goes where it went");

        entry["url"] = json!(format!("https://127.0.0.1:{port}"));
        put_each(&server, resource, &entry, SECRET, &[(json!({"url": mine.url()}), Refused)]).await;
        let given_again =
            json!({"url": mine.url(), "auth_token": "again", resource.free: {"headers": {"X-Key": SECRET}}});
        put_each(&server, resource, &entry, SECRET, &[(given_again, Kept)]).await;
        assert_eq!(other.seen().len(), 0);
    }
}

#[tokio::test]
async fn what_counts_of_a_reference_is_what_it_stands_for() {
    for resource in AGENTS_AND_SOURCES {
        let (mine, other) = (Upstream::answering(json!({})).await, Upstream::answering(json!({})).await);
        let (here, elsewhere) = (mine.url(), other.url());
        let variables = [
            ("MY_URL", here.as_str()),
            ("OTHER_URL", &elsewhere),
            ("MY_TOKEN", SECRET),
            ("FAR_URL", ELSEWHERE),
            ("API_REFERENCES", "MY_URL, OTHER_URL, FAR_URL, MY_TOKEN"),
        ];
        let server = TestServer::with(&variables).await;
        let entry = |token: &str| {
            let mut entry = resource.entry("a", "${MY_URL}");
            entry["auth_token"] = json!(token);
            entry
        };
        let changes = [
            (json!({"url": here}), Kept),
            (json!({"url": ELSEWHERE}), Refused),
            (json!({"url": "${FAR_URL}"}), Refused),
            (json!({"url": elsewhere}), Dropped),
            (json!({"url": "${OTHER_URL}"}), Dropped),
            (json!({"url": "${OTHER_URL}", "auth_token": null}), Refused),
        ];
        put_each(&server, resource, &entry(SECRET), SECRET, &changes).await;
        put_each(&server, resource, &entry("${MY_TOKEN}"), "${MY_TOKEN}", &changes).await;
        assert_eq!(other.seen().len(), 0);
        // The operator has left this variable to who uses the API.
        let again = json!({"url": "${OTHER_URL}", "auth_token": "${MY_TOKEN}"});
        put_each(&server, resource, &entry("${MY_TOKEN}"), "${MY_TOKEN}", &[(again, Kept)]).await;
    }
}

#[tokio::test]
async fn the_credentials_of_tools() {
    let (mine, other) = (Upstream::answering(json!({})).await, Upstream::answering(json!({})).await);
    let server = allowing(&["true", "false"], &[]).await;
    let tool = |kind: &str, config: Value| json!({"name": "t", "type": kind, "config": config});
    let config = |config: Value| json!({"config": config});

    let http = tool("http_request", json!({"base_url": mine.url(), "headers": {"X-Key": SECRET}}));
    let changes = [
        (config(json!({"base_url": format!("{}/v1", mine.url()), "allowed_hosts": ["example.com"]})), Kept),
        (config(json!({"base_url": mine.url().replace("http:", "https:")})), Kept),
        (config(json!({"base_url": ELSEWHERE})), Refused),
        (config(json!({"base_url": null, "endpoint": ELSEWHERE})), Refused),
        (config(json!({"endpoint": ELSEWHERE, "base_url": other.url()})), Refused),
        (config(json!({"base_url": other.url()})), Dropped),
        (config(json!({"base_url": null, "endpoint": other.url()})), Dropped),
        (json!({"type": "web_search"}), Refused),
        (config(json!({"verify": false})), Refused),
        (config(json!({"proxies": {"http": other.url()}})), Refused),
    ];
    put_each(&server, &TOOLS, &http, SECRET, &changes).await;
    let secure = tool("http_request", json!({"base_url": "https://127.0.0.1:9", "auth_token": SECRET}));
    put_each(&server, &TOOLS, &secure, SECRET, &[(config(json!({"base_url": "http://127.0.0.1:9"})), Refused)]).await;

    let search = tool("web_search", json!({"provider": "brave", "endpoint": mine.url(), "api_key": SECRET}));
    let changes = [
        (config(json!({"max_results": 5})), Kept),
        (config(json!({"provider": "tavily"})), Refused),
        (config(json!({"endpoint": ELSEWHERE})), Refused),
        (config(json!({"endpoint": null})), Refused),
        (config(json!({"endpoint": other.url()})), Dropped),
        (config(json!({"endpoint": "http://127.0.0.1", "port": 9})), Dropped),
    ];
    put_each(&server, &TOOLS, &search, SECRET, &changes).await;

    let mcp = tool("mcp", json!({"url": mine.url(), "auth_token": SECRET}));
    let changes = [
        (config(json!({"include": ["a"]})), Kept),
        (config(json!({"url": ELSEWHERE})), Refused),
        (config(json!({"url": other.url()})), Dropped),
        (config(json!({"url": null, "command": "true", "args": ["--token", MASK]})), Refused),
    ];
    put_each(&server, &TOOLS, &mcp, SECRET, &changes).await;

    let program =
        tool("mcp", json!({"command": "true", "args": ["x", "https://u:p@h/?api_key=k"], "env": {"A_TOKEN": SECRET}}));
    let changes = [
        (config(json!({"timeout": 5})), Kept),
        (config(json!({"env": {"B_TOKEN": "b"}})), Kept),
        (config(json!({"args": ["y", format!("https://u:{MASK}@h/?api_key={MASK}")]})), Refused),
        (config(json!({"args": ["x", format!("https://u:{MASK}@evil/?api_key={MASK}")]})), Refused),
        (config(json!({"command": "false"})), Refused),
        (config(json!({"env": {"API_BASE": other.url()}})), Refused),
    ];
    put_each(&server, &TOOLS, &program, SECRET, &changes).await;
    // Nor does the mask stand for a secret where a GET would show it.
    let program = tool("mcp", json!({"command": "true", "args": ["--api-key", SECRET]}));
    put_each(&server, &TOOLS, &program, SECRET, &[(config(json!({"args": ["--level", MASK]})), Refused)]).await;
    assert_eq!(other.seen().len(), 0);
}

#[tokio::test]
async fn a_password_or_key_in_the_url_of_any_scheme() {
    let server = TestServer::bare().await;
    let masked = |url: &str| url.replace(SECRET, MASK);
    // Before, and after with the outcome.
    let rows = [
        ("redis", "rediss://:kept-canary-7f3a9c@h/0", "redis://:********@h/0", Refused),
        ("redis", "redis://:kept-canary-7f3a9c@h/0", "rediss://:********@h/0", Kept),
        ("redis", "redis://:kept-canary-7f3a9c@h/0", "redis://:********@h/1", Refused),
        ("mongodb", "mongodb://u:kept-canary-7f3a9c@h/x?tls=true", "mongodb://u:********@h/x?tls=false", Refused),
        ("mongodb", "mongodb://u:kept-canary-7f3a9c@h/x?tls=true", "mongodb://u:********@h/x", Refused),
        ("mongodb", "mongodb://u:kept-canary-7f3a9c@h/x?tls=true", "mongodb://u:********@g/x?tls=true", Refused),
        ("mssql", "mssql://u:kept-canary-7f3a9c@h/x", "mssql://u:********@h/x?trustServerCertificate=true", Refused),
    ];
    for (kind, before, after, outcome) in rows {
        let mut entry = SOURCES.entry("db", before);
        entry["type"] = json!(kind);
        assert_ne!(masked(before), before);
        put_each(&server, &SOURCES, &entry, SECRET, &[(json!({"url": after}), outcome)]).await;
    }
    // The same holds for URLs among the free settings.
    for resource in AGENTS_AND_SOURCES {
        let mut entry = resource.entry("a", "http://127.0.0.1:9");
        entry[resource.free] = json!({"replica": format!("postgres://u:{SECRET}@h/x?sslmode=require")});
        let replica = |url: &str| json!({resource.free: {"replica": url}});
        let changes = [
            (replica("postgres://u:********@h/x?sslmode=verify-full"), Kept),
            (replica("postgres://u:********@h/x?sslmode=disable"), Refused),
            (replica("postgres://u:********@evil/x?sslmode=require"), Refused),
            (replica("postgres://u:********@h:1/x?sslmode=require"), Refused),
        ];
        put_each(&server, resource, &entry, SECRET, &changes).await;
        entry[resource.free] = json!({"replica": format!("https://h/x?api_key={SECRET}")});
        let changes = [
            (replica("https://h/y?api_key=********"), Kept),
            (replica("http://h/x?api_key=********"), Refused),
            (replica("https://evil/x?api_key=********"), Refused),
        ];
        put_each(&server, resource, &entry, SECRET, &changes).await;
    }
}

/// A place that takes connections, and whether anybody has come.
struct Elsewhere(TcpListener);

impl Elsewhere {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn place(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    fn was_reached(&self) -> bool {
        self.0.accept().is_ok()
    }
}

/// Whether the password stands in the URL or is the source's token, `sslmode` and all the rest is the same to it.
async fn put_each_to_database(kind: &str, database: &TestDatabase, modes: [&str; 4]) {
    let [disable, prefer, require, nonsense] = modes;
    let (server, elsewhere) = (TestServer::bare().await, Elsewhere::new());
    let (before, at) = database.reader_url.split_once('@').unwrap();
    let (place, name) = at.split_once('/').unwrap();
    let reader = before.split_once("://").unwrap().1.split_once(':').unwrap().0;
    for account in [format!("{reader}:{MASK}"), reader.to_owned()] {
        let url = |place: &str, account: &str, rest: &str| json!({"url": format!("{kind}://{account}@{place}/{rest}")});
        let changes = [
            (json!({"timeout_seconds": 9}), Kept),
            (url(place, &account, &format!("{name}?{prefer}")), Kept),
            (url(place, &account, &format!("{name}?{require}")), Kept),
            (url(place, &account, &format!("{name}?{disable}")), Refused),
            (url(place, &account, &format!("{name}?{require}&{disable}")), Refused),
            (url(place, &account, &format!("{name}?{nonsense}")), Refused),
            (url(&elsewhere.place(), &account, name), if account.contains(MASK) { Refused } else { Dropped }),
            (url("elsewhere.example", &account, name), Refused),
            (url(place, &account, "other"), Refused),
            (url(place, &account.replace(reader, database.account()), name), Refused),
            (json!({"config": {"sslmode": "disable"}}), Refused),
        ];
        let mut entry = SOURCES.entry("db", &database.reader_url);
        entry["type"] = json!(kind);
        if !account.contains(MASK) {
            entry["url"] = json!(format!("{kind}://{account}@{place}/{name}"));
            entry["auth_token"] = json!(database.password());
        }
        put_each(&server, &SOURCES, &entry, database.password(), &changes).await;
        assert!(!elsewhere.was_reached());
        // After a refusal, the source works as before.
        server.post(SOURCES.path, &entry).await.expect(201);
        let weaker = url(place, &account, &format!("{name}?{disable}"))["url"].clone();
        let mut body = server.get(&SOURCES.at("db")).await.expect(200);
        body["url"] = weaker;
        let refused = server.put(&SOURCES.at("db"), &body).await.expect(422);
        let field = if account.contains(MASK) { "url" } else { "auth_token" };
        assert_eq!(refused["errors"][0]["loc"], json!(["body", field]));
        let rows = server.post(&format!("{}/query", SOURCES.at("db")), &json!({"query": "SELECT 7 AS a"})).await;
        assert_eq!(rows.expect(200)["data"], json!([{"a": 7}]));
        // Who knows the password may do it.
        body["url"] = json!(body["url"].as_str().unwrap().replace(MASK, database.password()));
        body["auth_token"] = if account.contains(MASK) { Value::Null } else { json!(database.password()) };
        server.put(&SOURCES.at("db"), &body).await.expect(200);
        let rows = server.post(&format!("{}/query", SOURCES.at("db")), &json!({"query": "SELECT 8 AS a"})).await;
        assert_eq!(rows.expect(200)["data"], json!([{"a": 8}]));
        server.delete(&SOURCES.at("db")).await.expect(200);
    }
}

#[tokio::test]
async fn the_password_of_a_postgres_database() {
    let modes = ["sslmode=disable", "sslmode=prefer", "sslmode=require", "sslmode=nonsense"];
    put_each_to_database("postgres", &postgres(&[]).await, modes).await;
}

#[tokio::test]
async fn the_password_of_a_mariadb_database() {
    let modes = ["ssl-mode=DISABLED", "ssl-mode=PREFERRED", "ssl-mode=REQUIRED", "ssl-mode=nonsense"];
    put_each_to_database("mysql", &mariadb(&[]).await, modes).await;
}

#[tokio::test]
async fn the_key_of_the_llm() {
    let (mine, other) = (Upstream::saying("mine").await, Upstream::saying("other").await);
    let secure = mine.url().replace("http:", "https:");
    let rows = [
        (mine.url(), json!({"base_url": format!("{}/v1", mine.url()), "api_key": MASK}), Kept),
        (mine.url(), json!({"base_url": secure}), Kept),
        (mine.url(), json!({"base_url": ELSEWHERE, "api_key": MASK}), Refused),
        (mine.url(), json!({"base_url": ELSEWHERE}), Refused),
        (mine.url(), json!({"base_url": other.url(), "api_key": MASK}), Dropped),
        (mine.url(), json!({"base_url": other.url(), "api_key": MASK, "temperature": 1}), Dropped),
        ("https://models.example".to_owned(), json!({"base_url": other.url(), "api_key": MASK}), Dropped),
        // What a body leaves out is kept, which it can't be here.
        (mine.url(), json!({"base_url": other.url()}), Refused),
        (mine.url(), json!({"base_url": other.url(), "api_key": null}), Refused),
        (mine.url(), json!({"base_url": other.url(), "api_key": MASK, "temperature": 99}), Refused),
        (mine.url(), json!({"base_url": ""}), Refused),
        (secure.clone(), json!({"base_url": mine.url()}), Refused),
        (secure.clone(), json!({"base_url": mine.url(), "api_key": MASK}), Refused),
        (secure, json!({"base_url": mine.url(), "api_key": "given-again"}), Kept),
        (mine.url(), json!({"base_url": "http://u:80/ss@127.0.0.1:9", "api_key": MASK}), Refused),
    ];
    for (base, change, outcome) in rows {
        let variables = [("LLM_BASE_URL", base.as_str()), ("LLM_API_KEY", SECRET), ("LLM_TIMEOUT_SECONDS", "2")];
        let server = TestServer::with_llm(&mine, &[&variables[..], &[("LLM_MAX_RETRIES", "0")]].concat()).await;
        let before = server.get("/api/llm/config").await.expect(200);
        let reply = server.put("/api/llm/config", &change).await;
        assert_eq!(reply.status == 422, outcome == Refused, "{change} of {base}: {}", reply.text);
        if outcome == Refused {
            assert_eq!(describe(&reply.json()), "a text", "{change}");
            assert_eq!(server.get("/api/llm/config").await.expect(200), before);
            assert!(!server.folder().join("config/llm.json").exists());
        } else {
            let shown = if outcome == Kept { json!(MASK) } else { json!(null) };
            assert_eq!(reply.expect(200)["config"]["api_key"], shown, "{change}");
        }
        server.post("/api/llm/test", &json!({"prompt": "Hi"})).await.expect(200);
        if outcome == Dropped {
            let server = server.restart().await;
            assert_eq!(server.get("/api/llm/config").await.expect(200)["api_key"], json!(null), "for good");
            server.post("/api/llm/test", &json!({"prompt": "Hi"})).await.expect(200);
        }
    }
    assert!(!other.chats().is_empty());
    assert!(other.seen().iter().all(|seen| !seen.headers.contains_key("authorization")), "{:?}", other.seen());
}

#[tokio::test]
async fn an_entry_that_moves_to_this_machine_is_asked_without_what_was_masked() {
    for resource in ALL {
        let other = Upstream::answering(json!({})).await;
        let server = TestServer::bare().await;
        let entry = resource.with_token(&resource.entry("a", "https://far.example"), json!(SECRET));
        server.post(resource.path, &entry).await.expect(201);
        let mut body = server.get(&resource.at("a")).await.expect(200);
        let url = if resource.section == "tools" { &mut body["config"]["base_url"] } else { &mut body["url"] };
        *url = json!(other.url());
        let changed = server.put(&resource.at("a"), &body).await.expect(200)[resource.key].take();
        let expected = resource.entry("a", &other.url());
        assert_eq!(changed, expected, "no credential is left");
        assert_eq!(server.get(&resource.at("a")).await.expect(200), expected);
        assert_eq!(resource.token_sent(&server, "a", &other).await, None);
        // Nor does it come back with the server that it belonged to.
        server.put(&resource.at("a"), &resource.entry("a", "https://far.example")).await.expect(200);
        assert!(!resource.stored(server.folder()).contains(SECRET));
    }
}
