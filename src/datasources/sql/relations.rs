//! Relations that a read-only query may read of those that belong to the engine. PostgreSQL's catalog and the
//! `information_schema`s are there for questions about tables, columns and keys: what is not known to answer one is
//! refused, for passwords, other people's queries and the server's settings are kept there too.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;

use super::dialect::Dialect;
use super::keywords::{is_listed, names_no_relation};
use super::refusal::Refusal;
use super::tokens::{is_unquoted, name};

/// Relations of PostgreSQL's own, all of whose names begin with `pg_`.
const POSTGRES_CATALOG: &str = "pg_am pg_attrdef pg_attribute pg_available_extensions pg_class pg_collation \
    pg_constraint pg_database pg_description pg_enum pg_extension pg_index pg_indexes pg_inherits pg_matviews \
    pg_namespace pg_partitioned_table pg_range pg_sequence pg_sequences pg_shdescription pg_stat_all_indexes \
    pg_stat_all_tables pg_stat_user_indexes pg_stat_user_tables pg_statio_all_tables pg_statio_user_tables \
    pg_tables pg_timezone_abbrevs pg_timezone_names pg_type pg_views";

/// Views of PostgreSQL's `information_schema`.
const POSTGRES_INFORMATION: &str = "attributes character_sets check_constraints collations column_column_usage \
    column_domain_usage column_udt_usage columns constraint_column_usage constraint_table_usage domain_constraints \
    domain_udt_usage domains element_types information_schema_catalog_name key_column_usage referential_constraints \
    schemata sequences sql_features sql_implementation_info sql_sizing table_constraints tables user_defined_types \
    view_column_usage view_table_usage views";

/// Views of it that are refused without their schema too, in case it is on the search path.
const POSTGRES_OPTIONS: &str = "foreign_data_wrapper_options foreign_server_options foreign_table_options \
    user_mapping_options user_mappings";

/// Schemas of PostgreSQL extensions that act on the world outside or keep secrets.
pub(super) const POSTGRES_SCHEMAS: &str = "cron net aws_s3 aws_lambda pgagent pgsodium vault";

/// MySQL schemas that hold accounts and what others do.
const MYSQL_SCHEMAS: &str = "mysql performance_schema sys ndbinfo";

/// Whether a database of this name is one of the server's own.
pub(super) fn is_mysql_schema(name: &str) -> bool {
    is_listed(MYSQL_SCHEMAS, name) || is_information_schema(name)
}

/// What `information_schema` may be asked for in MySQL: the shape of the data.
const MYSQL_INFORMATION: &str = "tables columns schemata views statistics key_column_usage table_constraints \
    partitions referential_constraints check_constraints character_sets collations engines keywords \
    collation_character_set_applicability column_statistics";

/// SQLite tables that are made up by the engine. They can be called too.
const SQLITE_TABLES: &str = "dbstat fsdir zipfile bytecode tables_used";

/// SQLite tables of the engine's own, whose names begin with `sqlite_`, that may be read; functions do too.
const SQLITE_CATALOG: &str = "sqlite_master sqlite_schema sqlite_temp_master sqlite_temp_schema sqlite_sequence \
    sqlite_stat1 sqlite_version sqlite_source_id";

/// SQLite pragmas that may be read as tables; all others are refused.
const SQLITE_PRAGMAS: &str = "pragma_table_info pragma_table_xinfo pragma_foreign_key_list pragma_index_list \
    pragma_index_info";

/// Refuses a relation of the engine's own wherever its name stands among the tokens, whatever the parser takes it for.
pub(super) fn check_words(tokens: &[&Token], dialect: Dialect) -> Result<(), Refusal> {
    let word_at = |at: Option<usize>| at.and_then(|at| tokens.get(at)).and_then(|token| name(token));
    for (at, token) in tokens.iter().enumerate() {
        let Some(word) = name(token).filter(|_| !matches!(token, Token::SingleQuotedString(_))) else { continue };
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).copied();
        let after = tokens.get(at + 1).copied();
        let schema = word_at(at.checked_sub(2)).filter(|_| before == Some(&Token::Period));
        let below = word_at(Some(at + 2)).filter(|_| after == Some(&Token::Period));
        let suspicious = match dialect {
            Dialect::Postgres if is_information_schema(word) => {
                below.is_some_and(|below| !is_listed(POSTGRES_INFORMATION, below))
            }
            Dialect::Postgres => {
                // After a dot stands a column, unless the catalog is named before it; after AS an alias.
                let is_column = before == Some(&Token::Period) && !schema.is_some_and(is_postgres_catalog);
                let is_alias = before.is_some_and(|token| is_unquoted(token, "as"));
                let is_call = after == Some(&Token::LParen);
                !(is_column || is_alias || is_call) && is_refused_postgres(word)
            }
            Dialect::MySql => below.is_some_and(|below| is_refused_mysql(word, below)),
            Dialect::Sqlite => before != Some(&Token::Period) && is_refused_sqlite(word),
        };
        if suspicious {
            return Err(Refusal::relation(word));
        }
    }
    Ok(())
}

/// Whether PostgreSQL keeps names like this one to itself, and it is none of those that may be read.
fn is_refused_postgres(name: &str) -> bool {
    let folded = name.to_lowercase();
    let reserved = folded.starts_with("pg_") || folded.starts_with("_pg_");
    reserved && !is_postgres_catalog(&folded) && !is_listed(POSTGRES_CATALOG, &folded)
}

/// Whether this is the schema of PostgreSQL's own.
fn is_postgres_catalog(name: &str) -> bool {
    is_listed("pg_catalog", name)
}

/// Whether MySQL keeps what may not be read under this name of that schema.
fn is_refused_mysql(schema: &str, table: &str) -> bool {
    is_listed(MYSQL_SCHEMAS, schema) || (is_information_schema(schema) && !is_listed(MYSQL_INFORMATION, table))
}

/// Whether this SQLite table shows more than data.
pub(super) fn is_refused_sqlite(name: &str) -> bool {
    let folded = name.to_lowercase();
    let unknown = |prefix: &str, known: &str| folded.starts_with(prefix) && !is_listed(known, &folded);
    is_listed(SQLITE_TABLES, &folded) || unknown("pragma_", SQLITE_PRAGMAS) || unknown("sqlite_", SQLITE_CATALOG)
}

/// Refuses reading this relation.
pub(super) fn check(relation: &ObjectName, dialect: Dialect) -> Result<(), Refusal> {
    let parts: Option<Vec<&Ident>> = relation.0.iter().map(|part| part.as_ident()).collect();
    check_parts(&parts.ok_or_else(|| Refusal::relation(&relation.to_string()))?, dialect)
}

/// Refuses reading the relation of this name, given as schema and name or name alone.
pub(super) fn check_parts(parts: &[&Ident], dialect: Dialect) -> Result<(), Refusal> {
    let Some((table, schemas)) = parts.split_last() else { return Ok(()) };
    let keyword = |part: &&&Ident| part.quote_style.is_none() && names_no_relation(&part.value);
    if let Some(word) = parts.iter().find(keyword).filter(|_| dialect == Dialect::Postgres) {
        return Err(Refusal::new(format!("{word} is no name of a relation unless it is quoted.")));
    }
    let mut schemas = schemas.iter().map(|schema| schema.value.as_str());
    let table = table.value.as_str();
    let is_refused = match dialect {
        Dialect::Postgres => {
            is_refused_postgres(table)
                || is_listed(POSTGRES_OPTIONS, table)
                || schemas.any(|schema| is_refused_schema(schema, table))
        }
        Dialect::MySql => schemas.any(|schema| is_refused_mysql(schema, table)),
        Dialect::Sqlite => is_refused_sqlite(table),
    };
    if is_refused {
        let name: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        return Err(Refusal::relation(&name.join(".")));
    }
    Ok(())
}

/// Whether this relation of a PostgreSQL schema may not be read.
fn is_refused_schema(schema: &str, table: &str) -> bool {
    match schema {
        schema if is_postgres_catalog(schema) => !is_listed(POSTGRES_CATALOG, table),
        schema if is_information_schema(schema) => !is_listed(POSTGRES_INFORMATION, table),
        schema => is_refused_postgres(schema) || is_listed(POSTGRES_SCHEMAS, schema),
    }
}

/// Whether this is the standard's schema of schemas.
fn is_information_schema(name: &str) -> bool {
    is_listed("information_schema", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two words that run into one where a line is broken would both be let through.
    #[test]
    fn no_word_of_a_list_is_lost() {
        let lists = [POSTGRES_OPTIONS, POSTGRES_SCHEMAS, MYSQL_SCHEMAS, SQLITE_TABLES];
        assert_eq!(lists.map(|list| list.split(' ').count()), [5, 7, 4, 5]);
    }
}
