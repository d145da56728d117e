/// Why a token is refused: each text completes a sentence that begins with the token, and is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its form is not that of a signed JWT.
    #[error("is malformed: {0}")]
    Malformed(&'static str),
    /// It is signed in another way than the settings say, or not at all.
    #[error("has another algorithm than the one that is accepted")]
    Algorithm,
    /// It names none of several keys.
    #[error("does not say which of the identity provider's keys it is signed with")]
    NoKeyId,
    /// It names a key that is not there.
    #[error("is signed with a key that the identity provider does not have")]
    UnknownKey,
    /// There are no keys to verify it with.
    #[error("can't be verified: the identity provider's keys are not known")]
    NoKeys,
    /// Its signature is not that of the key.
    #[error("has a wrong signature")]
    Signature,
    /// Its time is over.
    #[error("has expired")]
    Expired,
    /// A claim is missing or wrong.
    #[error("has a wrong claim '{name}': {expected}")]
    Claim {
        /// Which one.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl TokenError {
    /// What the caller is told: nothing that would help to make a better forgery.
    pub fn client_text(&self) -> &'static str {
        match self {
            Self::Expired => "The token has expired",
            _ => "The token is not valid",
        }
    }

    pub(super) fn claim(name: &str, expected: &'static str) -> Self {
        Self::Claim { name: name.to_owned(), expected }
    }
}
