//! The statements that pass: queries, the explanation of a query's plan, and what SHOW tells of names and settings.

use sqlparser::ast::{
    DescribeAlias, Expr, Ident, ObjectName, ShowCreateObject, ShowStatementOptions, Statement, UtilityOption,
};

use super::dialect::Dialect;
use super::keywords::{has_word, is_listed};
use super::refusal::Refusal;
use super::relations;
use super::visitor::walk;

/// Options of PostgreSQL's EXPLAIN that only plan. ANALYZE, and what needs it, executes the query.
const PLANNING_OPTIONS: &str = "verbose costs settings generic_plan buffers summary memory format";

/// Settings that PostgreSQL may show: what a query's result depends on, and what the server is.
const SHOWN_SETTINGS: &str = "bytea_output client_encoding datestyle default_text_search_config extra_float_digits \
    integer_datetimes intervalstyle lc_collate lc_ctype lc_monetary lc_numeric lc_time max_identifier_length \
    search_path server_encoding server_version server_version_num standard_conforming_strings statement_timeout \
    timezone transaction_isolation transaction_read_only";

/// Refuses all statements but a query and the explanation of its plan.
pub(super) fn check(statement: &Statement, dialect: Dialect, named: &[String]) -> Result<(), Refusal> {
    let query = match statement {
        Statement::Query(query) => query,
        Statement::Explain { describe_alias: DescribeAlias::Explain, analyze, statement, options, .. } => {
            if *analyze {
                return Err(Refusal::clause("EXPLAIN ANALYZE"));
            }
            options.iter().flatten().try_for_each(check_explain_option)?;
            let Statement::Query(query) = statement.as_ref() else { return Err(Refusal::not_one_query()) };
            query
        }
        Statement::ShowVariable { variable } if dialect == Dialect::Postgres => return check_setting(variable),
        show if dialect == Dialect::MySql => return check_show(show, named),
        _ => return Err(Refusal::not_one_query()),
    };
    walk(query, dialect, named)
}

/// Refuses to show a setting of PostgreSQL that may be a secret, such as where its files are.
fn check_setting(words: &[Ident]) -> Result<(), Refusal> {
    let name = words.iter().map(|word| word.value.to_lowercase()).collect::<Vec<_>>().join(" ");
    let is_phrase = ["time zone", "transaction isolation level"].contains(&name.as_str());
    match is_phrase || has_word(SHOWN_SETTINGS, &name) {
        true => Ok(()),
        false => Err(Refusal::clause(&format!("SHOW {name}"))),
    }
}

/// Refuses what MySQL shows beyond the names and the shape of databases, tables and columns.
fn check_show(show: &Statement, named: &[String]) -> Result<(), Refusal> {
    let options = match show {
        Statement::ShowTables { show_options, .. } | Statement::ShowDatabases { show_options, .. } => {
            let place = show_options.show_in.as_ref().and_then(|place| place.parent_name.as_ref());
            place.map_or(Ok(()), check_database)?;
            show_options
        }
        Statement::ShowColumns { show_options, .. } => show_options,
        Statement::ShowCreate { obj_type: ShowCreateObject::View, obj_name } => {
            return relations::check(obj_name, Dialect::MySql);
        }
        _ => return Err(Refusal::not_one_query()),
    };
    let ShowStatementOptions { starts_with: None, limit: None, limit_from: None, .. } = options else {
        return Err(Refusal::clause("This kind of SHOW"));
    };
    walk(options, Dialect::MySql, named)
}

/// Refuses to list the tables of a database of the server's own.
fn check_database(name: &ObjectName) -> Result<(), Refusal> {
    let own = name.0.iter().filter_map(|part| part.as_ident()).any(|part| relations::is_mysql_schema(&part.value));
    if own { Err(Refusal::clause("SHOW TABLES of the server's own databases")) } else { Ok(()) }
}

/// Refuses options that make EXPLAIN execute the query.
fn check_explain_option(option: &UtilityOption) -> Result<(), Refusal> {
    let plans = is_listed(PLANNING_OPTIONS, &option.name.value);
    let plain = matches!(option.arg, None | Some(Expr::Identifier(_) | Expr::Value(_)));
    if plans && plain { Ok(()) } else { Err(Refusal::clause(&format!("EXPLAIN ({})", option.name.value))) }
}
