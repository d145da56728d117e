use super::Caller;

/// What a data source may be told of whoever asks, so that it can decide on rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerFact {
    /// Whom it acts for.
    User,
    /// The organisation that it belongs to.
    Tenant,
    /// What it is to the server.
    Role,
}

impl CallerFact {
    /// The fact of that name; the error says what was expected.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        match name {
            "user" => Ok(Self::User),
            "tenant" => Ok(Self::Tenant),
            "role" => Ok(Self::Role),
            _ => Err("Input should be 'user', 'tenant' or 'role'"),
        }
    }

    /// The fact about this caller; empty if there is none, as for whoever is not known and for the server itself.
    pub fn of(self, caller: &Caller) -> &str {
        let fact = caller.identity().and_then(|identity| match self {
            Self::User => Some(identity.user.as_str()),
            Self::Tenant => identity.tenant.as_deref(),
            Self::Role => Some(identity.role.as_str()),
        });
        fact.unwrap_or_default()
    }
}
