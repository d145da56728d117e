//! Functions and relations that a read-only query must not touch: they write, wait, read files, reach other hosts, run
//! SQL given as text, or show other people's secrets and queries. Lists can't be complete, since extensions add
//! functions; a read-only session and a database user with few rights are the other lines of defence.

use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::Token;

use super::guard::{Dialect, Refusal};

/// PostgreSQL functions with the `pg_` prefix that only describe; all others with it are refused.
const POSTGRES_DESCRIBING: &[&str] = &[
    "pg_client_encoding",
    "pg_collation_for",
    "pg_column_compression",
    "pg_column_size",
    "pg_database_size",
    "pg_encoding_to_char",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_indexdef",
    "pg_get_keywords",
    "pg_get_partkeydef",
    "pg_get_serial_sequence",
    "pg_get_userbyid",
    "pg_get_viewdef",
    "pg_indexes_size",
    "pg_input_is_valid",
    "pg_is_in_recovery",
    "pg_partition_ancestors",
    "pg_partition_root",
    "pg_partition_tree",
    "pg_postmaster_start_time",
    "pg_relation_size",
    "pg_size_bytes",
    "pg_size_pretty",
    "pg_table_is_visible",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "pg_type_is_visible",
    "pg_typeof",
];

/// PostgreSQL functions by the start of their names.
const POSTGRES_PREFIXES: &[&str] = &[
    "pg_",
    "dblink",
    "txid_",
    "postgres_fdw_",
    "file_fdw_",
    "inet_server_",
    "inet_client_",
    "crosstab",
    "query_to_xml",
    "table_to_xml",
    "cursor_to_xml",
    "schema_to_xml",
    "database_to_xml",
    "binary_upgrade_",
    "brin_summarize_",
    "dbms_",
    "utl_",
    "run_command_on_",
    "query_export_to_s3",
    "table_import_from_s3",
    "get_raw_page",
    "plperl_",
    "plpython",
];

/// PostgreSQL functions by name. Large object functions are named in full: `lo_` also begins common column names.
const POSTGRES_NAMES: &[&str] = &[
    "set_config",
    "current_setting",
    "nextval",
    "setval",
    "currval",
    "lastval",
    "ts_stat",
    "ts_rewrite",
    "connectby",
    "xpath_table",
    "loread",
    "lowrite",
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_export",
    "lo_from_bytea",
    "lo_get",
    "lo_import",
    "lo_lseek",
    "lo_lseek64",
    "lo_manage",
    "lo_open",
    "lo_put",
    "lo_tell",
    "lo_tell64",
    "lo_truncate",
    "lo_truncate64",
    "lo_unlink",
    "brin_desummarize_range",
    "gin_clean_pending_list",
    "http",
    "http_get",
    "http_post",
    "http_put",
    "http_patch",
    "http_delete",
    "http_head",
    "http_set_curlopt",
    "http_reset_curlopt",
    "http_header",
    "add_job",
    "alter_job",
    "delete_job",
    "run_job",
];

/// Schemas of PostgreSQL extensions that act on the world outside.
const POSTGRES_SCHEMAS: &[&str] = &["cron", "net", "aws_s3", "aws_lambda", "pgagent", "vault"];

/// PostgreSQL relations that hold passwords, other people's queries or the server's configuration files.
const POSTGRES_RELATIONS: &[&str] = &[
    "pg_authid",
    "pg_shadow",
    "pg_user_mapping",
    "pg_user_mappings",
    "_pg_user_mappings",
    "user_mapping_options",
    "pg_largeobject",
    "pg_largeobject_metadata",
    "pg_hba_file_rules",
    "pg_settings",
    "pg_db_role_setting",
    "pg_foreign_server",
    "pg_file_settings",
    "pg_ident_file_mappings",
    "pg_stat_ssl",
    "pg_stat_gssapi",
    "pg_stat_activity",
    "pg_stat_statements",
    "pg_stat_replication",
    "pg_stat_wal_receiver",
    "pg_subscription",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_db_role_setting",
    "pg_config",
    "pg_cursors",
    "pg_prepared_statements",
    "pg_prepared_xacts",
    "pg_replication_slots",
];

/// MySQL and MariaDB functions by name.
const MYSQL_NAMES: &[&str] = &[
    "load_file",
    "sleep",
    "benchmark",
    "get_lock",
    "release_lock",
    "release_all_locks",
    "is_free_lock",
    "is_used_lock",
    "master_pos_wait",
    "source_pos_wait",
    "master_gtid_wait",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
    "sys_exec",
    "sys_eval",
    "sys_get",
    "sys_set",
    "last_insert_id",
    "nextval",
    "setval",
    "lastval",
    "extractvalue",
    "updatexml",
    "name_const",
    "asynchronous_connection_failover_add_source",
    "asynchronous_connection_failover_delete_source",
    "group_replication_set_as_primary",
    "group_replication_switch_to_single_primary_mode",
    "group_replication_switch_to_multi_primary_mode",
    "group_replication_set_write_concurrency",
    "group_replication_set_communication_protocol",
    "keyring_key_fetch",
    "keyring_key_generate",
    "keyring_key_remove",
    "keyring_key_store",
    "service_get_read_locks",
    "service_get_write_locks",
    "service_release_locks",
    "spider_direct_sql",
    "spider_bg_direct_sql",
    "spider_copy_tables",
    "spider_flush_table_mon_cache",
];

/// MySQL functions by the start of their names.
const MYSQL_PREFIXES: &[&str] = &["lib_mysqludf", "version_tokens_", "audit_log_"];

/// MySQL schemas that hold accounts and what others do.
const MYSQL_SCHEMAS: &[&str] = &["mysql", "performance_schema", "sys", "ndbinfo"];

/// Whether a database of this name is one of the server's own.
pub(super) fn is_mysql_schema(name: &str) -> bool {
    is_listed(MYSQL_SCHEMAS, name) || is_listed(&["information_schema"], name)
}

/// What `information_schema` may be asked for in MySQL: the shape of the data.
const MYSQL_DESCRIBING: &[&str] = &[
    "tables",
    "columns",
    "schemata",
    "views",
    "statistics",
    "key_column_usage",
    "table_constraints",
    "partitions",
    "referential_constraints",
    "check_constraints",
    "character_sets",
    "collations",
    "engines",
    "keywords",
    "collation_character_set_applicability",
    "column_statistics",
];

/// SQLite functions by name.
const SQLITE_NAMES: &[&str] =
    &["load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "randomblob", "zeroblob", "eval", "lsmode"];

/// SQLite tables that are made up by the engine. They can be called too.
const SQLITE_TABLES: &[&str] =
    &["sqlite_dbpage", "dbstat", "fsdir", "zipfile", "sqlite_stmt", "bytecode", "tables_used", "sqlite_memstat"];

/// SQLite pragmas that may be read as tables; all others are refused.
const SQLITE_PRAGMAS: &[&str] =
    &["pragma_table_info", "pragma_table_xinfo", "pragma_foreign_key_list", "pragma_index_list", "pragma_index_info"];

/// Refuses a call of a refused function anywhere. It goes by tokens, a name and an opening bracket, so that no clause
/// is missed that the parser keeps to itself.
pub(super) fn check_calls(tokens: &[&Token], dialect: Dialect) -> Result<(), Refusal> {
    for pair in tokens.windows(2) {
        if let [token, Token::LParen] = pair
            && let Some(name) = name(token)
        {
            check_function(name, dialect)?;
        }
    }
    if dialect != Dialect::Postgres {
        return Ok(());
    }
    for four in tokens.windows(4) {
        if let [schema, Token::Period, function, Token::LParen] = four
            && let (Some(schema), Some(function)) = (name(schema), name(function))
            && is_listed(POSTGRES_SCHEMAS, schema)
        {
            return Err(refused_function(&format!("{schema}.{function}")));
        }
    }
    Ok(())
}

/// The name this token may stand for. Settings and engines differ in which quotes make a name.
fn name(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(&word.value),
        Token::SingleQuotedString(name) | Token::DoubleQuotedString(name) => Some(name),
        _ => None,
    }
}

/// Refuses this function, called by whatever name.
pub(super) fn check_function(name: &str, dialect: Dialect) -> Result<(), Refusal> {
    let folded = name.to_lowercase();
    let refused = match dialect {
        Dialect::Postgres => {
            !is_listed(POSTGRES_DESCRIBING, &folded)
                && (is_listed(POSTGRES_NAMES, &folded) || begins(POSTGRES_PREFIXES, &folded))
        }
        Dialect::MySql => is_listed(MYSQL_NAMES, &folded) || begins(MYSQL_PREFIXES, &folded),
        Dialect::Sqlite => is_listed(SQLITE_NAMES, &folded) || is_refused_table(&folded),
    };
    if refused { Err(refused_function(name)) } else { Ok(()) }
}

/// The refusal of a function.
fn refused_function(name: &str) -> Refusal {
    Refusal::new(format!("The function {name} is not allowed in a query."))
}

/// Refuses reading this relation.
pub(super) fn check_relation(relation: &ObjectName, dialect: Dialect) -> Result<(), Refusal> {
    let mut parts = Vec::with_capacity(relation.0.len());
    for part in &relation.0 {
        let Some(part) = part.as_ident() else { return Err(refused_relation(&relation.to_string())) };
        parts.push(part.value.as_str());
    }
    check_relation_parts(&parts, dialect)
}

/// Refuses reading the relation of this name, given as schema and name or name alone.
pub(super) fn check_relation_parts(parts: &[&str], dialect: Dialect) -> Result<(), Refusal> {
    let Some((table, schemas)) = parts.split_last() else { return Ok(()) };
    let refused = match dialect {
        Dialect::Postgres => is_listed(POSTGRES_RELATIONS, table),
        Dialect::MySql => schemas.iter().any(|schema| {
            is_listed(MYSQL_SCHEMAS, schema)
                || (is_listed(&["information_schema"], schema) && !is_listed(MYSQL_DESCRIBING, table))
        }),
        Dialect::Sqlite => is_refused_table(&table.to_lowercase()),
    };
    if refused { Err(refused_relation(&parts.join("."))) } else { Ok(()) }
}

/// The refusal of a relation.
fn refused_relation(name: &str) -> Refusal {
    Refusal::new(format!("The relation {name} is not allowed in a query."))
}

/// Whether this SQLite table, in lower case, shows more than data.
fn is_refused_table(name: &str) -> bool {
    is_listed(SQLITE_TABLES, name) || (name.starts_with("pragma_") && !is_listed(SQLITE_PRAGMAS, name))
}

/// Whether `list` holds this name in any case.
fn is_listed(list: &[&str], name: &str) -> bool {
    let folded = name.to_lowercase();
    list.contains(&folded.as_str())
}

/// Whether this name, in lower case, begins with one of `prefixes`.
fn begins(prefixes: &[&str], name: &str) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}
