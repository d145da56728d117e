//! The parts that every chat goes through, in this process: reading JSON, masking secrets, verifying tokens, routing and planning, the
//! window of a conversation, the SQL guard. Those that the library does not export are reached through the routes that lead to little else;
//! `route/livez` is what such a route costs by itself, to be taken off.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may panic")]

#[path = "micro/authentication.rs"]
mod authentication;
#[path = "micro/server.rs"]
mod server;

use std::hint::black_box;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use orchestrator_studio::identity::token::{KeySet, TokenClaims, TokenReader};
use orchestrator_studio::kernel::{JsonReader, Redaction, Secret, StreamRedactor};
use orchestrator_studio::settings::{AuthSettings, Environment, TokenAlgorithm, load};
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use authentication::authentication;
use server::Server;

const SECRETS: usize = 50;
/// The examples of RFC 7515, whose RSA key signs the tokens here.
const SIGNED: &str = include_str!("../tests/data/json_web_signatures/rfc7515.json");
const NOW: i64 = 1_800_000_000;

/// What is asked of a server, by what it measures, and a member of the reply that shows that it did.
const ROUTES: [(&str, Method, &str, &str, &str); 7] = [
    ("livez", Method::GET, "/livez", "", "status"),
    (
        "classify/general",
        Method::POST,
        "/api/routers/default/test",
        r#"{"input_text": "What is the capital of Peru?"}"#,
        "classification",
    ),
    (
        "plan/general",
        Method::POST,
        "/api/planners/default/test",
        r#"{"user_input": "What is the capital of Peru?"}"#,
        "plan",
    ),
    (
        "plan/data",
        Method::POST,
        "/api/planners/default/test",
        r#"{"user_input": "How many invoices are overdue, and what is the weather in Hamburg?"}"#,
        "plan",
    ),
    (
        "plan/agent",
        Method::POST,
        "/api/planners/default/test",
        r#"{"user_input": "Ask the agent-7 agent which contracts end in May"}"#,
        "plan",
    ),
    ("conversation window", Method::GET, "/api/memory/ada/context", "", ""),
    (
        "sql guard/refused",
        Method::POST,
        "/api/datasources/shop/query",
        r#"{"query": "SELECT c.name, sum(o.total) FROM customers c JOIN orders o ON o.customer_id = c.id WHERE o.placed_on > '2026-01-01' GROUP BY c.name HAVING sum(o.total) > 10; DROP TABLE customers"}"#,
        "",
    ),
];

fn routes(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(&[]));
    runtime.block_on(server.converse());
    let mut group = criterion.benchmark_group("route");
    for (name, method, path, body, member) in ROUTES {
        let (status, reply) = runtime.block_on(server.call(method.clone(), path, body, None));
        let wanted = if name.ends_with("refused") { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        assert_eq!(status, wanted, "{name}: {reply}");
        assert!(member.is_empty() || !reply[member].is_null(), "{name}: {reply}");
        group.bench_function(name, |bencher| {
            bencher
                .to_async(&runtime)
                .iter(|| async { black_box(server.call(method.clone(), path, body, None).await) });
        });
    }
    group.finish();
}

/// A list of rows as a data source sends it, with so many values.
fn rows(count: usize) -> String {
    let row = |nth: usize| {
        let is_paid = nth.is_multiple_of(2);
        json!({"id": nth, "name": format!("Customer {nth}"), "total": nth as f64 * 1.25, "is_paid": is_paid})
    };
    Value::Array((0..count / 9).map(row).collect()).to_string()
}

fn json_reader(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    for count in [90, 90_000] {
        let text = rows(count);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("read", count), |bencher| {
            bencher.iter(|| JsonReader::new(100_000).read::<Value>(black_box(text.as_bytes())).unwrap());
        });
        group.bench_function(BenchmarkId::new("refuse too many", count), |bencher| {
            bencher.iter(|| JsonReader::new(10).read::<Value>(black_box(text.as_bytes())).unwrap_err());
        });
        let almost = text.replace("},", ",},").replace("true", "True");
        group.bench_function(BenchmarkId::new("read tolerantly", count), |bencher| {
            bencher.iter(|| JsonReader::new(100_000).read_tolerantly(black_box(almost.as_bytes())).unwrap());
        });
    }
    group.finish();
}

fn redaction(criterion: &mut Criterion) {
    let secret = |nth: usize| Secret::new(format!("sk-canary-{nth}/{:x}", nth * 7919 + 1_000_000));
    let redaction = Redaction::new((0..SECRETS).map(secret));
    let clean = "An ordinary sentence of an answer, as a model says it, with a number such as 42 in it. ".repeat(100);
    let leaky = format!("{clean}{}{clean}", secret(7).expose());
    let mut group = criterion.benchmark_group("redaction");
    for (name, text) in [("nothing to mask", &clean), ("a secret", &leaky)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("text", name), |bencher| {
            bencher.iter(|| redaction.text(black_box(text)));
        });
        let value = json!({"rows": [{"said": text, "times": 3}]});
        group.bench_function(BenchmarkId::new("json", name), |bencher| {
            bencher.iter_batched(|| value.clone(), |value| redaction.json(value), BatchSize::SmallInput);
        });
        let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        group.bench_function(BenchmarkId::new("stream of words", name), |bencher| {
            bencher.iter_batched(|| words.clone(), |words| streamed(&redaction, words), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn streamed(redaction: &Redaction, words: Vec<String>) -> usize {
    let mut redactor = StreamRedactor::new(redaction.clone());
    let shown: usize = words.into_iter().map(|word| redactor.push(word).len()).sum();
    shown + redactor.finish().len()
}

fn auth_settings(algorithm: TokenAlgorithm) -> Arc<AuthSettings> {
    let mut variables = vec![
        ("AUTH_ENABLED", "true"),
        ("AUTH_SECRET_KEY", "0b5c1f6e9a7d4832b5f0c9e8d7a6142335f7a9c1e2d4b6f8"),
        ("AUTH_ALGORITHM", algorithm.name()),
    ];
    if !algorithm.is_symmetric() {
        let provider = [("AUTH_JWKS_URL", "https://id/k"), ("AUTH_ISSUER", "https://id/"), ("AUTH_AUDIENCE", "studio")];
        variables.extend(provider);
    }
    load(Environment::from_pairs(variables)).unwrap().settings.auth
}

/// A token with the claims that providers send, signed with a key that is called `a`.
fn provider_token(algorithm: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let claims = json!({
        "iss": "https://id/", "aud": ["studio", "account"], "sub": "f3b1c1d0-6a43-4a4e-9d5a-5f2f7f6a7b11", "iat": NOW, "exp": NOW + 300,
        "jti": "9d5a5f2f", "azp": "gui", "session_state": "6a434a4e-9d5a-5f2f", "role": "user", "scope": "openid profile email",
        "email": "ada@example.org", "realm_access": {"roles": ["offline_access", "user"]}
    });
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": "a"});
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let signed = format!("{header}.{claims}");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign(signed.as_bytes())))
}

fn rsa_token() -> (String, Value) {
    let examples: Value = serde_json::from_str(SIGNED).unwrap();
    let key = &examples["examples"][1]["key"];
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let public_key = PublicKeyComponents { n: part("n"), e: part("e") };
    let [d, p, q, dp, dq, qi] = ["d", "p", "q", "dp", "dq", "qi"].map(part);
    let pair =
        RsaKeyPair::from_components(&KeyPairComponents { public_key, d, p, q, dP: dp, dQ: dq, qInv: qi }).unwrap();
    let token = provider_token("RS256", |message| {
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    });
    (token, json!({"kty": "RSA", "kid": "a", "n": key["n"], "e": key["e"]}))
}

fn ec_token() -> (String, Value) {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
    let token = provider_token("ES256", |message| pair.sign(&random, message).unwrap().as_ref().to_vec());
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
    (token, json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": x, "y": y}))
}

/// What each request with a token costs, without the memory of tokens that were verified a moment ago.
fn tokens(criterion: &mut Criterion) {
    let claims = TokenClaims {
        user: Some("ada".to_owned()),
        role: Some("user".to_owned()),
        key_id: Some("key-7".to_owned()),
        expires: i64::MAX,
        ..TokenClaims::default()
    };
    let own = TokenReader::new(auth_settings(TokenAlgorithm::Hs256));
    let ((rsa, rsa_key), (ec, ec_key)) = (rsa_token(), ec_token());
    let keys = |key: &Value, algorithm| KeySet::read(json!({"keys": [key]}).to_string().as_bytes(), algorithm).unwrap();
    let cases = [
        ("HS256, own", TokenAlgorithm::Hs256, own.issue(&claims, NOW).0, KeySet::default()),
        ("RS256", TokenAlgorithm::Rs256, rsa, keys(&rsa_key, TokenAlgorithm::Rs256)),
        ("ES256", TokenAlgorithm::Es256, ec, keys(&ec_key, TokenAlgorithm::Es256)),
    ];
    let mut group = criterion.benchmark_group("token");
    for (name, algorithm, token, keys) in cases {
        let reader = TokenReader::new(auth_settings(algorithm));
        let unsigned = format!("{}.AAAA", token.rsplit_once('.').unwrap().0);
        group.bench_function(BenchmarkId::new("verify", name), |bencher| {
            bencher.iter(|| reader.read(black_box(&token), &keys, NOW).unwrap());
        });
        group.bench_function(BenchmarkId::new("refuse", name), |bencher| {
            bencher.iter(|| reader.read(black_box(&unsigned), &keys, NOW).unwrap_err());
        });
    }
    group.bench_function("issue", |bencher| bencher.iter(|| own.issue(black_box(&claims), NOW)));
    group.finish();
}

criterion_group!(benches, json_reader, redaction, tokens, authentication, routes);
criterion_main!(benches);
