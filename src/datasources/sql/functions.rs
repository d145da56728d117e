//! Functions that a read-only query must not call: they write, wait, read files, reach other hosts, run SQL given as
//! text, or show other people's secrets and queries. Lists can't be complete, since extensions add functions: where
//! there is a catalog, it is asked about each name that may be a call (`postgres_functions`, `mysql_functions`).

use indexmap::IndexSet;
use sqlparser::tokenizer::Token;

use super::dialect::Dialect;
use super::keywords::{is_listed, is_reserved};
use super::refusal::Refusal;
use super::relations::{POSTGRES_SCHEMAS, is_refused_sqlite};
use super::tokens::{is_unquoted, name};

/// PostgreSQL functions with the `pg_` prefix that only describe; all others with it are refused.
const POSTGRES_DESCRIBING: &str = "pg_client_encoding pg_collation_for pg_column_compression pg_column_size \
    pg_database_size pg_encoding_to_char pg_get_constraintdef pg_get_expr pg_get_indexdef pg_get_keywords \
    pg_get_partkeydef pg_get_serial_sequence pg_get_userbyid pg_get_viewdef pg_indexes_size pg_input_is_valid \
    pg_is_in_recovery pg_partition_ancestors pg_partition_root pg_partition_tree pg_postmaster_start_time \
    pg_relation_size pg_size_bytes pg_size_pretty pg_table_is_visible pg_table_size pg_tablespace_size \
    pg_total_relation_size pg_type_is_visible pg_typeof";

/// PostgreSQL functions by the start of their names.
const POSTGRES_PREFIXES: &str = "pg_ dblink txid_ postgres_fdw_ file_fdw_ inet_server_ inet_client_ crosstab \
    query_to_xml table_to_xml cursor_to_xml schema_to_xml database_to_xml binary_upgrade_ autoprewarm_ heap_force_ \
    brin_summarize_ dbms_ utl_ run_command_on_ query_export_to_s3 table_import_from_s3 get_raw_page plperl_ \
    plpython";

/// PostgreSQL functions by name. Large object functions are named in full: `lo_` also begins common column names.
const POSTGRES_NAMES: &str = "set_config setseed current_setting nextval setval currval lastval ts_stat ts_rewrite \
    connectby xpath_table loread lowrite lo_close lo_creat lo_create lo_export lo_from_bytea lo_get lo_import \
    lo_lseek lo_lseek64 lo_manage lo_open lo_put lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink \
    brin_desummarize_range gin_clean_pending_list http http_get http_post http_put http_patch http_delete http_head \
    http_set_curlopt http_reset_curlopt http_header add_job alter_job delete_job run_job";

/// MySQL and MariaDB functions by name.
const MYSQL_NAMES: &str = "load_file sleep benchmark get_lock release_lock release_all_locks is_free_lock \
    is_used_lock master_pos_wait source_pos_wait master_gtid_wait wait_for_executed_gtid_set \
    wait_until_sql_thread_after_gtids sys_exec sys_eval sys_get sys_set last_insert_id nextval setval lastval \
    extractvalue updatexml name_const asynchronous_connection_failover_add_source \
    asynchronous_connection_failover_delete_source group_replication_set_as_primary \
    group_replication_switch_to_single_primary_mode group_replication_switch_to_multi_primary_mode \
    group_replication_set_write_concurrency group_replication_set_communication_protocol keyring_key_fetch \
    keyring_key_generate keyring_key_remove keyring_key_store service_get_read_locks service_get_write_locks \
    service_release_locks spider_direct_sql spider_bg_direct_sql spider_copy_tables spider_flush_table_mon_cache";

/// MySQL functions by the start of their names.
const MYSQL_PREFIXES: &str = "lib_mysqludf version_tokens_ audit_log_";

/// SQLite functions by name.
const SQLITE_NAMES: &str = "load_extension readfile writefile edit fts3_tokenizer randomblob zeroblob eval lsmode";

/// Refuses calls of refused functions by tokens, a name and an opening bracket, so that no clause of the parser's is missed.
pub(super) fn check_calls(tokens: &[&Token], dialect: Dialect, named: &[String]) -> Result<(), Refusal> {
    for (at, pair) in tokens.windows(2).enumerate() {
        let [token, Token::LParen] = pair else { continue };
        let Some(function) = name(token) else { continue };
        let schema = schema_at(tokens, at).filter(|_| dialect == Dialect::Postgres);
        check_function(function, schema, dialect, named)?;
        if dialect == Dialect::Postgres && is_unquoted(token, "treat") {
            // TREAT (x AS f) calls f.
            return Err(Refusal::clause("TREAT"));
        }
    }
    Ok(())
}

/// The name before the dot that stands before this token.
fn schema_at<'tokens>(tokens: &[&'tokens Token], at: usize) -> Option<&'tokens str> {
    match tokens.get(at.checked_sub(2)?..at)? {
        [schema, Token::Period] => name(schema),
        _ => None,
    }
}

/// Whether a configuration names this function: as `name`, `schema.name` or all of `schema.*`.
pub(super) fn is_named(named: &[String], schema: Option<&str>, function: &str) -> bool {
    named.iter().any(|entry| match entry.split_once('.') {
        Some((within, "*")) => schema == Some(within),
        Some((within, name)) => name == function && schema.is_none_or(|schema| schema == within),
        None => entry == function,
    })
}

/// Something that a database may take for a call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PossibleCall {
    /// The schema that is named with it.
    pub(super) schema: Option<String>,
    /// Its name as the catalog would have it.
    pub(super) name: String,
    /// Whether brackets follow. `x.name` calls the function too where x has no such column.
    pub(super) has_brackets: bool,
}

/// All that a database may take for a call, so that its catalog can be asked about it; nothing for SQLite, which has none.
pub(super) fn calls(tokens: &[&Token], dialect: Dialect) -> Vec<PossibleCall> {
    let mut calls = IndexSet::new();
    let is_postgres = dialect == Dialect::Postgres;
    if dialect == Dialect::Sqlite {
        return Vec::new();
    }
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).copied();
        let follows_dot = before == Some(&Token::Period);
        let has_brackets = tokens.get(at + 1).copied() == Some(&Token::LParen);
        let is_keyword = is_postgres && !follows_dot && word.quote_style.is_none() && is_reserved(&word.value);
        if is_keyword || !(has_brackets || follows_dot && is_postgres) {
            continue;
        }
        let schema = at.checked_sub(2).filter(|_| follows_dot && has_brackets).and_then(|at| tokens.get(at));
        // A schema with several spellings could be any.
        let schema = schema.and_then(|schema| <[String; 1]>::try_from(spellings(schema)).ok()).map(|[schema]| schema);
        calls.extend(spellings(token).into_iter().map(|name| PossibleCall {
            schema: schema.clone(),
            name,
            has_brackets,
        }));
    }
    calls.into_iter().collect()
}

/// What this name may be in the catalog: quotes keep it as it is, else letters beyond ASCII are folded in some encodings only.
fn spellings(token: &Token) -> Vec<String> {
    match token {
        Token::Word(word) if word.quote_style.is_some() => vec![word.value.clone()],
        Token::Word(word) => {
            let mut spellings = vec![word.value.to_ascii_lowercase(), word.value.to_lowercase()];
            spellings.dedup();
            spellings
        }
        _ => Vec::new(),
    }
}

/// Refuses this function, called by whatever name, unless a configuration names it.
pub(super) fn check_function(
    name: &str,
    schema: Option<&str>,
    dialect: Dialect,
    named: &[String],
) -> Result<(), Refusal> {
    let folded = name.to_lowercase();
    let schema = schema.map(str::to_lowercase);
    let refused = match dialect {
        Dialect::Postgres => {
            let listed = is_listed(POSTGRES_NAMES, &folded) || begins(POSTGRES_PREFIXES, &folded);
            let outside = schema.as_deref().is_some_and(|schema| is_listed(POSTGRES_SCHEMAS, schema));
            let refused = outside || (listed && !is_listed(POSTGRES_DESCRIBING, &folded));
            refused && !is_named(named, schema.as_deref(), &folded)
        }
        Dialect::MySql => is_listed(MYSQL_NAMES, &folded) || begins(MYSQL_PREFIXES, &folded),
        Dialect::Sqlite => is_listed(SQLITE_NAMES, &folded) || is_refused_sqlite(&folded),
    };
    if refused { Err(Refusal::function(name)) } else { Ok(()) }
}

/// Whether this name, in lower case, begins with one of `prefixes`.
fn begins(prefixes: &str, name: &str) -> bool {
    prefixes.split_whitespace().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two words that run into one where a line is broken would both be let through.
    #[test]
    fn no_word_of_a_list_is_lost() {
        let lists = [POSTGRES_PREFIXES, POSTGRES_NAMES, MYSQL_NAMES, MYSQL_PREFIXES, SQLITE_NAMES];
        assert_eq!(lists.map(|list| list.split(' ').count()), [25, 46, 42, 3, 9]);
    }
}
