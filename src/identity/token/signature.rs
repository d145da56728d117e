use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};

use crate::kernel::TokenKey;
use crate::settings::TokenAlgorithm;

/// The secret as a key for this algorithm, which is one of HMAC.
pub(super) fn secret_key(algorithm: TokenAlgorithm, secret: &[u8]) -> TokenKey {
    match algorithm {
        TokenAlgorithm::Hs512 => TokenKey::hs512(secret),
        TokenAlgorithm::Hs384 => TokenKey::hs384(secret),
        _ => TokenKey::hs256(secret),
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
