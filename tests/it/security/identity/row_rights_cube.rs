//! A Cube that decides on rows by the claims of the tokens that the server signs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orchestrator_studio::kernel::Clock;
use ring::hmac;
use serde_json::{Value, json};

use super::{ADMIN, client_with, user, with_authentication};
use crate::common::cube::meta;
use crate::common::sources::source;
use crate::common::upstream::json_reply;
use crate::common::{Act, Client, Seen, TestServer, Upstream};

const API_SECRET: &str = "canary-cube-secret-5f1c";
const ORDERS: &str = r#"{"measures": ["orders.count"]}"#;

/// What a token says, if this secret has signed it.
fn claims(token: &str, secret: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    let [header, payload, signature] = [header, payload, signature].map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, signed.as_bytes(), &signature).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn claims_of(seen: &Seen) -> Option<Value> {
    claims(seen.headers.get("authorization")?, API_SECRET)
}

/// A Cube that gives each user one row of their own, after it has asked twice for patience.
fn answer(seen: &Seen, nth: usize) -> Vec<Act> {
    let Some(claims) = claims_of(seen) else { return json_reply("403 Forbidden", &json!({"error": "Invalid token"})) };
    match seen.path.as_str() {
        "/cubejs-api/v1/meta" => json_reply("200 OK", &meta()),
        "/cubejs-api/v1/load" if nth % 3 < 2 => json_reply("200 OK", &json!({"error": "Continue wait"})),
        "/cubejs-api/v1/load" => json_reply(
            "200 OK",
            &json!({"data": [{"orders.owner": claims["userId"]}], "annotation": {"dimensions": {}, "measures": {}}}),
        ),
        _ => json_reply("200 OK", &json!({})),
    }
}

fn cube_source(cube: &Upstream, more: Value) -> Value {
    let mut config =
        json!({"api_secret": API_SECRET, "session": {"userId": "user", "tenant": "tenant", "role": "role"}});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    source("cubejs", &cube.url(), json!({"config": config}))
}

async fn owner(client: &Client) -> Value {
    let body = json!({"query": ORDERS});
    let mut reply = client.post("/api/datasources/db/query", &body).await.expect(200);
    assert_eq!(reply["success"], true, "{reply}");
    reply["data"][0]["orders.owner"].take()
}

#[tokio::test]
async fn each_caller_is_shown_to_cube_by_a_signed_token() {
    const NOW: i64 = 1_900_000_000;
    let cube = Upstream::start(answer).await;
    let clock = Clock::manual(NOW * 1000);
    let server = TestServer::with_clock(&with_authentication(&[]), clock).await;
    let admin = server.with_credential(ADMIN);
    admin.post("/api/datasources", &cube_source(&cube, json!({}))).await.expect(201);
    let ada = client_with(&server, json!({"role": "user", "user_id": "ada", "tenant": "acme"})).await;
    let eve = user(&server, "eve").await;
    assert_eq!((owner(&ada).await, owner(&eve).await), (json!("ada"), json!("eve")));

    let seen = cube.seen();
    assert_eq!(seen.len(), 6, "Cube asked for patience");
    let tokens: Vec<_> = seen.iter().map(|seen| seen.headers["authorization"].as_str()).collect();
    assert!(tokens[..3].iter().all(|token| *token == tokens[0]) && tokens[3..].iter().all(|token| *token == tokens[3]));
    let mut said = claims_of(&seen[0]).unwrap();
    let ends = said["exp"].take().as_i64().unwrap();
    assert_eq!(said, json!({"userId": "ada", "tenant": "acme", "role": "user", "iat": NOW, "exp": null}));
    // A query may take 30 seconds, and clocks may differ by a minute.
    assert!((NOW + 85..=NOW + 90).contains(&ends), "{ends}");
    let of_eve = claims_of(&seen[3]).unwrap();
    assert_eq!((&of_eve["userId"], &of_eve["tenant"]), (&json!("eve"), &json!("")), "nobody's tenant is empty");

    // A schema is shown as the caller may see it; what the server does for itself, nobody asks.
    ada.get("/api/datasources/db/schema").await.expect(200);
    admin.post("/api/datasources/db/test", &Value::Null).await.expect(200);
    let [.., schema, test] = &cube.seen()[..] else { panic!("nothing was asked") };
    assert_eq!(claims_of(schema).unwrap()["userId"], "ada");
    let nobody = claims_of(test).unwrap();
    assert_eq!([&nobody["userId"], &nobody["tenant"], &nobody["role"]], [&json!(""); 3]);
}

#[tokio::test]
async fn sql_for_cube_cannot_ask_as_somebody_else() {
    let cube = Upstream::start(answer).await;
    let server = TestServer::with(&with_authentication(&[])).await;
    let admin = server.with_credential(ADMIN);
    admin.post("/api/datasources", &cube_source(&cube, json!({}))).await.expect(201);
    let ada = user(&server, "ada").await;
    for sql in [
        "SELECT * FROM orders WHERE __user = 'eve'",
        "SELECT * FROM orders WHERE \"__USER\" = 'eve'",
        "SELECT o.__user FROM orders o",
        "SELECT set_config('user', 'eve', false)",
        "SET user = 'eve'",
        "RESET user",
    ] {
        let reply = ada.post("/api/datasources/db/query", &json!({"query": sql})).await.expect(422);
        assert_eq!(reply["errors"][0]["loc"], json!(["body", "query"]), "{sql}");
    }
    assert!(cube.seen().is_empty());
}

#[tokio::test]
async fn the_secret_is_shown_nowhere_and_stays_with_its_cube() {
    let (cube, other) = (Upstream::start(answer).await, Upstream::start(answer).await);
    let server = TestServer::bare().await;
    let made = server.post("/api/datasources", &cube_source(&cube, json!({}))).await;
    made.expect(201);
    let shown = server.get("/api/datasources/db").await;
    let listed = server.get("/api/datasources").await;
    assert!(shown.text.contains(r#""api_secret":"********""#), "{}", shown.text);
    for reply in [&made, &shown, &listed] {
        assert!(!reply.text.contains(API_SECRET), "{}", reply.text);
    }
    let kept = json!({"api_secret": "********"});
    let put = |url: String| {
        let mut body = cube_source(&cube, kept.clone());
        body["url"] = json!(url);
        let server = &server;
        async move { server.put("/api/datasources/db", &body).await }
    };
    // The mask keeps it; another server does not get tokens that it signs.
    put(cube.url()).await.expect(200);
    assert_eq!(owner(&server).await, "");
    for elsewhere in [other.url(), "https://cube.example".to_owned()] {
        let refused = put(elsewhere).await.expect(422);
        assert_eq!(refused["errors"][0]["loc"][1], "config", "{refused}");
    }
    assert_eq!(owner(&server).await, "");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn a_source_that_can_not_be_told_who_asks_is_refused() {
    let server = TestServer::bare().await;
    let place = |body: Value| {
        let server = &server;
        async move {
            let reply = server.post("/api/datasources", &body).await.expect(422);
            let errors = reply["errors"].as_array().unwrap().iter();
            let places: Vec<_> = errors
                .map(|error| {
                    let steps = error["loc"].as_array().unwrap().iter().map(|step| step.as_str().unwrap());
                    steps.collect::<Vec<_>>().join("/")
                })
                .collect();
            places.join(" ")
        }
    };
    let session = json!({"app.user_id": "user"});
    for (kind, url) in [
        ("mysql", "mysql://reader:secret@127.0.0.1/x"),
        ("sqlite", "sqlite:x.db"),
        ("api", "http://127.0.0.1:1"),
        ("postgres", "http://127.0.0.1:1"),
        ("other", "other:x"),
    ] {
        let body = source(kind, url, json!({"config": {"session": session}}));
        assert_eq!(place(body).await, "body/config/session", "{kind}");
    }
    let postgres = |session: Value| {
        source("postgres", "postgres://reader:secret@127.0.0.1/x", json!({"config": {"session": session}}))
    };
    assert_eq!(place(postgres(json!("app.user_id"))).await, "body/config/session");
    assert_eq!(place(postgres(json!({"user_id": "user"}))).await, "body/config/session/user_id");
    assert_eq!(place(postgres(json!({"app.user_id": "nobody"}))).await, "body/config/session/app.user_id");
    assert_eq!(place(postgres(json!({"app.user_id": "${HOME}"}))).await, "body/config/session/app.user_id");
    let cube = |more: Value| source("cubejs", "http://127.0.0.1:1", more);
    let session = json!({"userId": "user"});
    assert_eq!(place(cube(json!({"config": {"session": session}}))).await, "body/config/api_secret");
    let both = json!({"auth_token": "a-token", "config": {"session": session, "api_secret": API_SECRET}});
    assert_eq!(place(cube(both)).await, "body/auth_token");
    assert_eq!(place(cube(json!({"config": {"api_secret": 7}}))).await, "body/config/api_secret");
}
