//! The `:name` parameters of a query: found among the tokens, so that one inside a string, a quoted name or a comment
//! is none, and handed on as pieces, so that each engine can number them its own way.

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::dialect::Dialect;
use super::refusal::Refusal;
use super::tokens::Lexeme;

/// A part of the text of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text as it was given.
    Text(String),
    /// The name of a parameter, without its colon.
    Parameter(String),
}

/// Splits the query at its parameters. Also gives the tokens for the parser, with a placeholder for each parameter.
pub(super) fn find(
    sql: &str,
    lexemes: &[Lexeme],
    dialect: Dialect,
) -> Result<(Vec<Piece>, Vec<TokenWithSpan>), Refusal> {
    let mut pieces = Vec::new();
    let mut tokens = Vec::with_capacity(lexemes.len());
    let mut text_from = 0;
    let mut rest = lexemes;
    while let [lexeme, after @ ..] = rest {
        rest = after;
        let is_colon = lexeme.token.token == Token::Colon;
        let Some((name, end)) = (if is_colon { name(after)? } else { None }) else {
            // Array slices and JSON objects are written with a colon in PostgreSQL.
            if is_colon && dialect != Dialect::Postgres {
                return Err(Refusal::new("The query contains a colon that begins no :name parameter."));
            }
            tokens.push(lexeme.token.clone());
            continue;
        };
        refuse_joined(tokens.last(), name)?;
        if sql.get(end..).is_some_and(|after| after.starts_with('.')) {
            return Err(Refusal::new(format!("The parameter :{name} must not be followed by a dot.")));
        }
        pieces.extend(text(sql, text_from, lexeme.start));
        pieces.push(Piece::Parameter(name.to_owned()));
        tokens.push(TokenWithSpan::new(Token::Placeholder(format!("?{name}")), lexeme.token.span));
        text_from = end;
        rest = after.get(1..).unwrap_or_default();
    }
    pieces.extend(text(sql, text_from, lexemes.last().map_or(text_from, |last| last.end)));
    Ok((pieces, tokens))
}

/// The text between two parameters, if there is any.
fn text(sql: &str, from: usize, to: usize) -> Option<Piece> {
    sql.get(from..to).filter(|text| !text.is_empty()).map(|text| Piece::Text(text.to_owned()))
}

/// The name that directly follows a colon, and where it ends.
fn name(after: &[Lexeme]) -> Result<Option<(&str, usize)>, Refusal> {
    let Some(lexeme) = after.first() else { return Ok(None) };
    let Token::Word(Word { value: name, quote_style: None, .. }) = &lexeme.token.token else { return Ok(None) };
    if !is_name(name) {
        return Err(Refusal::new(format!(
            "The parameter :{name} must be named with letters A to Z, digits and underscores only."
        )));
    }
    Ok(Some((name, lexeme.end)))
}

/// Whether a parameter may be called this.
fn is_name(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Refuses a parameter that follows a word without a blank: what replaces it could become part of that word.
fn refuse_joined(before: Option<&TokenWithSpan>, name: &str) -> Result<(), Refusal> {
    let joined = before.is_some_and(|before| {
        matches!(before.token, Token::Word(_) | Token::Number(..) | Token::HexStringLiteral(_) | Token::Placeholder(_))
    });
    if joined { Err(Refusal::new(format!("Put a blank before the parameter :{name}."))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::guard::check;
    use super::*;

    /// The query with `{name}` where its parameters are.
    fn marked(sql: &str, dialect: Dialect) -> String {
        let query = check(sql, dialect, &[]).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
        let pieces = query.pieces().iter();
        pieces
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Parameter(name) => format!("{{{name}}}"),
            })
            .collect()
    }

    #[test]
    fn a_parameter_is_found_between_other_tokens() {
        let sql = "SELECT :a, f(:b), x=:_c1 FROM t WHERE y IN (:d,:e) AND z=ANY(:ids) LIMIT :n;";
        let expected = "SELECT {a}, f({b}), x={_c1} FROM t WHERE y IN ({d},{e}) AND z=ANY({ids}) LIMIT {n}";
        assert_eq!(marked(sql, Dialect::Postgres), expected);
    }

    #[test]
    fn a_colon_in_a_string_a_quoted_name_or_a_comment_begins_no_parameter() {
        for sql in [
            "SELECT ':a', \":b\" /* :c */ FROM t -- :d",
            "SELECT $$ :a $$, E'\\':b', $tag$ $$ :c $tag$",
            "SELECT now()::date, x[1:2], '12:30:00'::time, json_object('a' : 1)",
        ] {
            let query = check(sql, Dialect::Postgres, &[]).unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
            assert_eq!(query.names().count(), 0, "{sql}");
        }
    }

    #[test]
    fn a_parameter_after_a_multibyte_text_tabs_and_line_breaks_is_cut_at_the_right_bytes() {
        let sql = "SELECT 'žluťoučký 🐎',\t:a\r\n  , 'ř\n🦄' || :b -- kůň\n, \"ů\" FROM t\tWHERE ů=:c";
        let expected = "SELECT 'žluťoučký 🐎',\t{a}\r\n  , 'ř\n🦄' || {b} -- kůň\n, \"ů\" FROM t\tWHERE ů={c}";
        assert_eq!(marked(sql, Dialect::Postgres), expected);
    }

    #[test]
    fn a_parameter_is_cast_in_postgres() {
        assert_eq!(marked("SELECT :a::int, (:b)::text[]", Dialect::Postgres), "SELECT {a}::int, ({b})::text[]");
    }

    #[test]
    fn names_are_told_once_in_order() {
        let query = check("SELECT :b, :a, :b, :c, :a", Dialect::Sqlite, &[]).unwrap();
        assert_eq!(query.names().collect::<Vec<_>>(), ["b", "a", "c"]);
    }

    #[test]
    fn what_follows_the_last_word_is_cut() {
        for sql in ["SELECT 1", "SELECT 1;", "SELECT 1 ; -- done", "SELECT 1 /* done */ ;\n;"] {
            assert_eq!(marked(sql, Dialect::MySql), "SELECT 1", "{sql}");
        }
        assert_eq!(marked(" -- first\nSELECT 1;", Dialect::MySql), " -- first\nSELECT 1");
    }

    #[test]
    fn a_malformed_parameter_is_refused() {
        for dialect in [Dialect::Postgres, Dialect::MySql, Dialect::Sqlite] {
            for sql in [
                "SELECT : a",
                "SELECT :",
                "SELECT :1",
                "SELECT :é",
                "SELECT :aé",
                "SELECT :a$b",
                "SELECT :'a'",
                "SELECT :\"a\"",
                "SELECT :a:b",
                "SELECT x IN:a",
                "SELECT 1:a",
                "SELECT :a := 1",
                "SELECT * FROM :table_name",
                "SELECT * FROM t LIMIT:n",
            ] {
                assert!(check(sql, dialect, &[]).is_err(), "{dialect:?}: {sql}");
            }
        }
    }

    #[test]
    fn another_engines_placeholder_is_refused_with_advice() {
        for (sql, dialect) in [
            ("SELECT $1", Dialect::Postgres),
            ("SELECT $name", Dialect::Postgres),
            ("SELECT ?", Dialect::MySql),
            ("SELECT @x", Dialect::MySql),
            ("SELECT @@version", Dialect::MySql),
            ("SELECT ?", Dialect::Sqlite),
            ("SELECT ?1", Dialect::Sqlite),
            ("SELECT $name", Dialect::Sqlite),
            ("SELECT @x", Dialect::Sqlite),
        ] {
            let refusal = check(sql, dialect, &[]).unwrap_err().to_string();
            assert!(refusal.contains(":name parameters"), "{sql}: {refusal}");
        }
    }
}
