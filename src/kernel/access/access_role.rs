use super::{Grants, Permission};

/// What somebody is to the server. Each role may all that the one before it may, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessRole {
    /// Looks: at the configuration, and at how the server is.
    Viewer,
    /// Chats, and calls what is configured.
    User,
    /// Configures.
    Operator,
    /// Everything: others' conversations, keys and the audit log too.
    Admin,
}

impl AccessRole {
    /// Every role, with its name.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Viewer, "viewer"), (Self::User, "user"), (Self::Operator, "operator"), (Self::Admin, "admin")];

    /// The name in the store and on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// The role of that name; the error says what was expected.
    pub fn parse(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|(_, known)| *known == name).map(|(role, _)| *role);
        known.ok_or_else(|| "Input should be 'viewer', 'user', 'operator' or 'admin'".to_owned())
    }

    /// What the role may do, unless scopes narrow it.
    pub fn grants(self) -> Grants {
        let permissions = Permission::ALL.iter().map(|(permission, ..)| *permission);
        Grants::of(permissions.filter(|permission| self >= Self::lowest_with(*permission)))
    }

    /// The first role that has a permission.
    fn lowest_with(permission: Permission) -> Self {
        match permission {
            Permission::AgentsRead
            | Permission::DataSourcesRead
            | Permission::ToolsRead
            | Permission::LlmRead
            | Permission::MemoryOwn
            | Permission::ExecutionsOwn => Self::Viewer,
            Permission::Chat
            | Permission::AgentsUse
            | Permission::DataSourcesUse
            | Permission::ToolsUse
            | Permission::LlmUse => Self::User,
            Permission::AgentsWrite
            | Permission::DataSourcesWrite
            | Permission::ToolsWrite
            | Permission::LlmWrite
            | Permission::Monitoring => Self::Operator,
            Permission::MemoryAll | Permission::ExecutionsAll | Permission::Audit | Permission::Keys => Self::Admin,
        }
    }
}
