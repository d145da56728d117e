//! Lets read-only queries through and refuses everything else. What it knows is allowed; what it doesn't is refused,
//! so that a newer parser or engine can't open a gap.

use std::collections::HashSet;

use sqlparser::ast::Statement;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::dialect::Dialect;
use super::functions::PossibleCall;
use super::parameters::Piece;
use super::refusal::Refusal;
use super::rewrite::rewrite;
use super::tokens::Lexeme;
use super::{functions, parameters, references, relations, statements, tokens};
use crate::datasources::DataError;
use crate::datasources::query_outline::QueryOutline;
use crate::settings::Protocol;

/// Stack of the thread that checks a query, for the deepest tree that the limits on nesting and chains let through.
const STACK: usize = 64 << 20;

/// A query that passed, in pieces, so that each engine can number its parameters. Only the guard makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckedQuery {
    pieces: Vec<Piece>,
    calls: Vec<PossibleCall>,
    named: Vec<String>,
}

impl CheckedQuery {
    /// The pieces in order. Put together they are the query as given, without what followed its last word.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What a database may take for a call in it.
    pub(super) fn calls(&self) -> &[PossibleCall] {
        &self.calls
    }

    /// The functions beyond the engine's own that it may call.
    pub(super) fn named(&self) -> &[String] {
        &self.named
    }

    /// The names of the parameters, each once, in order of first appearance.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let mut seen = HashSet::new();
        let names = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Parameter(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        });
        names.filter(move |name| seen.insert(*name))
    }
}

/// Checks that `sql` is one query that only reads, and finds its parameters. `named` are the functions beyond the engine's own
/// that it may call. The thread has the stack that the parser's recursion needs; if it panics, the query is refused.
pub(crate) fn check(sql: &str, dialect: Dialect, named: &[String]) -> Result<CheckedQuery, Refusal> {
    on_large_stack(|| check_here(sql, dialect, named).map(|(checked, _)| checked))
}

fn on_large_stack<T: Send>(work: impl FnOnce() -> Result<T, Refusal> + Send) -> Result<T, Refusal> {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("sql-guard".to_owned()).stack_size(STACK);
        let judged = builder.spawn_scoped(scope, work).map(|thread| thread.join());
        match judged {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(Refusal::new("The query can't be checked.")),
        }
    })
}

/// [`check`] for a source of this protocol, off the runtime's threads: a long query takes a while.
pub(crate) async fn check_sql(text: &str, protocol: Protocol, named: Vec<String>) -> Result<CheckedQuery, DataError> {
    let text = text.to_owned();
    let checking = tokio::task::spawn_blocking(move || check(&text, Dialect::of(protocol), &named));
    match checking.await {
        Ok(outcome) => outcome.map_err(|refusal| DataError::invalid_query(refusal.to_string())),
        Err(_) => Err(DataError::invalid_query("The query could not be checked")),
    }
}

/// Whether a query only reads, for services that have no guard of their own. Judged as PostgreSQL's SQL.
pub async fn check_readable(query: &str) -> Result<(), DataError> {
    check_sql(query, Protocol::Rest, Vec::new()).await.map(|_| ())
}

/// What a query reads and takes, once it passed as [`check_sql`] has it.
pub(crate) async fn describe_sql(
    text: &str,
    protocol: Protocol,
    named: Vec<String>,
) -> Result<QueryOutline, DataError> {
    let (text, dialect) = (text.to_owned(), Dialect::of(protocol));
    let describe = move || {
        let (checked, statement) = check_here(&text, dialect, &named)?;
        let parameters = checked.names().map(str::to_owned).collect();
        let (columns, reads_all) = references::words(&text, dialect)?;
        Ok(QueryOutline { parameters, tables: references::tables(&statement), columns, reads_all })
    };
    match tokio::task::spawn_blocking(move || on_large_stack(describe)).await {
        Ok(outcome) => outcome.map_err(|refusal| DataError::invalid_query(refusal.to_string())),
        Err(_) => Err(DataError::invalid_query("The query could not be checked")),
    }
}

/// What [`check`] does; with the statement that the query is.
fn check_here(sql: &str, dialect: Dialect, named: &[String]) -> Result<(CheckedQuery, Statement), Refusal> {
    let lexemes = tokens::read(sql, dialect)?;
    let lexemes = one_statement(&lexemes)?;
    let significant: Vec<&Token> =
        lexemes.iter().filter(|lexeme| lexeme.is_significant()).map(|lexeme| &lexeme.token.token).collect();
    check_words(&significant, dialect)?;
    functions::check_calls(&significant, dialect, named)?;
    relations::check_words(&significant, dialect)?;
    let (pieces, tokens) = parameters::find(sql, lexemes, dialect)?;
    let statement = parse(rewrite(tokens, dialect), dialect)?;
    statements::check(&statement, dialect, named)?;
    let checked = CheckedQuery { pieces, calls: functions::calls(&significant, dialect), named: named.to_vec() };
    Ok((checked, statement))
}

/// The tokens of the only statement, without what follows its last word.
fn one_statement(lexemes: &[Lexeme]) -> Result<&[Lexeme], Refusal> {
    let ends = |lexeme: &Lexeme| !lexeme.is_significant() || lexeme.token.token == Token::SemiColon;
    let length = lexemes.iter().rposition(|lexeme| !ends(lexeme)).map_or(0, |last| last + 1);
    let statement = lexemes.get(..length).unwrap_or_default();
    if statement.is_empty() {
        return Err(Refusal::new("The query is empty."));
    }
    if statement.iter().any(|lexeme| lexeme.token.token == Token::SemiColon) {
        return Err(Refusal::not_one_query());
    }
    Ok(statement)
}

/// Longest name that PostgreSQL keeps whole, in bytes; a longer one stands for what its beginning names.
const MAX_NAME_BYTES: usize = 63;

/// Refuses keywords that make a query write or take locks, wherever they stand, and names that don't stand for themselves.
fn check_words(tokens: &[&Token], dialect: Dialect) -> Result<(), Refusal> {
    let cut = |token: &&&Token| matches!(token, Token::Word(word) if word.value.len() > MAX_NAME_BYTES);
    if let Some(name) = tokens.iter().find(cut).filter(|_| dialect == Dialect::Postgres) {
        return Err(Refusal::new(format!("The name {name} is longer than {MAX_NAME_BYTES} bytes.")));
    }
    let keyword = |token: &&Token| match token {
        Token::Word(word) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    for token in tokens {
        match keyword(token) {
            Keyword::INTO => return Err(Refusal::clause("INTO")),
            Keyword::PROCEDURE if dialect == Dialect::MySql => return Err(Refusal::clause("PROCEDURE")),
            _ => {}
        }
    }
    // The other way to call `nextval` in MariaDB.
    let next_value = [Keyword::NEXT, Keyword::VALUE, Keyword::FOR];
    if tokens.windows(3).any(|three| three.iter().map(keyword).eq(next_value)) {
        return Err(Refusal::clause("NEXT VALUE FOR"));
    }
    Ok(())
}

/// The one statement these tokens make.
pub(super) fn parse(tokens: Vec<TokenWithSpan>, dialect: Dialect) -> Result<Statement, Refusal> {
    let mut parser = Parser::new(dialect.grammar()).with_tokens_with_locations(tokens);
    // The parser knows `TABLE t` as a part of queries only.
    let is_table = matches!(&parser.peek_token().token, Token::Word(word) if word.keyword == Keyword::TABLE);
    let parsed = match is_table && dialect == Dialect::Postgres {
        true => parser.parse_query().map(Statement::Query),
        false => parser.parse_statement(),
    };
    let statement = parsed.map_err(|error| {
        Refusal::new(match error {
            ParserError::RecursionLimitExceeded => "The query is nested too deeply.".to_owned(),
            ParserError::ParserError(reason) | ParserError::TokenizerError(reason) => {
                format!("The query can't be understood: {reason}.")
            }
        })
    })?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(Refusal::new(format!("The query can't be understood from here on: {}{}.", next, next.span.start)));
    }
    Ok(statement)
}
