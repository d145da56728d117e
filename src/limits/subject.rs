use std::fmt;

use crate::kernel::{AccessRole, Identity};
use crate::settings::LimitedBy;

/// Whose use is added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LimitSubject {
    Key(String),
    User(String),
    Role(AccessRole),
}

impl LimitSubject {
    /// The one of a caller that a limit is about; none for the key of somebody who came with a token of others.
    pub(super) fn of(identity: &Identity, by: LimitedBy) -> Option<Self> {
        match by {
            LimitedBy::Key => identity.key_id.clone().map(Self::Key),
            LimitedBy::User => Some(Self::User(identity.user.to_string())),
            LimitedBy::Role(role) => (identity.role == role).then_some(Self::Role(role)),
        }
    }

    /// What kind of subject it is.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::User(_) => "user",
            Self::Role(_) => "role",
        }
    }

    /// Which one it is.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Key(name) | Self::User(name) => name,
            Self::Role(role) => role.as_str(),
        }
    }

    /// As a refusal begins.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Key(_) => "This API key".to_owned(),
            Self::User(_) => "This user".to_owned(),
            Self::Role(role) => format!("The role '{}'", role.as_str()),
        }
    }
}

impl fmt::Display for LimitSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.name())
    }
}
