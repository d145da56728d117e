//! Who asks, as variables of a transaction: what policies on rows read with `current_setting`.

use super::postgres_literal::text_literal;
use crate::datasources::DataError;
use crate::datasources::identifier::quoted;
use crate::datasources::source::{Source, source_failed};
use crate::kernel::Caller;
use crate::settings::{Protocol, SessionVariable};

/// Statements that set the variables of the source's `config.session` for this caller. All of them are set, to nothing where nothing is
/// known: what the account or the database has as their default must not stand in for somebody.
pub(super) fn statements(source: &Source, caller: &Caller) -> Result<String, DataError> {
    let variables = source.effective.session();
    if variables.iter().any(|variable| variable.fact.of(caller).contains('\0')) {
        return Err(source_failed(source, "can't be told who asks: no text of PostgreSQL has the character U+0000"));
    }
    Ok(variables.iter().map(|variable| statement(variable, caller)).collect())
}

fn statement(variable: &SessionVariable, caller: &Caller) -> String {
    let name: Vec<_> = variable.name.split('.').map(|part| quoted(Protocol::Postgres, part)).collect();
    format!("SET LOCAL {} = {}; ", name.join("."), text_literal(variable.fact.of(caller)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{AccessRole, CallerFact, Identity, UserId};

    #[test]
    fn whatever_somebody_is_called_is_a_text_and_nothing_else() {
        let caller = |tenant: Option<&str>| {
            let (role, tenant) = (AccessRole::User, tenant.map(str::to_owned));
            let user = UserId::parse(r"o'neill\'; RESET ALL; --").unwrap();
            Caller::known(Identity { user, role, grants: role.grants(), key_id: None, by_key: false, tenant })
        };
        let set = |fact, caller: &Caller| statement(&SessionVariable { name: "app.x".to_owned(), fact }, caller);
        let known = caller(Some("acme"));
        assert_eq!(set(CallerFact::User, &known), r#"SET LOCAL "app"."x" = E'o''neill\\''; RESET ALL; --'; "#);
        assert_eq!(set(CallerFact::Tenant, &known), r#"SET LOCAL "app"."x" = E'acme'; "#);
        assert_eq!(set(CallerFact::Role, &known), r#"SET LOCAL "app"."x" = E'user'; "#);
        assert_eq!(set(CallerFact::Tenant, &caller(None)), r#"SET LOCAL "app"."x" = E''; "#);
        assert_eq!(set(CallerFact::User, &Caller::unrestricted()), r#"SET LOCAL "app"."x" = E''; "#);
    }
}
