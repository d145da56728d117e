use ring::hmac;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};

use crate::settings::TokenAlgorithm;

/// The secret that tokens are signed and verified with.
#[derive(Clone, Debug)]
pub(super) struct SecretKey(hmac::Key);

impl SecretKey {
    /// The key for this algorithm, which is one of HMAC.
    pub(super) fn new(algorithm: TokenAlgorithm, secret: &[u8]) -> Self {
        let digest = match algorithm {
            TokenAlgorithm::Hs512 => hmac::HMAC_SHA512,
            TokenAlgorithm::Hs384 => hmac::HMAC_SHA384,
            _ => hmac::HMAC_SHA256,
        };
        Self(hmac::Key::new(digest, secret))
    }

    pub(super) fn sign(&self, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.0, message)
    }

    /// Whether the signature is right, compared in constant time.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, message, signature).is_ok()
    }
}

/// A key of the identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProviderKey {
    /// For RS256: modulus and exponent, without zeros before them.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// For ES256: the point, uncompressed.
    P256(Vec<u8>),
}

impl ProviderKey {
    /// Whether the signature is right. It is not if the key is none: a modulus of less than 2048 bits, an exponent of 1, a point that
    /// is not on the curve.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}
