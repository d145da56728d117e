use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Serialize;

/// A secret that tokens (JWT) are signed and verified with: HMAC, as RFC 7518 has it in section 3.2.
#[derive(Clone, Debug)]
pub struct TokenKey {
    key: hmac::Key,
    algorithm: &'static str,
}

impl TokenKey {
    /// A key for HS256.
    pub fn hs256(secret: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), algorithm: "HS256" }
    }

    /// A key for HS384.
    pub fn hs384(secret: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA384, secret), algorithm: "HS384" }
    }

    /// A key for HS512.
    pub fn hs512(secret: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA512, secret), algorithm: "HS512" }
    }

    /// A token that says this, in the compact form.
    pub fn token(&self, payload: &impl Serialize) -> String {
        let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, self.algorithm);
        let payload = serde_json::to_vec(payload).unwrap_or_default();
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Whether the signature is right, compared in constant time.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.key, message, signature).is_ok()
    }
}
