//! Every operation of the API's document against every sort of caller. What each needs is read from the document.

use std::time::Duration;

use orchestrator_studio::kernel::Clock;
use serde_json::{Value, json};

use super::{ADMIN, client_with, new_key, with_authentication};
use crate::common::{Answer, Client, TestServer};

/// An operation, as the document has it.
struct Operation {
    method: String,
    path: String,
    /// `None`: anybody may use it.
    scopes: Option<Vec<String>>,
}

impl Operation {
    /// A request without what else it needs: who may not is told so first.
    async fn ask(&self, client: &Client) -> Answer {
        let (method, path) = (&self.method, self.path.replace(['{', '}'], ""));
        Answer::of(client.request(method, &path).header("content-type", "application/json")).await
    }

    async fn assert_refused(&self, client: &Client, status: u16, code: &str, who: &str) {
        let answer = self.ask(client).await;
        assert_eq!(answer.status, status, "{} {} by {who}: {}", self.method, self.path, answer.text);
        assert_eq!(answer.json()["code"], code, "{} {} by {who}", self.method, self.path);
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }

    async fn assert_let_in(&self, client: &Client, who: &str) {
        let answer = self.ask(client).await;
        let is_refused = matches!(answer.status, 401 | 403);
        assert!(!is_refused, "{} {} by {who}: {} {}", self.method, self.path, answer.status, answer.text);
    }
}

async fn operations(server: &TestServer) -> Vec<Operation> {
    let document = server.get("/openapi.json").await.expect(200);
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array();
            let scopes = security.map(|schemes| {
                let named: Vec<Vec<String>> = schemes
                    .iter()
                    .map(|scheme| {
                        serde_json::from_value(scheme.as_object().unwrap().values().next().unwrap().clone()).unwrap()
                    })
                    .collect();
                assert_eq!(named.len(), 2, "a token or a key: {method} {path}");
                assert_eq!(named[0], named[1]);
                named[0].clone()
            });
            operations.push(Operation { method: method.to_uppercase(), path: path.clone(), scopes });
        }
    }
    assert!(operations.len() > 100, "{}", operations.len());
    operations
}

/// The scopes of each role, as the server tells them.
async fn role_scopes(client: &Client) -> Vec<String> {
    serde_json::from_value(client.get("/api/auth/me").await.expect(200)["scopes"].clone()).unwrap()
}

#[tokio::test]
async fn every_operation_is_closed_to_whoever_is_not_recognised() {
    let clock = Clock::manual(1_800_000_000_000);
    let server = TestServer::with_clock(&with_authentication(&[]), clock.clone()).await;
    let admin = server.with_credential(ADMIN);

    let expiring = new_key(&server, json!({"role": "admin", "expires_in_days": 1})).await;
    let made = admin.post("/api/auth/keys", &json!({"name": "lost", "role": "admin"})).await.expect(201);
    let revoked = made["key"].as_str().unwrap().to_owned();
    let token_of = async |key: &str| {
        let token = server.with_credential(key).post("/api/auth/token", &json!({})).await.expect(200);
        token["access_token"].as_str().unwrap().to_owned()
    };
    let (token_of_revoked, expired_token) = (token_of(&revoked).await, token_of(ADMIN).await);
    for credential in [&expiring, &revoked, &token_of_revoked, &expired_token] {
        server.with_credential(credential).get("/api/auth/me").await.expect(200);
    }
    let id = made["details"]["id"].as_str().unwrap();
    admin.delete(&format!("/api/auth/keys/{id}")).await.expect(200);
    clock.advance(Duration::from_secs(86_400));
    let valid = token_of(ADMIN).await;

    let refused = [
        ("an expired key", expiring),
        ("a revoked key", revoked),
        ("a token of a revoked key", token_of_revoked),
        ("an expired token", expired_token),
        ("a key that nobody made", "osk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
        ("alg none", forged(&valid, &json!({"alg": "none", "typ": "JWT"}), true)),
        ("alg RS256", forged(&valid, &json!({"alg": "RS256", "typ": "JWT"}), false)),
        ("an unknown kid", forged(&valid, &json!({"alg": "HS256", "typ": "JWT", "kid": "x"}), false)),
        ("another signature", flipped(&valid)),
    ];
    for operation in operations(&server).await {
        let Some(_) = &operation.scopes else {
            operation.assert_let_in(&server, "anybody").await;
            continue;
        };
        operation.assert_refused(&server, 401, "unauthenticated", "nobody").await;
        for (who, credential) in &refused {
            operation.assert_refused(&server.with_credential(credential), 401, "invalid_token", who).await;
        }
        // A token makes no token.
        if operation.path != "/api/auth/token" {
            operation.assert_let_in(&server.with_credential(&valid), "a valid token").await;
        }
    }
}

/// A token with another header, and without its signature.
fn forged(token: &str, header: &Value, is_unsigned: bool) -> String {
    use base64::Engine;
    let parts: Vec<_> = token.split('.').collect();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string());
    format!("{header}.{}.{}", parts[1], if is_unsigned { "" } else { parts[2] })
}

fn flipped(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    format!("{signed}.{other}{}", &signature[1..])
}

#[tokio::test]
async fn every_role_may_what_its_scopes_say_and_nothing_else() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let operations = operations(&server).await;
    let mut allowed = Vec::new();
    for role in ["viewer", "user", "operator", "admin"] {
        let client = client_with(&server, json!({"role": role})).await;
        let scopes = role_scopes(&client).await;
        let mut count = 0;
        for operation in &operations {
            let needed = operation.scopes.iter().flatten();
            if needed.clone().all(|scope| scopes.contains(scope)) {
                operation.assert_let_in(&client, role).await;
                count += 1;
            } else {
                operation.assert_refused(&client, 403, "forbidden", role).await;
            }
        }
        allowed.push(count);
    }
    assert!(allowed.is_sorted_by(|one, other| one < other), "each role may more than the one before: {allowed:?}");
    assert_eq!(allowed[3], operations.len(), "an administrator may everything");
}

#[tokio::test]
async fn each_scope_that_an_operation_needs_is_needed() {
    let server = TestServer::with(&with_authentication(&[])).await;
    let operations = operations(&server).await;
    let all = role_scopes(&server.with_credential(ADMIN)).await;
    for scope in &all {
        // A scope brings others along: who lacks one must lack those that bring it.
        let brings =
            |other: &String| *other == scope.replace(":read", ":write") || *other == scope.replace(":own", ":all");
        let others: Vec<_> = all.iter().filter(|other| *other != scope && !brings(other)).collect();
        let without = client_with(&server, json!({"role": "admin", "scopes": others})).await;
        let needing: Vec<_> =
            operations.iter().filter(|it| it.scopes.iter().flatten().any(|needed| needed == scope)).collect();
        assert!(!needing.is_empty() || *scope == "memory:all", "nothing needs {scope}");
        for operation in needing {
            operation.assert_refused(&without, 403, "forbidden", &format!("all but {scope}")).await;
            let only = client_with(&server, json!({"role": "admin", "scopes": operation.scopes})).await;
            operation.assert_let_in(&only, "these scopes").await;
        }
    }
}
