use serde::Deserialize;
use serde_json::Value;

use crate::kernel::{Lenient, LenientResult, read_word};

/// How tokens are signed (RFC 7518, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl Lenient for TokenAlgorithm {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(value.as_str(), "Input should be 'HS256', 'HS384', 'HS512', 'RS256' or 'ES256'")
    }
}

impl TokenAlgorithm {
    /// The name that tokens and keys give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    /// Whether tokens are verified with the secret that they were signed with.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }

    /// That of the server's own tokens, beside others' of this one: what verifies tokens of others must not sign any.
    pub fn of_own_tokens(self) -> Self {
        if self.is_symmetric() { self } else { Self::Hs256 }
    }

    /// Bytes that a secret needs at least: as many as the digest has.
    pub(super) fn min_secret_bytes(self) -> usize {
        match self.of_own_tokens() {
            Self::Hs512 => 64,
            Self::Hs384 => 48,
            _ => 32,
        }
    }
}
