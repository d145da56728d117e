//! Clauses that the parser does not know, left out or spelled another way in the tokens that it gets. Only the parser
//! reads those: the database gets the text as it was given, and the rules that go by words look at all of them, so that
//! nothing can hide in what is left out here. That is keywords, names of columns and constants, and never a name of a
//! relation or a function.

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::dialect::Dialect;
use super::keywords::is_reserved;
use super::tokens::is_unquoted;

/// Words that are left out, and one of those that stand before them; none means any.
type Omission = (&'static [&'static str], &'static [&'static str]);

/// What is left out for every engine whose parser lacks it.
const FRAMES: &[Omission] = &[
    (&["row", "preceding", "following"], &["exclude", "current", "row"]),
    (&["row", "preceding", "following"], &["exclude", "group"]),
    (&["row", "preceding", "following"], &["exclude", "ties"]),
    (&["row", "preceding", "following"], &["exclude", "no", "others"]),
];

/// What is left out for PostgreSQL.
const POSTGRES: &[Omission] = &[
    (&["between"], &["symmetric"]),
    (&["between"], &["asymmetric"]),
    (&["by"], &["distinct"]),
    (&["table"], &["only"]),
];

/// What is left out for MySQL.
const MYSQL: &[Omission] = &[(&[], &["sounds"])];

/// Units of time that are two of MySQL's reserved words in one.
const MYSQL_UNITS: &[&str] = &[
    "second_microsecond",
    "minute_microsecond",
    "minute_second",
    "hour_microsecond",
    "hour_second",
    "hour_minute",
    "day_microsecond",
    "day_second",
    "day_minute",
    "day_hour",
    "year_month",
];

/// The tokens as the parser understands them.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>, dialect: Dialect) -> Vec<TokenWithSpan> {
    let is_blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let words: Vec<Token> = tokens.iter().filter(|token| !is_blank(token)).map(|token| token.token.clone()).collect();
    let mut rewritten = rewritten(&words, dialect).into_iter();
    let spell = |token: TokenWithSpan| match is_blank(&token) {
        true => Some(token),
        false => rewritten.next()?.map(|spelling| TokenWithSpan::new(spelling, token.span)),
    };
    tokens.into_iter().filter_map(spell).collect()
}

/// Each token as it is to be spelled; `None` for those that are left out.
fn rewritten(words: &[Token], dialect: Dialect) -> Vec<Option<Token>> {
    let mut rewritten = Vec::with_capacity(words.len());
    while let Some((before, rest)) = words.split_at_checked(rewritten.len()) {
        let Some(first) = rest.first() else { break };
        match omitted(before, rest, dialect) {
            0 if dialect == Dialect::MySql => rewritten.push(Some(rewritten_token(before, first, rest.get(1)))),
            0 => rewritten.push(Some(first.clone())),
            omitted => rewritten.extend(std::iter::repeat_n(None, omitted)),
        }
    }
    rewritten
}

/// How many tokens are left out from here on.
fn omitted(before: &[Token], rest: &[Token], dialect: Dialect) -> usize {
    let lists = match dialect {
        Dialect::Postgres => [FRAMES, POSTGRES],
        Dialect::MySql => [&[], MYSQL],
        Dialect::Sqlite => [FRAMES, &[]],
    };
    let Some(last) = before.last() else { return 0 };
    let omission = lists.into_iter().flatten().find(|(after, words)| {
        (after.is_empty() || after.iter().any(|word| is_unquoted(last, word))) && begins(rest, words)
    });
    match omission {
        Some((_, words)) => words.len(),
        None if dialect == Dialect::Postgres => omitted_postgres(before, rest).unwrap_or(0),
        None if dialect == Dialect::Sqlite => omitted_sqlite(last, rest),
        None => 0,
    }
}

/// Whether the tokens begin with these words.
fn begins(tokens: &[Token], words: &[&str]) -> bool {
    tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| is_unquoted(token, word))
}

/// `(x).*`, the keyword in `xmlelement(NAME a)`, and what tells how a recursive query searches.
fn omitted_postgres(before: &[Token], rest: &[Token]) -> Option<usize> {
    if matches!(before.last()?, Token::RParen | Token::RBracket) {
        if rest.starts_with(&[Token::Period, Token::Mul]) {
            return Some(2);
        }
        return search(rest).or_else(|| cycle(rest));
    }
    let [.., function, Token::LParen] = before else { return None };
    let keywords: &[&str] = match function {
        function if is_unquoted(function, "xmlelement") || is_unquoted(function, "xmlpi") => &["name"],
        function if is_unquoted(function, "xmlserialize") => &["content", "document"],
        _ => return None,
    };
    keywords.iter().any(|keyword| begins(rest, &[keyword])).then_some(1)
}

/// `SEARCH DEPTH FIRST BY a, b SET c`.
fn search(tokens: &[Token]) -> Option<usize> {
    if !begins(tokens, &["search", "depth", "first", "by"]) && !begins(tokens, &["search", "breadth", "first", "by"]) {
        return None;
    }
    let columns = columns(tokens, 4)?;
    begins(tokens.get(columns..)?, &["set"]).then(|| column(tokens, columns + 1)).flatten()
}

/// `CYCLE a, b SET c TO 1 DEFAULT 0 USING d`.
fn cycle(tokens: &[Token]) -> Option<usize> {
    if !begins(tokens, &["cycle"]) {
        return None;
    }
    let mut at = columns(tokens, 1)?;
    if !begins(tokens.get(at..)?, &["set"]) {
        return None;
    }
    at = column(tokens, at + 1)?;
    if begins(tokens.get(at..)?, &["to"]) {
        at = constant(tokens, at + 1)?;
        if !begins(tokens.get(at..)?, &["default"]) {
            return None;
        }
        at = constant(tokens, at + 1)?;
    }
    begins(tokens.get(at..)?, &["using"]).then(|| column(tokens, at + 1)).flatten()
}

/// Where a list of columns ends that begins here.
fn columns(tokens: &[Token], from: usize) -> Option<usize> {
    let mut at = column(tokens, from)?;
    while *tokens.get(at)? == Token::Comma {
        at = column(tokens, at + 1)?;
    }
    Some(at)
}

/// Where the name of a column ends that stands here.
fn column(tokens: &[Token], at: usize) -> Option<usize> {
    let Token::Word(Word { value, quote_style, .. }) = tokens.get(at)? else { return None };
    (quote_style.is_some() || !is_reserved(value)).then_some(at + 1)
}

/// Where a constant ends that stands here.
fn constant(tokens: &[Token], at: usize) -> Option<usize> {
    match tokens.get(at)? {
        Token::Number(..) | Token::SingleQuotedString(_) => Some(at + 1),
        word if is_unquoted(word, "true") || is_unquoted(word, "false") => Some(at + 1),
        _ => None,
    }
}

/// How a common table expression is kept, and NOT before an operator that is a word.
fn omitted_sqlite(before: &Token, rest: &[Token]) -> usize {
    let bracket = |at: usize| rest.get(at) == Some(&Token::LParen);
    if is_unquoted(before, "as") {
        if begins(rest, &["materialized"]) && bracket(1) {
            return 1;
        }
        if begins(rest, &["not", "materialized"]) && bracket(2) {
            return 2;
        }
    }
    let operators = ["glob", "regexp", "match"];
    usize::from(operators.iter().any(|operator| begins(rest, &["not", operator])))
}

/// Words of MySQL's after which an expression begins.
const MYSQL_BEFORE_EXPRESSIONS: &[&str] = &[
    "select", "distinct", "all", "where", "on", "by", "having", "and", "or", "xor", "not", "between", "in", "like",
    "when", "then", "else", "case", "div", "mod", "interval", "limit", "offset", "values", "regexp", "rlike", "binary",
    "is",
];

/// A token of MySQL's as the parser knows it: MOD as an operator, and units of time.
fn rewritten_token(before: &[Token], token: &Token, after: Option<&Token>) -> Token {
    if is_unquoted(token, "mod") {
        let follows_value = before.last().is_some_and(|before| match before {
            Token::Word(_) => !MYSQL_BEFORE_EXPRESSIONS.iter().any(|word| is_unquoted(before, word)),
            Token::RParen | Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) => true,
            _ => false,
        });
        let calls = after == Some(&Token::LParen) && !follows_value;
        return if calls { token.clone() } else { Token::Mod };
    }
    let unit = MYSQL_UNITS.iter().any(|unit| is_unquoted(token, unit));
    if unit { Token::make_keyword("HOUR") } else { token.clone() }
}
