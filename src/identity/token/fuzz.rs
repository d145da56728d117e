use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::Value;

use super::{KeySet, TokenClaims, TokenError, TokenKind, TokenReader};
use crate::kernel::AccessRole;
use crate::settings::{AuthSettings, Environment, TokenAlgorithm, read};

const SECRET: &str = "Qm7Zt1kXvR4cN8yWb3Hs6LpDf0JgUa5E9oTiKe2MxBzQm7Zt1kXvR4cN8yWb3Hs6Lp";
const ISSUER: &str = "https://id.example/";
const AUDIENCE: &str = "studio";
const NOW: i64 = 1_800_000_000;
/// Seconds that clocks may differ by.
const LEEWAY: i64 = 30;
/// The public key of the example A.2 of RFC 7515, and that of A.3.
const PROVIDER_KEYS: &[u8] = include_bytes!("../../../fuzz/corpus/jwks/two_keys_of_rfc_7515");

fn settings(algorithm: TokenAlgorithm) -> Arc<AuthSettings> {
    let mut variables = vec![
        ("AUTH_ENABLED", "true"),
        ("AUTH_SECRET_KEY", SECRET),
        ("AUTH_ALGORITHM", algorithm.name()),
        ("AUTH_ISSUER", ISSUER),
        ("AUTH_AUDIENCE", AUDIENCE),
    ];
    if !algorithm.is_symmetric() {
        variables.push(("AUTH_JWKS_URL", "https://id.example/keys"));
    }
    let (loaded, issues) = read(Environment::from_pairs(variables));
    assert!(issues.is_empty(), "{issues:?}");
    loaded.settings.auth
}

/// A reader for each algorithm, with the keys of the identity provider.
static READERS: LazyLock<Vec<(TokenAlgorithm, TokenReader, KeySet)>> = LazyLock::new(|| {
    let reader = |algorithm: TokenAlgorithm| {
        let keys =
            if algorithm.is_symmetric() { Ok(KeySet::default()) } else { KeySet::read(PROVIDER_KEYS, algorithm) };
        (algorithm, TokenReader::new(settings(algorithm)), keys.unwrap_or_default())
    };
    [TokenAlgorithm::Hs256, TokenAlgorithm::Rs256, TokenAlgorithm::Es256].map(reader).into()
});

fn signature(signed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()))
}

/// Whoever has no key is refused: a token that is believed is signed with the secret, in the one spelling that there is; and with a
/// provider, whose keys sign nothing here, it is the server's own.
pub(crate) fn jwt(data: &[u8]) {
    let token = String::from_utf8_lossy(data);
    let token = token.trim_end_matches('\n');
    for (algorithm, reader, keys) in READERS.iter() {
        let Ok(claims) = reader.read(token, keys, NOW) else { continue };
        let (signed, given) = token.rsplit_once('.').unwrap_or_default();
        assert_eq!(given, signature(signed), "{token}");
        assert!(algorithm.is_symmetric() || claims.kind != TokenKind::Provider, "{token}");
        check_claims(signed, &claims);
    }
}

/// Claims of whoever has the key are believed only if they are of the issuer, for this server, and of this time.
pub(crate) fn jwt_claims(data: &[u8]) {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(data));
    let token = format!("{signed}.{}", signature(&signed));
    for (_, reader, keys) in READERS.iter() {
        match reader.read(&token, keys, NOW) {
            Ok(claims) => check_claims(&signed, &claims),
            Err(refusal) => assert_ne!(refusal, TokenError::Signature, "{token}"),
        }
    }
}

fn check_claims(signed: &str, claims: &TokenClaims) {
    let payload = signed.split_once('.').and_then(|(_, payload)| URL_SAFE_NO_PAD.decode(payload).ok());
    let payload: Value = payload.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default();
    let names = |member: &str, text: &str| match payload.get(member) {
        Some(Value::Array(items)) => items.iter().any(|item| item == text),
        Some(one) => one == text,
        None => false,
    };
    let own = AuthSettings::OWN_NAME;
    let is_own = claims.kind != TokenKind::Provider;
    assert_eq!(is_own, names("iss", own), "{payload}");
    let is_named = match claims.kind {
        TokenKind::Provider => names("iss", ISSUER) && names("aud", AUDIENCE),
        TokenKind::Bearer => names("aud", own),
        TokenKind::Ticket => names("aud", AuthSettings::TICKET_NAME),
    };
    assert!(is_named, "{payload}");
    assert!(claims.expires > NOW - LEEWAY, "{payload}");
    let ends = payload.get("exp").and_then(Value::as_f64);
    assert!(ends.is_some_and(|ends| ends as i64 == claims.expires), "{payload}");
    let has_role = claims.role.as_deref().is_some_and(|role| AccessRole::parse(role).is_ok());
    assert!(is_own || has_role, "{payload}");
}

/// A key set, whoever published it, is a bounded number of public keys that can be told apart.
pub(crate) fn jwks(data: &[u8]) {
    for algorithm in [TokenAlgorithm::Rs256, TokenAlgorithm::Es256] {
        let Ok(keys) = KeySet::read(data, algorithm) else { continue };
        assert!(keys.len() <= 100);
        let id = keys.find(None).is_ok();
        assert!(!id || keys.len() == 1);
        let forged = keys.find(Some("a")).is_ok_and(|key| key.verify(b"signed by nobody", &[0; 256]));
        assert!(!forged, "a signature of zeros");
    }
}
