//! Calls of functions, judged by what PostgreSQL's own catalog says of the names. The question goes with the statements
//! that begin the transaction, so that it takes no round trip of its own and always has the state of the moment.
//!
//! Operators, casts, types and views may call functions too, but only those that their makers chose, which whoever writes a
//! query can't; the read-only transaction bounds those.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::dialect::Dialect;
use super::functions::{PossibleCall, check_function, is_named};
use super::guard::CheckedQuery;
use super::keywords::has_word;
use super::postgres_literal::text_literal;
use super::refusal::Refusal;

/// Functions that PostgreSQL calls volatile only because their results differ, or because they ask for sizes.
const HARMLESS_VOLATILE: &str = "bernoulli clock_timestamp gen_random_uuid random random_normal system timeofday \
    uuidv4 uuidv7 pg_database_size pg_indexes_size pg_is_in_recovery pg_partition_ancestors pg_partition_tree \
    pg_relation_size pg_table_size pg_tablespace_size pg_total_relation_size";

/// Whose a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// PostgreSQL's own.
    Engine,
    /// An extension's.
    Extension,
    /// A user's.
    User,
}

/// What a function's maker promises of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// A function as the catalog describes it.
#[derive(Clone, Debug)]
pub(super) struct CatalogFunction {
    schema: String,
    name: String,
    owner: Owner,
    volatility: Volatility,
    /// Whether it can be called as `x.name`.
    takes_one: bool,
    /// Whether some table has a column of that name.
    is_column: bool,
}

/// The statement that asks the catalog about all that the query may call; empty if there is nothing to ask.
pub(super) fn catalog_query(query: &CheckedQuery) -> String {
    let names: Vec<String> = query.calls().iter().map(|call| text_literal(&call.name)).collect();
    if names.is_empty() {
        return String::new();
    }
    // What was there when the database was made has a number below 16384.
    format!(
        "SELECT n.nspname::text, p.proname::text,
            CASE WHEN p.oid < 16384 AND n.nspname IN ('pg_catalog', 'information_schema') THEN 'engine'
                WHEN (SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass
                    AND d.objid = p.oid AND d.deptype = 'e' LIMIT 1) IS NOT NULL THEN 'extension' ELSE 'user' END,
            p.provolatile::text, p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1,
            CASE WHEN p.oid < 16384 THEN false ELSE (SELECT a.attnum FROM pg_catalog.pg_attribute a
                WHERE a.attname = p.proname AND a.attnum > 0 AND a.attrelid >= 16384 LIMIT 1) IS NOT NULL END
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proname IN ({})",
        names.join(", ")
    )
}

/// What the catalog answered.
pub(super) fn functions(rows: &[PgRow]) -> Result<Vec<CatalogFunction>, sqlx::Error> {
    let function = |row: &PgRow| {
        let owner = match row.try_get::<&str, _>(2)? {
            "engine" => Owner::Engine,
            "extension" => Owner::Extension,
            _ => Owner::User,
        };
        let volatility = match row.try_get::<&str, _>(3)? {
            "i" => Volatility::Immutable,
            "s" => Volatility::Stable,
            _ => Volatility::Volatile,
        };
        let (schema, name) = (row.try_get(0)?, row.try_get(1)?);
        Ok(CatalogFunction { schema, name, owner, volatility, takes_one: row.try_get(4)?, is_column: row.try_get(5)? })
    };
    rows.iter().map(function).collect()
}

/// Refuses a query that may call a function which may not be called.
pub(super) fn check(query: &CheckedQuery, functions: &[CatalogFunction]) -> Result<(), Refusal> {
    let mut by_name: HashMap<&str, Vec<&CatalogFunction>> = HashMap::new();
    for function in functions {
        by_name.entry(&function.name).or_default().push(function);
    }
    query.calls().iter().try_for_each(|call| {
        let functions = by_name.get(call.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        check_call(call, functions, query.named())
    })
}

/// Refuses a call if any function that it may lead to is refused: which one it is, its arguments decide.
fn check_call(call: &PossibleCall, functions: &[&CatalogFunction], named: &[String]) -> Result<(), Refusal> {
    let meant = |function: &&&CatalogFunction| {
        call.schema.as_ref().is_none_or(|schema| *schema == function.schema)
            && (call.has_brackets || function.takes_one)
    };
    let meant: Vec<&CatalogFunction> = functions.iter().filter(meant).copied().collect();
    let has_own = meant.iter().any(|function| function.owner == Owner::Engine);
    for function in meant {
        let qualified = format!("{}.{}", function.schema, function.name);
        let harmless = has_word(HARMLESS_VOLATILE, &function.name);
        if function.owner == Owner::Engine {
            check_function(&function.name, None, Dialect::Postgres, &[])?;
            if function.volatility == Volatility::Volatile && !harmless {
                return Err(Refusal::function(&qualified));
            }
            continue;
        }
        // What an extension adds to a function of the engine's, such as max(citext), and a column that has the name of one of
        // its functions.
        let expected = if call.has_brackets { has_own } else { function.is_column };
        let pure = function.volatility == Volatility::Immutable || harmless;
        let passes = function.owner == Owner::Extension && expected && pure;
        if !passes && !is_named(named, Some(&function.schema), &function.name) {
            return Err(Refusal::new(format!(
                "The function {qualified} is not PostgreSQL's own; it may be called once config.functions of the data source \
                 names it."
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Volatility::{Immutable, Stable, Volatile};
    use super::*;

    fn function(schema: &str, name: &str, owner: Owner, volatility: Volatility) -> CatalogFunction {
        let (schema, name) = (schema.to_owned(), name.to_owned());
        CatalogFunction { schema, name, owner, volatility, takes_one: true, is_column: false }
    }

    fn verdict(sql: &str, functions: &[CatalogFunction], named: &[&str]) -> bool {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let query = super::super::guard::check(sql, Dialect::Postgres, &named).unwrap();
        check(&query, functions).is_ok()
    }

    #[test]
    fn a_function_is_judged_by_its_owner_and_volatility() {
        let own = |name, volatility| function("pg_catalog", name, Owner::Engine, volatility);
        let user = [function("public", "total", Owner::User, Immutable)];
        let added = [function("public", "similarity", Owner::Extension, Immutable)];
        let column = [CatalogFunction { is_column: true, ..function("public", "sort", Owner::Extension, Immutable) }];
        let cases: [(&str, &[CatalogFunction], &[&str], bool); 20] = [
            ("SELECT lower(a) FROM t", &[own("lower", Immutable)], &[], true),
            ("SELECT LOWER(a) FROM t", &[own("lower", Volatile)], &[], false),
            ("SELECT \"LOWER\"(a) FROM t", &[own("lower", Volatile)], &[], true),
            ("SELECT now()", &[own("now", Stable)], &[], true),
            ("SELECT random()", &[own("random", Volatile)], &[], true),
            ("SELECT set_config('a.b', 'c', true)", &[own("set_config", Volatile)], &["set_config"], false),
            ("SELECT unheard_of(a) FROM t", &[], &[], true),
            ("SELECT total(a) FROM t", &user, &[], false),
            ("SELECT t.total FROM t", &user, &[], false),
            ("SELECT (t.x).total FROM t", &user, &[], false),
            ("SELECT PUBLIC.Total(a) FROM t", &user, &[], false),
            ("SELECT total(a) FROM t", &user, &["total"], true),
            ("SELECT total(a) FROM t", &user, &["public.*"], true),
            ("SELECT total(a) FROM t", &user, &["other.total"], false),
            ("SELECT other.total(a) FROM t", &user, &[], true),
            ("SELECT similarity(a, b) FROM t", &added, &[], false),
            ("SELECT similarity(a, b) FROM t", &added, &["public.similarity"], true),
            ("SELECT t.similarity FROM t", &added, &[], false),
            ("SELECT t.sort FROM t", &column, &[], true),
            ("SELECT sort(a) FROM t", &column, &[], false),
        ];
        for (sql, functions, named, expected) in cases {
            assert_eq!(verdict(sql, functions, named), expected, "{sql}, {named:?}");
        }
    }

    #[test]
    fn what_adds_to_a_function_of_the_engine_passes_only_if_an_extension_does_it_and_it_just_computes() {
        let own = function("pg_catalog", "max", Owner::Engine, Immutable);
        for (owner, volatility, expected) in [
            (Owner::Extension, Immutable, true),
            (Owner::Extension, Stable, false),
            (Owner::Extension, Volatile, false),
            (Owner::User, Immutable, false),
        ] {
            let functions = [own.clone(), function("public", "max", owner, volatility)];
            assert_eq!(verdict("SELECT max(a) FROM t", &functions, &[]), expected, "{owner:?}, {volatility:?}");
        }
    }

    #[test]
    fn names_are_asked_for_as_text_and_nothing_else() {
        let query = super::super::guard::check("SELECT \"it's\\\"(1)", Dialect::Postgres, &[]).unwrap();
        assert!(catalog_query(&query).ends_with("IN (E'it''s\\\\')"));
    }
}
