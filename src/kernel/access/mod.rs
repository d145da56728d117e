//! Who calls, and what they may do: roles, permissions, and the caller of a request.

mod access_role;
mod caller;
mod grants;
mod permission;

pub use access_role::AccessRole;
pub use caller::{Caller, Identity, NobodysThings};
pub use grants::Grants;
pub use permission::Permission;
