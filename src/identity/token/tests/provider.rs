use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::identity::token::{TokenKind, TokenVerifier};
use crate::kernel::{Clock, JsonReader};
use crate::outbound::{AddressGuard, HttpClient};

const MINUTE: Duration = Duration::from_secs(60);

/// A stand-in for an identity provider: says the same to whoever asks, or nothing.
struct Provider {
    url: String,
    says: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (says, asked) = (Arc::<Mutex<Option<String>>>::default(), Arc::<AtomicUsize>::default());
        let (saying, asking) = (says.clone(), asked.clone());
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                asking.fetch_add(1, Ordering::SeqCst);
                let reply = saying.lock().clone();
                match reply.as_deref() {
                    None => {}
                    Some("") => held.push(stream),
                    Some(reply) => stream.write_all(reply.as_bytes()).await.unwrap(),
                }
            }
        });
        Self { url, says, asked }
    }

    fn says(&self, status: &str, body: &str) {
        let length = body.len();
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        *self.says.lock() = Some(reply);
    }

    fn has(&self, keys: &[Value]) {
        self.says("200 OK", &key_set(keys));
    }

    /// Takes calls and does not answer them.
    fn hangs(&self) {
        *self.says.lock() = Some(String::new());
    }

    fn is_away(&self) {
        *self.says.lock() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Once it was asked so often, and what it said was kept.
    async fn was_asked(&self, times: usize) {
        for _ in 0..200 {
            if self.asked() >= times {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(self.asked(), times);
    }

    fn verifier(&self, clock: &Clock, public_only: bool) -> TokenVerifier {
        let settings = settings(TokenAlgorithm::Es256, &[("AUTH_JWKS_URL", &self.url)]);
        let guard = AddressGuard::new(public_only, &[]);
        let http = HttpClient::new(&Environment::default(), guard, JsonReader::new(10_000)).unwrap();
        TokenVerifier::new(settings, http, clock.clone())
    }
}

fn clock() -> Clock {
    Clock::manual(NOW * 1000)
}

/// A token of the key `id` that is valid for years.
fn token(signer: &Signer, id: &str) -> String {
    signer.token_with(&json!({"alg": "ES256", "kid": id}), &ada(&json!({"exp": NOW + 100_000_000})))
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_who_need_them() {
    let (provider, signer, clock) = (Provider::start().await, Signer::new_ec(), clock());
    provider.has(&[json!({"kty": "oct"}), signer.public_key("a")]);
    let verifier = provider.verifier(&clock, false);
    assert_eq!(provider.asked(), 0, "nobody has needed them");
    let token = token(&signer, "a");
    let all = futures_util::future::join_all((0..50).map(|_| verifier.verify(&token))).await;
    assert!(all.iter().all(|read| read.as_ref().is_ok_and(|read| read.user.as_deref() == Some("ada"))), "{all:?}");
    let (own, expires) = verifier.issue(&TokenClaims { expires: i64::MAX, ..TokenClaims::default() });
    assert_eq!(verifier.verify(&own).await.map(|read| (read.kind, read.expires)), Ok((TokenKind::Bearer, expires)));
    assert_eq!(provider.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_looked_for_but_not_for_everybody_who_makes_one_up() {
    let (provider, clock) = (Provider::start().await, clock());
    let (old, new) = (Signer::new_ec(), Signer::new_ec());
    provider.has(&[old.public_key("old")]);
    let verifier = provider.verifier(&clock, false);
    assert!(verifier.verify(&token(&old, "old")).await.is_ok());
    provider.has(&[old.public_key("old"), new.public_key("new")]);
    for id in ["new", "made-up", "new"] {
        assert_eq!(verifier.verify(&token(&new, id)).await, Err(TokenError::UnknownKey), "asked a moment ago");
    }
    assert_eq!(provider.asked(), 1);
    clock.advance(Duration::from_secs(30));
    let tokens: Vec<_> = (0..20).map(|nth| token(&new, if nth == 7 { "new" } else { "made-up" })).collect();
    let all = futures_util::future::join_all(tokens.iter().map(|token| verifier.verify(token))).await;
    assert_eq!((all.iter().filter(|read| read.is_ok()).count(), all[7].is_ok()), (1, true));
    assert_eq!(provider.asked(), 2);
    assert!(verifier.verify(&token(&old, "old")).await.is_ok());

    provider.has(&[new.public_key("new")]);
    clock.advance(Duration::from_secs(30));
    assert!(verifier.verify(&token(&new, "made-up")).await.is_err());
    assert_eq!(verifier.verify(&token(&old, "old")).await, Err(TokenError::UnknownKey), "its key was withdrawn");
    assert_eq!(provider.asked(), 3);
}

#[tokio::test]
async fn keys_are_renewed_while_the_old_ones_serve() {
    let (provider, signer, clock) = (Provider::start().await, Signer::new_ec(), clock());
    provider.has(&[signer.public_key("a")]);
    let (verifier, token) = (provider.verifier(&clock, false), token(&signer, "a"));
    assert!(verifier.verify(&token).await.is_ok());
    clock.advance(MINUTE * 9);
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(provider.asked(), 1);
    clock.advance(MINUTE);
    provider.has(&[Signer::new_ec().public_key("a")]);
    assert!(verifier.verify(&token).await.is_ok(), "nobody waits");
    provider.was_asked(2).await;
    assert_eq!(
        verifier.verify(&token).await,
        Err(TokenError::Signature),
        "what was verified with other keys is forgotten"
    );
}

#[tokio::test]
async fn nobody_waits_for_newer_keys() {
    let (provider, signer, clock) = (Provider::start().await, Signer::new_ec(), clock());
    provider.has(&[signer.public_key("a")]);
    let (verifier, token) = (provider.verifier(&clock, false), token(&signer, "a"));
    assert!(verifier.verify(&token).await.is_ok());
    provider.hangs();
    clock.advance(MINUTE * 10);
    for _ in 0..3 {
        let read = tokio::time::timeout(Duration::from_secs(1), verifier.verify(&token)).await;
        assert!(read.unwrap().is_ok());
    }
    provider.was_asked(2).await;
}

#[tokio::test]
async fn a_provider_that_is_away_has_a_day_to_come_back() {
    let (provider, signer, clock) = (Provider::start().await, Signer::new_ec(), clock());
    provider.has(&[signer.public_key("a")]);
    let (verifier, token) = (provider.verifier(&clock, false), token(&signer, "a"));
    assert!(verifier.verify(&token).await.is_ok());
    provider.is_away();
    clock.advance(MINUTE * 11);
    for _ in 0..5 {
        assert!(verifier.verify(&token).await.is_ok());
    }
    provider.was_asked(2).await;
    clock.advance(Duration::from_secs(29));
    assert!(verifier.verify(&token).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert!(verifier.verify(&token).await.is_ok());
    provider.was_asked(3).await;
    clock.advance(MINUTE * 60 * 24 - MINUTE * 12);
    assert!(verifier.verify(&token).await.is_ok());
    provider.was_asked(4).await;
    clock.advance(MINUTE);
    assert_eq!(verifier.verify(&token).await, Err(TokenError::NoKeys));
    provider.has(&[signer.public_key("a")]);
    assert_eq!(verifier.verify(&token).await, Err(TokenError::NoKeys), "asked a moment ago");
    clock.advance(Duration::from_secs(5));
    assert!(verifier.verify(&token).await.is_ok());
}

#[tokio::test]
async fn what_is_no_key_set_takes_no_key_away() {
    let (provider, signer, clock) = (Provider::start().await, Signer::new_ec(), clock());
    let (verifier, known) = (provider.verifier(&clock, false), token(&signer, "a"));
    let many = key_set(&vec![json!({"kty": "oct", "k": "x".repeat(200)}); 2000]);
    let good = key_set(&[signer.public_key("a"), signer.public_key("b")]);
    let elsewhere = "302 Found\r\nlocation: http://127.0.0.1:9/keys";
    let useless = [
        ("200 OK", "<html>"),
        ("200 OK", r#"{"keys": []}"#),
        ("200 OK", r#"{"keys": [{"kty": "oct"}]}"#),
        ("200 OK", many.as_str()),
        ("404 Not Found", good.as_str()),
        ("503 Service Unavailable", good.as_str()),
        (elsewhere, ""),
    ];
    for (status, body) in useless {
        provider.says(status, body);
        assert_eq!(verifier.verify(&known).await, Err(TokenError::NoKeys), "{status}");
        clock.advance(Duration::from_secs(5));
    }
    provider.has(&[signer.public_key("a")]);
    assert!(verifier.verify(&known).await.is_ok());
    for (status, body) in useless {
        provider.says(status, body);
        clock.advance(Duration::from_secs(30));
        assert_eq!(verifier.verify(&token(&signer, "b")).await, Err(TokenError::UnknownKey), "{status}");
        assert!(verifier.verify(&known).await.is_ok(), "{status}");
    }
    assert_eq!(provider.asked(), 2 * useless.len() + 1);
}

#[tokio::test]
async fn the_provider_is_called_by_the_rules_for_all_calls() {
    let (provider, signer) = (Provider::start().await, Signer::new_ec());
    provider.has(&[signer.public_key("a")]);
    let refused = provider.verifier(&clock(), true).verify(&token(&signer, "a")).await;
    assert_eq!((refused, provider.asked()), (Err(TokenError::NoKeys), 0));
}

#[tokio::test]
async fn no_forged_token_makes_the_server_ask() {
    let (provider, signer, clock) = (Provider::start().await, Signer::new_ec(), clock());
    let verifier = provider.verifier(&clock, false);
    let other = Signer::secret();
    for forged in
        ["", "a.b.c", &other.token(&ada(&json!({}))), &signer.token_with(&json!({"alg": "none"}), &ada(&json!({})))]
    {
        assert!(verifier.verify(forged).await.is_err());
    }
    assert_eq!(provider.asked(), 0);
}
