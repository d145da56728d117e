//! Who calls, and what they may do: roles, permissions, and the caller of a request.

mod access_role;
mod caller;
mod caller_fact;
mod grants;
mod permission;

pub use access_role::AccessRole;
pub use caller::{Caller, Identity, NobodysThings};
pub use caller_fact::CallerFact;
pub use grants::Grants;
pub use permission::Permission;
