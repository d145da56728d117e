use std::error::Error as StdError;

use super::guard::AddressDenied;
use crate::kernel::SecretUrl;

/// Why a call got no usable reply. Each text completes a sentence that begins with the target's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing listens there.
    #[error("refused the connection")]
    Refused,
    /// The host could not be found or reached; holds the cause.
    #[error("could not be reached: {0}")]
    Unreachable(String),
    /// The deadline passed.
    #[error("did not answer in time")]
    Timeout,
    /// The connection broke before the reply was complete; holds the cause.
    #[error("broke off its reply: {0}")]
    Interrupted(String),
    /// The reply is larger than the limit, in bytes.
    #[error("sent a reply of more than {0} bytes")]
    TooLarge(usize),
    /// The JSON in the reply has more values than the limit.
    #[error("sent JSON of more than {0} values (MAX_REPLY_VALUES)")]
    TooManyValues(usize),
    /// The call can't be made as configured; holds the reason.
    #[error("can't be called: {0}")]
    Invalid(String),
    /// The address guard refuses it; holds the reason.
    #[error("must not be called: {0}")]
    Denied(String),
}

impl From<AddressDenied> for CallError {
    fn from(denied: AddressDenied) -> Self {
        Self::Denied(denied.to_string())
    }
}

impl CallError {
    /// Whether it speaks of an upstream that is down, rather than of one call.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable(_) | Self::Timeout | Self::Interrupted(_))
    }

    pub(super) fn from_reqwest(error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::Invalid("its URL is not valid".to_owned());
        }
        if error.is_timeout() && !error.is_connect() {
            return Self::Timeout;
        }
        let cause = root_cause(error);
        if let Some(denied) = cause.downcast_ref::<AddressDenied>() {
            return denied.clone().into();
        }
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if io == Some(std::io::ErrorKind::ConnectionRefused) {
            return Self::Refused;
        }
        if error.is_timeout() {
            return Self::Unreachable("no connection within 5 seconds".to_owned());
        }
        if error.is_connect() {
            return Self::Unreachable(cause.to_string());
        }
        Self::Interrupted(cause.to_string())
    }
}

/// The innermost cause; the outer ones repeat the URL, credentials included.
fn root_cause(error: &reqwest::Error) -> &(dyn StdError + 'static) {
    let outermost: &(dyn StdError + 'static) = error;
    std::iter::successors(Some(outermost), |&error| error.source()).last().unwrap_or(outermost)
}

/// A URL fit for a message: without credentials, query and fragment.
pub fn display_url(url: &str) -> String {
    let location = SecretUrl::new(url).location();
    location.map_or_else(|| "(not a URL)".to_owned(), |url| url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_credentials_and_no_query() {
        assert_eq!(display_url("http://user:pw@host:1/a?key=canary#x"), "http://host:1/a");
        assert_eq!(display_url("canary"), "(not a URL)");
    }
}
