//! Names of tables and columns as SQL takes them.

use std::borrow::Cow;

use crate::settings::Protocol;

/// Words that mean something else to at least one of the engines. One that is quoted without need does no harm.
const RESERVED: &str = "abort accessible action add after all alter always analyse analyze and any array as asc asensitive asymmetric \
    attach authorization autoincrement before begin between bigint binary blob both by call cascade case cast change char character \
    check collate collation column commit concurrently condition conflict constraint continue convert create cross cube cume_dist \
    current current_catalog current_date current_role current_schema current_time current_timestamp current_user cursor database \
    databases day_hour day_microsecond day_minute day_second dec decimal declare default deferrable deferred delayed delete dense_rank \
    desc describe detach deterministic distinct distinctrow div do double drop dual each else elseif empty enclosed end escape escaped \
    except exclude exclusive exists exit explain fail false fetch filter first_value float float4 float8 following for force foreign \
    freeze from full fulltext function generated get glob grant group grouping groups having high_priority hour_microsecond \
    hour_minute hour_second if ignore ilike immediate in index indexed infile initially inner inout insensitive insert instead int \
    int1 int2 int3 int4 int8 integer intersect interval into io_after_gtids io_before_gtids is isnull iterate join json_table key keys \
    kill lag last_value lateral lead leading leave left like limit linear lines load localtime localtimestamp lock long longblob \
    longtext loop low_priority master_bind match materialized maxvalue mediumblob mediumint mediumtext middleint minute_microsecond \
    minute_second mod modifies natural no no_write_to_binlog not nothing notnull nth_value ntile null nulls numeric of offset on only \
    optimize optimizer_costs option optionally or order others out outer outfile over overlaps partition percent_rank placing plan \
    pragma preceding precision primary procedure purge query raise range rank read reads read_write real recursive references regexp \
    reindex release rename repeat replace require resignal restrict return returning revoke right rlike rollback row row_number rows \
    savepoint schema schemas second_microsecond select sensitive separator session_user set show signal similar smallint some spatial \
    specific sql sql_big_result sql_calc_found_rows sql_small_result sqlexception sqlstate sqlwarning ssl starting stored \
    straight_join symmetric system system_user table tablesample temp temporary terminated then ties tinyblob tinyint tinytext to \
    trailing transaction trigger true unbounded undo union unique unlock unsigned update usage use user using utc_date utc_time \
    utc_timestamp vacuum values varbinary varchar varcharacter variadic varying verbose view virtual when where while window with \
    without write xor year_month zerofill";

/// The name between quotes, as this protocol's engine takes it.
pub(super) fn quoted(protocol: Protocol, name: &str) -> String {
    match protocol {
        Protocol::MySql => format!("`{}`", name.replace('`', "``")),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

/// The name as a query has to spell it: between quotes where it would be taken for something else without. What services over HTTP
/// list is spelt as they list it.
pub fn written_identifier(protocol: Protocol, name: &str) -> Cow<'_, str> {
    let needs_quotes = match protocol {
        Protocol::Postgres => !is_plain(name) || name.bytes().any(|byte| byte.is_ascii_uppercase()),
        Protocol::MySql | Protocol::Sqlite => !is_plain(name),
        Protocol::Cube | Protocol::Rest => false,
    };
    if needs_quotes { quoted(protocol, name).into() } else { name.into() }
}

/// Whether every engine takes this for a name, whatever it makes of capitals.
fn is_plain(name: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_reserved = || RESERVED.split_whitespace().any(|word| name.eq_ignore_ascii_case(word));
    !name.is_empty()
        && !name.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && name.bytes().all(is_of_name)
        && !is_reserved()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for (name, postgres, mysql, sqlite) in [
            ("customers", "customers", "customers", "customers"),
            ("_t1", "_t1", "_t1", "_t1"),
            ("CustomerID", "\"CustomerID\"", "CustomerID", "CustomerID"),
            ("order", "\"order\"", "`order`", "\"order\""),
            ("Select", "\"Select\"", "`Select`", "\"Select\""),
            ("rank", "\"rank\"", "`rank`", "\"rank\""),
            ("unit price", "\"unit price\"", "`unit price`", "\"unit price\""),
            ("2024_sales", "\"2024_sales\"", "`2024_sales`", "\"2024_sales\""),
            ("größe", "\"größe\"", "`größe`", "\"größe\""),
            ("say\"hi\"", "\"say\"\"hi\"\"\"", "`say\"hi\"`", "\"say\"\"hi\"\"\""),
            ("a`b", "\"a`b\"", "`a``b`", "\"a`b\""),
            ("a-b", "\"a-b\"", "`a-b`", "\"a-b\""),
            ("a.b", "\"a.b\"", "`a.b`", "\"a.b\""),
            ("", "\"\"", "``", "\"\""),
        ] {
            assert_eq!(written_identifier(Protocol::Postgres, name), postgres);
            assert_eq!(written_identifier(Protocol::MySql, name), mysql);
            assert_eq!(written_identifier(Protocol::Sqlite, name), sqlite);
            assert_eq!(
                (written_identifier(Protocol::Cube, name), written_identifier(Protocol::Rest, name)),
                (name.into(), name.into())
            );
        }
    }
}
