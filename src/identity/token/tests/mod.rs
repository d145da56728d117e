//! What is refused and what is believed, with real tokens.

mod forgeries;
mod provider;
mod rules;
mod vectors;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};

use super::signature::secret_key;
use super::{KeySet, TokenClaims, TokenError, TokenReader};
use crate::settings::{AuthSettings, Environment, TokenAlgorithm, load};

const RFC_7515: &str = include_str!("../../../../tests/data/json_web_signatures/rfc7515.json");
const SECRET: &str = "Qm7Zt1kXvR4cN8yWb3Hs6LpDf0JgUa5E9oTiKe2MxBzQm7Zt1kXvR4cN8yWb3Hs6Lp";
const ISSUER: &str = "https://id.example/";
const NOW: i64 = 1_800_000_000;

/// The key of an example of RFC 7515: `A.1`, `A.2`, `A.3`.
fn example(name: &str) -> Value {
    let all: Value = serde_json::from_str(RFC_7515).unwrap();
    all["examples"].as_array().unwrap().iter().find(|example| example["example"] == name).unwrap().clone()
}

fn bytes(key: &Value, member: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(key[member].as_str().unwrap()).unwrap()
}

/// Somebody who makes tokens.
enum Signer {
    Hmac(TokenAlgorithm, Vec<u8>),
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl Signer {
    fn secret() -> Self {
        Self::Hmac(TokenAlgorithm::Hs256, SECRET.as_bytes().to_vec())
    }

    fn rsa() -> Self {
        let key = &example("A.2")["key"];
        let part = |name| bytes(key, name);
        let public_key = RsaPublicKeyComponents { n: part("n"), e: part("e") };
        let components = ring::rsa::KeyPairComponents {
            public_key,
            d: part("d"),
            p: part("p"),
            q: part("q"),
            dP: part("dp"),
            dQ: part("dq"),
            qInv: part("qi"),
        };
        Self::Rsa(Box::new(RsaKeyPair::from_components(&components).unwrap()))
    }

    fn new_ec() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::Ec(Box::new(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap()))
    }

    fn algorithm(&self) -> TokenAlgorithm {
        match self {
            Self::Hmac(algorithm, _) => *algorithm,
            Self::Rsa(_) => TokenAlgorithm::Rs256,
            Self::Ec(_) => TokenAlgorithm::Es256,
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Hmac(algorithm, secret) => {
                let digest = match algorithm {
                    TokenAlgorithm::Hs512 => hmac::HMAC_SHA512,
                    TokenAlgorithm::Hs384 => hmac::HMAC_SHA384,
                    _ => hmac::HMAC_SHA256,
                };
                hmac::sign(&hmac::Key::new(digest, secret), message).as_ref().to_vec()
            }
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Self::Ec(key) => key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
        }
    }

    /// A token with this header, whatever the key is for.
    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(format!("{header}.{claims}").as_bytes()));
        format!("{header}.{claims}.{signature}")
    }

    /// A token as a provider makes it, whose key is called `a`.
    fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm().name(), "typ": "JWT", "kid": "a"}), claims)
    }

    /// The public key, as a provider publishes it.
    fn public_key(&self, id: &str) -> Value {
        match self {
            Self::Hmac(..) => panic!("a secret is not public"),
            Self::Rsa(key) => {
                let RsaPublicKeyComponents { n, e }: RsaPublicKeyComponents<Vec<u8>> = key.public().into();
                let [n, e] = [n, e].map(|number| URL_SAFE_NO_PAD.encode(number));
                json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": id, "n": n, "e": e})
            }
            Self::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
                json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": id, "x": x, "y": y})
            }
        }
    }

    /// A set of this key alone, which is called `a`.
    fn keys(&self) -> KeySet {
        match self {
            Self::Hmac(..) => KeySet::default(),
            _ => KeySet::read(key_set(&[self.public_key("a")]).as_bytes(), self.algorithm()).unwrap(),
        }
    }
}

fn key_set(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

/// The settings with these variables beside those that have to be there.
fn settings(algorithm: TokenAlgorithm, more: &[(&str, &str)]) -> Arc<AuthSettings> {
    let own = [("AUTH_ENABLED", "true"), ("AUTH_SECRET_KEY", SECRET), ("AUTH_ALGORITHM", algorithm.name())];
    let provider = [("AUTH_JWKS_URL", "https://id.example/keys"), ("AUTH_ISSUER", ISSUER), ("AUTH_AUDIENCE", "studio")];
    let provider = if algorithm.is_symmetric() { &[][..] } else { &provider[..] };
    let variables = own.iter().chain(provider).chain(more);
    load(Environment::from_pairs(variables.copied())).unwrap_or_else(|issues| panic!("{issues:?}")).settings.auth
}

fn reader(algorithm: TokenAlgorithm, more: &[(&str, &str)]) -> TokenReader {
    TokenReader::new(settings(algorithm, more))
}

/// What a provider says of Ada, with these claims beside or in the place of the usual ones.
fn ada(more: &Value) -> Value {
    let mut claims =
        json!({"iss": ISSUER, "aud": "studio", "sub": "ada", "role": "user", "iat": NOW - 10, "exp": NOW + 600});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

/// The claim that a token is refused for.
fn wrong_claim(read: Result<TokenClaims, TokenError>) -> String {
    match read {
        Err(TokenError::Claim { name, .. }) => name,
        other => panic!("{other:?}"),
    }
}
