//! Tokens (JWT): the server's own, which it signs itself, and those of one identity provider, whose keys it fetches.
//!
//! A token is read in this order, and is refused at the first thing that is wrong: its form (`compact`), its algorithm and key, its
//! signature (`signature`), its claims (`rules`). Nothing that it says is used before its signature is verified, except which
//! algorithm and which key it names; and those decide nothing but whether it is refused. To accept another algorithm:
//! [`crate::settings::TokenAlgorithm`], `signature` and, if its keys are public, `key_set`.

mod claim_set;
mod compact;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod key_set;
mod own_token;
mod provider_keys;
mod reader;
mod rules;
mod signature;
mod token_claims;
mod unique_json;
mod verified_tokens;
mod verifier;

#[cfg(test)]
mod tests;

pub use error::TokenError;
pub use key_set::KeySet;
pub use reader::TokenReader;
pub use token_claims::{TokenClaims, TokenKind};
pub use verifier::TokenVerifier;
