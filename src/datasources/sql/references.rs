//! What a query refers to: its tables, and the words that may be columns of them. Nothing is allowed or refused by it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, Query, Statement, Visit, Visitor};
use sqlparser::tokenizer::Token;

use super::dialect::Dialect;
use super::refusal::Refusal;
use super::tokens::{self, is_unquoted, name};

/// The tables that a statement reads, as `table` or `schema.table`, without those that it makes up itself.
pub(super) fn tables(statement: &Statement) -> BTreeSet<String> {
    let mut found = Relations::default();
    // It never breaks off.
    let (ControlFlow::Continue(()) | ControlFlow::Break(())) = statement.visit(&mut found);
    let made_up = |table: &&String| found.made_up.iter().any(|name| name.eq_ignore_ascii_case(table));
    found.tables.iter().filter(|table| !made_up(table)).cloned().collect()
}

#[derive(Default)]
struct Relations {
    tables: BTreeSet<String>,
    /// Common table expressions.
    made_up: BTreeSet<String>,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let expressions = query.with.iter().flat_map(|with| &with.cte_tables);
        self.made_up.extend(expressions.map(|expression| expression.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts: Vec<_> = relation.0.iter().filter_map(|part| part.as_ident()).map(|part| &*part.value).collect();
        // A database before the schema is the one that is connected to.
        let named = parts.get(parts.len().saturating_sub(2)..).unwrap_or_default();
        self.tables.insert(named.join("."));
        ControlFlow::Continue(())
    }
}

/// All names in a query in lower case, and whether it reads all columns of something.
pub(super) fn words(sql: &str, dialect: Dialect) -> Result<(BTreeSet<String>, bool), Refusal> {
    let lexemes = tokens::read(sql, dialect)?;
    let all: Vec<&Token> =
        lexemes.iter().filter(|lexeme| lexeme.is_significant()).map(|lexeme| &lexeme.token.token).collect();
    let named = all.iter().filter(|token| !matches!(token, Token::SingleQuotedString(_)));
    let words = named.filter_map(|token| name(token)).map(str::to_lowercase).collect();
    let begins_item = |token: &Token| {
        matches!(token, Token::Comma | Token::Period)
            || ["select", "distinct", "all"].iter().any(|word| is_unquoted(token, word))
    };
    let stars = all.windows(2).any(|two| matches!(two, [before, Token::Mul] if begins_item(before)));
    Ok((words, stars))
}

#[cfg(test)]
mod tests {
    use super::super::guard::parse;
    use super::*;

    fn outline(sql: &str) -> (Vec<String>, bool) {
        let lexemes = tokens::read(sql, Dialect::Postgres).unwrap();
        let statement = parse(lexemes.into_iter().map(|lexeme| lexeme.token).collect(), Dialect::Postgres).unwrap();
        (tables(&statement).into_iter().collect(), words(sql, Dialect::Postgres).unwrap().1)
    }

    #[test]
    fn tables_are_found_wherever_they_are_read_and_what_a_query_makes_up_is_none() {
        let sql = "WITH big AS (SELECT id FROM Sales.Orders WHERE n > 2 * 3) SELECT count(*) FROM big JOIN customers c ON \
                   c.id = big.id WHERE EXISTS (SELECT 1 FROM db.public.refunds r WHERE r.id = c.id)";
        assert_eq!(outline(sql), (vec!["Sales.Orders".into(), "customers".into(), "public.refunds".into()], false));
        assert_eq!(outline("SELECT c.* FROM \"Customers\" c"), (vec!["Customers".into()], true));
        assert!(outline("SELECT id, * FROM a").1 && outline("SELECT DISTINCT * FROM a").1);
    }
}
