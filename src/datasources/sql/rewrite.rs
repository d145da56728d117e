//! Token rewriting for clauses that the parser does not know. Only the parser reads the result: the database gets the text
//! as it was given, and the rules that go by words look at all of them, so that nothing can hide in what is left out here.
//! That is keywords, names of columns and constants, and never a name of a relation or a function.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::dialect::Dialect::{self, MySql, Postgres, Sqlite};
use super::keywords::is_reserved;
use super::tokens::is_unquoted;

/// Tokens that are left out: engines, pattern before them, their own pattern, pattern behind them. A pattern has words, signs,
/// alternatives with `|` between them, and COLUMN, COLUMNS and CONSTANT; an empty one fits everywhere.
type Omission = (&'static [Dialect], &'static str, &'static str, &'static str);

const OMISSIONS: &[Omission] = &[
    // Frames of windows.
    (&[Postgres, Sqlite], "row|preceding|following", "exclude current row", ""),
    (&[Postgres, Sqlite], "row|preceding|following", "exclude group|ties", ""),
    (&[Postgres, Sqlite], "row|preceding|following", "exclude no others", ""),
    (&[Postgres], "between", "symmetric|asymmetric", ""),
    (&[Postgres], "by", "distinct", ""),
    (&[Postgres], "table", "only", ""),
    // All fields of a composite value.
    (&[Postgres], ")|]", ". *", ""),
    // How a recursive query searches.
    (&[Postgres], ")|]", "search depth|breadth first by COLUMNS set COLUMN", ""),
    (&[Postgres], ")|]", "cycle COLUMNS set COLUMN to CONSTANT default CONSTANT using COLUMN", ""),
    (&[Postgres], ")|]", "cycle COLUMNS set COLUMN using COLUMN", ""),
    (&[Postgres], "xmlelement|xmlpi (", "name", ""),
    (&[Postgres], "xmlserialize (", "content|document", ""),
    (&[MySql], "", "sounds", ""),
    // How a common table expression is kept.
    (&[Sqlite], "as", "materialized", "("),
    (&[Sqlite], "as", "not materialized", "("),
    // NOT before an operator that is a word.
    (&[Sqlite], "", "not", "glob|regexp|match"),
];

/// Units of time that are two of MySQL's reserved words in one.
const MYSQL_UNITS: &str = "second_microsecond minute_microsecond minute_second hour_microsecond hour_second \
    hour_minute day_microsecond day_second day_minute day_hour year_month";

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
    let length = |(dialects, after, omission, follows): &Omission| {
        let length = fit(rest, omission).filter(|_| dialects.contains(&dialect))?;
        let behind = before.len().checked_sub(after.split_whitespace().count())?;
        fit(before.get(behind..)?, after)?;
        fit(rest.get(length..)?, follows).map(|_| length)
    };
    if before.is_empty() { 0 } else { OMISSIONS.iter().find_map(length).unwrap_or(0) }
}

/// How many tokens fit this pattern, if they begin with what it says.
fn fit(tokens: &[Token], pattern: &str) -> Option<usize> {
    pattern.split_whitespace().try_fold(0, |at, part| {
        let one = |at: usize, fits: fn(&Token) -> bool| tokens.get(at).filter(|token| fits(token)).map(|_| at + 1);
        match part {
            "COLUMN" => one(at, is_column),
            "COLUMNS" => {
                let mut end = one(at, is_column)?;
                while tokens.get(end) == Some(&Token::Comma) {
                    end = one(end + 1, is_column)?;
                }
                Some(end)
            }
            "CONSTANT" => one(at, is_constant),
            words => tokens.get(at).filter(|token| words.split('|').any(|word| is_word(token, word))).map(|_| at + 1),
        }
    })
}

/// Whether this token is spelled like that.
fn is_word(token: &Token, word: &str) -> bool {
    match word {
        "(" => *token == Token::LParen,
        ")" => *token == Token::RParen,
        "]" => *token == Token::RBracket,
        "." => *token == Token::Period,
        "*" => *token == Token::Mul,
        word => is_unquoted(token, word),
    }
}

/// Whether this may be the name of a column.
fn is_column(token: &Token) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_some() || !is_reserved(&word.value))
}

/// Whether this is a constant.
fn is_constant(token: &Token) -> bool {
    matches!(token, Token::Number(..) | Token::SingleQuotedString(_))
        || is_word(token, "true")
        || is_word(token, "false")
}

/// Words of MySQL's after which an expression begins.
const MYSQL_BEFORE_EXPRESSIONS: &str = "select distinct all where on by having and or xor not between in like when then \
    else case div mod interval limit offset values regexp rlike binary is";

/// A token of MySQL's as the parser knows it: MOD as an operator, and units of time.
fn rewritten_token(before: &[Token], token: &Token, after: Option<&Token>) -> Token {
    if is_unquoted(token, "mod") {
        let follows_value = before.last().is_some_and(|before| match before {
            Token::Word(_) => !is_among(MYSQL_BEFORE_EXPRESSIONS, before),
            Token::RParen | Token::Number(..) | Token::SingleQuotedString(_) | Token::Placeholder(_) => true,
            _ => false,
        });
        let calls = after == Some(&Token::LParen) && !follows_value;
        return if calls { token.clone() } else { Token::Mod };
    }
    if is_among(MYSQL_UNITS, token) { Token::make_keyword("HOUR") } else { token.clone() }
}

/// Whether `words` hold this one, unquoted.
fn is_among(words: &str, token: &Token) -> bool {
    words.split(' ').any(|word| is_unquoted(token, word))
}
