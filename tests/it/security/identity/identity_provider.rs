//! Single sign-on: callers come with tokens of an identity provider, whose keys the server fetches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orchestrator_studio::kernel::Clock;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::{ADMIN, with_authentication};
use crate::common::upstream::{json_reply, reply};
use crate::common::{TestServer, Upstream};

const ISSUER: &str = "https://id.example/realms/works";
/// Seconds since 1970 at which the stories begin.
const NOW: i64 = 1_800_000_000;

/// A key of the identity provider.
struct ProviderKey {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl ProviderKey {
    fn new(id: &'static str) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { id, pair: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap() }
    }

    fn published(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": x, "y": y})
    }

    /// A token as Keycloak makes it, with these claims too.
    fn token(&self, claims: Value) -> String {
        let mut all = json!({"iss": ISSUER, "aud": ["studio", "account"], "sub": "5f0c6a9e", "exp": NOW + 300, "iat": NOW,
            "preferred_username": "ada", "scope": "openid profile email", "realm_access": {"roles": ["offline_access", "user"]}});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.id});
        let [header, claims] = [header, all].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), format!("{header}.{claims}").as_bytes()).unwrap();
        format!("{header}.{claims}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A server whose callers come from the provider behind this URL.
async fn server(keys_url: &str, clock: Clock) -> TestServer {
    let sign_on = [
        ("AUTH_ALGORITHM", "ES256"),
        ("AUTH_JWKS_URL", keys_url),
        ("AUTH_ISSUER", ISSUER),
        ("AUTH_AUDIENCE", "studio"),
        ("AUTH_USER_CLAIM", "preferred_username"),
        ("AUTH_ROLE_CLAIM", "realm_access.roles"),
    ];
    TestServer::with_clock(&with_authentication(&sign_on), clock).await
}

#[tokio::test]
async fn a_token_of_the_identity_provider_says_who_calls_and_what_they_may() {
    let (key, stranger) = (ProviderKey::new("2026-12"), ProviderKey::new("2026-12"));
    let keys = json!({"keys": [key.published()]});
    let provider = Upstream::answering(keys).await;
    let server = server(&format!("{}/certs", provider.url()), Clock::manual(NOW * 1000)).await;

    let ada = server.with_credential(&key.token(json!({})));
    let me = ada.get("/api/auth/me").await.expect(200);
    assert_eq!((&me["user_id"], &me["role"], &me["key_id"]), (&json!("ada"), &json!("user"), &json!(null)));
    ada.get("/api/memory/eve/history").await.expect(404);
    ada.post("/api/auth/keys", &json!({"name": "x", "role": "user"})).await.expect(403);
    ada.post("/api/auth/token", &json!({})).await.expect(403);
    let root = json!({"preferred_username": "root", "realm_access": {"roles": ["admin"]}});
    server.with_credential(&key.token(root)).get("/api/auth/keys").await.expect(200);

    for (why, token) in [
        ("the key of somebody else", stranger.token(json!({}))),
        ("another audience", key.token(json!({"aud": "payroll"}))),
        ("another issuer", key.token(json!({"iss": "https://id.example/realms/play"}))),
        ("its time is over", key.token(json!({"exp": NOW - 60}))),
        ("no role that is known", key.token(json!({"realm_access": {"roles": ["offline_access"]}}))),
        ("the name of a key's own user", key.token(json!({"preferred_username": "key:1"}))),
        ("nobody's", key.token(json!({"preferred_username": null}))),
    ] {
        let refused = server.with_credential(&token).get("/api/auth/me").await;
        assert_eq!((refused.status, &refused.json()["code"]), (401, &json!("invalid_token")), "{why}");
    }
    assert_eq!(provider.seen().len(), 1, "the keys are kept, and no token has them fetched again");
}

#[tokio::test]
async fn a_provider_that_changes_its_keys_is_asked_again_and_one_that_is_away_is_told_as_such() {
    let (old, new) = (Arc::new(ProviderKey::new("old")), ProviderKey::new("new"));
    let (is_away, is_changed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let sets = [json!({"keys": [old.published()]}), json!({"keys": [new.published()]})];
    let (away, changed) = (is_away.clone(), is_changed.clone());
    let provider = Upstream::start(move |_, _| match away.load(Ordering::SeqCst) {
        true => reply("502 Bad Gateway", "text/html", "<html>"),
        false => json_reply("200 OK", &sets[usize::from(changed.load(Ordering::SeqCst))]),
    })
    .await;
    let clock = Clock::manual(NOW * 1000);
    let server = server(&format!("{}/certs", provider.url()), clock.clone()).await;

    let ada = server.with_credential(&old.token(json!({})));
    let away = ada.get("/api/auth/me").await;
    assert_eq!((away.status, &away.json()["code"]), (502, &json!("upstream_error")), "it may be valid");
    assert_eq!(away.headers["retry-after"], "5");
    assert!(!away.headers.contains_key("www-authenticate"), "a new token would not help");
    server.with_credential(ADMIN).get("/api/auth/me").await.expect(200);

    is_away.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(5));
    ada.get("/api/auth/me").await.expect(200);
    is_changed.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(31));
    server.with_credential(&new.token(json!({}))).get("/api/auth/me").await.expect(200);
    ada.get("/api/auth/me").await.expect(401);

    let refused = server.restart().await.with_credential(ADMIN).get("/api/audit?outcome=refused").await.expect(200);
    let statuses: Vec<_> = refused["records"].as_array().unwrap().iter().map(|record| &record["status"]).collect();
    assert_eq!(statuses, [401], "while nobody could tell, nobody was refused");
}
