use std::sync::Arc;

use super::Permission;

/// A set of permissions; those to use resources may be for some of them only, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    /// One bit per permission.
    set: u32,
    named: Arc<[(String, u32)]>,
}

fn bit(permission: Permission) -> u32 {
    1 << permission as u32
}

impl Grants {
    /// These permissions, and what comes along with them.
    pub fn of(permissions: impl IntoIterator<Item = Permission>) -> Self {
        let all = permissions.into_iter().flat_map(|permission| [Some(permission), permission.implied()]);
        Self { set: all.flatten().map(bit).fold(0, |set, bit| set | bit), named: Arc::default() }
    }

    /// The permissions that scopes name. The error is what is wrong with one of them.
    pub fn parse<S: AsRef<str>>(scopes: &[S]) -> Result<Self, String> {
        let (mut permissions, mut named) = (Vec::new(), Vec::new());
        for scope in scopes.iter().map(AsRef::as_ref) {
            if let Some(permission) = Permission::parse(scope) {
                permissions.push(permission);
                continue;
            }
            let (prefix, name) = scope.split_once(':').unwrap_or_default();
            match Permission::of_named_use(prefix).filter(|_| !name.is_empty()) {
                Some(permission) => named.push((name.to_owned(), bit(permission))),
                None => return Err(unknown(scope)),
            }
        }
        Ok(Self { named: named.into(), ..Self::of(permissions) })
    }

    /// Those that are in both.
    pub fn within(&self, other: &Self) -> Self {
        let named = self.named.iter().filter(|(name, bit)| other.set & bit != 0 || other.has_named(*bit, name));
        let others = other.named.iter().filter(|(_, bit)| self.set & bit != 0);
        Self { set: self.set & other.set, named: named.chain(others).cloned().collect() }
    }

    /// Whether this permission is among them, for all that it is about.
    pub fn contains(&self, permission: Permission) -> bool {
        self.set & bit(permission) != 0
    }

    /// Whether the resource of that name may be used; `permission` is that to use resources of its sort.
    pub fn allows_use(&self, permission: Permission, name: &str) -> bool {
        self.contains(permission) || self.has_named(bit(permission), name)
    }

    /// Whether some resource may be used by its name.
    pub fn has_any_use(&self, permission: Permission) -> bool {
        self.contains(permission) || self.named.iter().any(|(_, known)| *known == bit(permission))
    }

    fn has_named(&self, bit: u32, name: &str) -> bool {
        self.named.iter().any(|(known, of)| *of == bit && known == name)
    }

    /// As scopes are written.
    pub fn scopes(&self) -> Vec<String> {
        let whole = Permission::ALL.iter().filter(|(permission, ..)| self.contains(*permission));
        let whole = whole.map(|(_, name, _)| (*name).to_owned());
        let named = self.named.iter().filter_map(|(name, of)| {
            let (_, scope, _) = Permission::ALL.iter().find(|(permission, ..)| bit(*permission) == *of)?;
            Some(format!("{}:{name}", scope.replace(':', ".")))
        });
        whole.chain(named).collect()
    }
}

fn unknown(scope: &str) -> String {
    let known: Vec<_> = Permission::ALL.iter().map(|(_, name, _)| *name).collect();
    let named = "agents.use:NAME, datasources.use:NAME or tools.use:NAME";
    format!("'{scope}' should be one of {}, {named}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::AccessRole;
    use super::*;

    #[test]
    fn scopes_narrow_what_a_role_may_and_never_widen_it() {
        let user = AccessRole::User.grants();
        let asked = Grants::parse(&["chat", "tools.use:weather", "tools:write", "memory:all"]).unwrap();
        let has = user.within(&asked);
        assert_eq!(has.scopes(), ["chat", "memory:own", "tools:read", "tools.use:weather"]);
        assert!(has.allows_use(Permission::ToolsUse, "weather") && !has.allows_use(Permission::ToolsUse, "shell"));
        assert!(!has.allows_use(Permission::AgentsUse, "weather"), "the name is that of a tool");
        assert!(has.has_any_use(Permission::ToolsUse) && !has.has_any_use(Permission::AgentsUse));
        assert_eq!(asked.within(&user), has, "whichever comes first");
        let viewer = AccessRole::Viewer.grants().within(&asked);
        assert!(!viewer.allows_use(Permission::ToolsUse, "weather"), "a viewer uses nothing");
    }

    #[test]
    fn each_role_may_what_the_one_before_it_may_and_admins_everything() {
        let grants = AccessRole::ALL.map(|(role, _)| role.grants());
        for pair in grants.windows(2) {
            assert_eq!(pair[0].within(&pair[1]), pair[0]);
            assert!(pair[0].scopes().len() < pair[1].scopes().len());
        }
        assert_eq!(grants[3].scopes().len(), Permission::ALL.len());
        assert!(!grants[2].contains(Permission::Keys) && !grants[2].contains(Permission::MemoryAll));
    }

    #[test]
    fn what_is_written_is_read_again_and_what_is_unknown_is_told() {
        for (role, _) in AccessRole::ALL {
            assert_eq!(Grants::parse(&role.grants().scopes()).unwrap(), role.grants());
        }
        let named = Grants::parse(&["datasources.use:crm:eu"]).unwrap();
        assert!(named.allows_use(Permission::DataSourcesUse, "crm:eu"));
        assert_eq!(named.scopes(), ["datasources.use:crm:eu"]);
        for wrong in ["", "tool:use", "tools.use", "tools.use:", "llm.use:x", "Chat", "*"] {
            assert!(Grants::parse(&[wrong]).unwrap_err().starts_with(&format!("'{wrong}' should be one of chat,")));
        }
    }
}
