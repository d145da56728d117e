use std::sync::Arc;

use super::{AccessRole, Grants, Permission};
use crate::kernel::{Error, ErrorKind, RequestTrail, UserId};

/// Somebody whom the server has recognised.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Whom it acts for: whose conversations and executions are its own.
    pub user: UserId,
    /// What it is to the server.
    pub role: AccessRole,
    /// What it may do.
    pub grants: Grants,
    /// The key that it came with, or that its token was made from.
    pub key_id: Option<String>,
    /// Whether it came with that key itself.
    pub by_key: bool,
    /// The organisation that it belongs to, if one is known.
    pub tenant: Option<String>,
}

/// A list would have only what is not there for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NobodysThings;

/// Who makes a request. Without authentication that is anybody, who may do everything. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller(Option<Arc<Identity>>);

impl Caller {
    /// Whoever calls a server without authentication, and the server itself.
    pub fn unrestricted() -> Self {
        Self(None)
    }

    /// Somebody who was recognised.
    pub fn known(identity: Identity) -> Self {
        Self(Some(Arc::new(identity)))
    }

    /// Who it is; `None` without authentication.
    pub fn identity(&self) -> Option<&Identity> {
        self.0.as_deref()
    }

    /// Whom it acts for unless it says otherwise; `None` without authentication.
    pub fn user(&self) -> Option<&UserId> {
        self.0.as_ref().map(|identity| &identity.user)
    }

    /// Whether it may do this.
    pub fn may(&self, permission: Permission) -> bool {
        self.0.as_ref().is_none_or(|identity| identity.grants.contains(permission))
    }

    /// Whether it may use the resource of that name; `permission` is that to use resources of its sort.
    pub fn may_use(&self, permission: Permission, name: &str) -> bool {
        self.0.as_ref().is_none_or(|identity| identity.grants.allows_use(permission, name))
    }

    /// Whether it may use some resource of that sort.
    pub fn may_use_any(&self, permission: Permission) -> bool {
        self.0.as_ref().is_none_or(|identity| identity.grants.has_any_use(permission))
    }

    /// Whether what belongs to `owner` is there for it; `all` is the permission to see everybody's.
    pub fn sees(&self, owner: &str, all: Permission) -> bool {
        self.may(all) || self.user().is_some_and(|user| user.as_str() == owner)
    }

    /// What tells apart callers who may see different things; `None` without authentication.
    pub fn view(&self) -> Option<(&str, Option<&str>, Vec<String>)> {
        let identity = self.identity()?;
        Some((identity.user.as_str(), identity.tenant.as_deref(), identity.grants.scopes()))
    }

    /// As [`Caller::sees`], where `target` is asked for by name: that it is not there for the caller is noted.
    pub fn reaches(&self, owner: &str, all: Permission, target: impl FnOnce() -> String) -> bool {
        let sees = self.sees(owner, all);
        if !sees {
            RequestTrail::note_denied(target);
        }
        sees
    }

    /// Whose things a list for it has that is to have those of `asked`, or everybody's: `Err` for nobody's.
    pub fn listed_owner(&self, asked: Option<String>, all: Permission) -> Result<Option<String>, NobodysThings> {
        match (self.user().filter(|_| !self.may(all)), asked) {
            (None, asked) => Ok(asked),
            (Some(own), Some(asked)) if asked != own.as_str() => Err(NobodysThings),
            (Some(own), _) => Ok(Some(own.to_string())),
        }
    }

    /// Whom a request acts for that names `asked`, or nobody: itself, unless it may speak for everybody.
    pub fn acting_for(&self, asked: Option<UserId>) -> Result<Option<UserId>, Error> {
        let Some(own) = self.user() else { return Ok(asked) };
        match asked {
            None => Ok(Some(own.clone())),
            Some(user) if self.sees(user.as_str(), Permission::MemoryAll) => Ok(Some(user)),
            Some(_) => {
                let text =
                    format!("user_id: Input should be '{own}' or left out; another one needs the scope memory:all");
                Err(Error::new(ErrorKind::Forbidden, text))
            }
        }
    }
}
