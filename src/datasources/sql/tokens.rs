//! The words of a query, each with its place in the text. Everything the guard concludes rests on where strings,
//! quoted names and comments begin and end, so whatever the engine might read differently is refused here.

use std::str::CharIndices;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace, Word};

use super::dialect::Dialect;
use super::refusal::Refusal;

/// Longest query in bytes.
const MAX_QUERY_BYTES: usize = 100_000;
/// Most tokens that may build on one another. The parser turns `1 + 1 + 1` into a tree as deep as the chain is long,
/// and walking or dropping a very deep tree would exhaust the stack.
const MAX_CHAIN_DEPTH: usize = 2_000;
/// Most joins. The parser nests those whose conditions follow later.
const MAX_JOINS: usize = 200;

/// One token and the bytes of the text it stands for.
#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    /// The token, as the parser takes it.
    pub(super) token: TokenWithSpan,
    /// First byte.
    pub(super) start: usize,
    /// Byte after the last.
    pub(super) end: usize,
}

impl Lexeme {
    /// Whether this is neither blank nor comment.
    pub(super) fn is_significant(&self) -> bool {
        !matches!(self.token.token, Token::Whitespace(_))
    }
}

/// The tokens of `sql`. They cover it without a gap, and the engine splits it at the same places.
pub(super) fn read(sql: &str, dialect: Dialect) -> Result<Vec<Lexeme>, Refusal> {
    if sql.len() > MAX_QUERY_BYTES {
        return Err(Refusal::new(format!("The query is longer than {MAX_QUERY_BYTES} bytes.")));
    }
    // A byte order mark is a blank to one engine and a letter to another.
    if sql.chars().any(|character| character == '\u{feff}' || (character.is_control() && !is_blank(character))) {
        return Err(Refusal::new("The query contains control characters; only tab and line breaks are allowed."));
    }
    let tokens = Tokenizer::new(dialect.grammar(), sql)
        .tokenize_with_location()
        .map_err(|error| Refusal::new(format!("The query is not valid SQL: {error}.")))?;
    let lexemes = locate(sql, tokens)?;
    for lexeme in &lexemes {
        check_unambiguous(raw(sql, lexeme), &lexeme.token.token, dialect)?;
    }
    refuse_hidden_comments(sql, &lexemes)?;
    refuse_run_together(&lexemes, dialect)?;
    refuse_deep(&lexemes)?;
    Ok(lexemes)
}

/// The name this token may stand for. Settings and engines differ in which quotes make a name.
pub(super) fn name(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) => Some(&word.value),
        Token::SingleQuotedString(name) | Token::DoubleQuotedString(name) => Some(name),
        _ => None,
    }
}

/// Whether this is that word, unquoted and in any case.
pub(super) fn is_unquoted(token: &Token, expected: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

/// The text a token stands for.
fn raw<'text>(sql: &'text str, lexeme: &Lexeme) -> &'text str {
    sql.get(lexeme.start..lexeme.end).unwrap_or_default()
}

/// A blank that all engines take as one.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// Finds the bytes of each token. The tokenizer replaces a MySQL executable comment by its content; that leaves a gap,
/// which is what gives it away.
fn locate(sql: &str, tokens: Vec<TokenWithSpan>) -> Result<Vec<Lexeme>, Refusal> {
    let gap =
        || Refusal::new("The query contains a comment that the database would execute (/*! ... */); write it without.");
    let mut place = TextPosition { characters: sql.char_indices(), location: Location::new(1, 1) };
    let mut lexemes = Vec::with_capacity(tokens.len());
    for token in tokens {
        if place.location != token.span.start {
            return Err(gap());
        }
        let start = place.characters.offset();
        let end = place.advance(token.span.end).ok_or_else(gap)?;
        lexemes.push(Lexeme { token, start, end });
    }
    if place.characters.offset() == sql.len() { Ok(lexemes) } else { Err(gap()) }
}

/// A place in the text, in bytes and as the tokenizer counts: lines, and characters within them.
struct TextPosition<'text> {
    characters: CharIndices<'text>,
    location: Location,
}

impl TextPosition<'_> {
    /// Moves to `target` and tells its byte; `None` when no character begins there.
    fn advance(&mut self, target: Location) -> Option<usize> {
        while self.location < target {
            let (_, character) = self.characters.next()?;
            if character == '\n' {
                self.location = Location::new(self.location.line + 1, 1);
            } else {
                self.location.column += 1;
            }
        }
        (self.location == target).then(|| self.characters.offset())
    }
}

/// Refuses a token that the engine may end elsewhere, or that is no part of a read-only query.
fn check_unambiguous(raw: &str, token: &Token, dialect: Dialect) -> Result<(), Refusal> {
    match token {
        Token::Whitespace(blank) => check_blank(raw, blank, dialect),
        Token::SingleQuotedString(_) => check_string(raw, '\'', dialect),
        Token::DoubleQuotedString(_) => check_string(raw, '"', dialect),
        Token::NationalStringLiteral(_) => check_string(raw.get(1..).unwrap_or_default(), '\'', dialect),
        Token::UnicodeStringLiteral(_) => check_string(raw.get(2..).unwrap_or_default(), '\'', dialect),
        Token::EscapedStringLiteral(_) if closes_at_end(raw.get(1..).unwrap_or_default(), '\'', true) => Ok(()),
        Token::DollarQuotedString(_) if is_dollar_quoted(raw) => Ok(()),
        Token::HexStringLiteral(_) if is_digits(raw, 16) => Ok(()),
        Token::SingleQuotedByteStringLiteral(_) if is_digits(raw, 2) => Ok(()),
        Token::Number(_, false) => Ok(()),
        Token::Word(word) => match word.quote_style {
            Some('[') if !word.value.contains(']') => Ok(()),
            Some(quote @ ('"' | '`')) if closes_at_end(raw, quote, false) => Ok(()),
            None if dialect != Dialect::Postgres && raw.contains('@') => Err(variables()),
            // MySQL reads `1.or` as a number and an operator.
            None if word.value == raw && !raw.contains('.') => Ok(()),
            _ => Err(ambiguous(raw)),
        },
        Token::Placeholder(_) => {
            Err(Refusal::new("The query contains a placeholder such as $1, ? or $name; use :name parameters instead."))
        }
        Token::Assignment => Err(Refusal::new("The query contains :=, which assigns a value; that is not allowed.")),
        _ if dialect != Dialect::Postgres && raw.contains('@') => Err(variables()),
        _ if raw.chars().all(|character| character.is_ascii_punctuation() && !"'\"`\\${}".contains(character)) => {
            Ok(())
        }
        _ => Err(ambiguous(raw)),
    }
}

/// The refusal of `@name` outside PostgreSQL, where it is an operator.
fn variables() -> Refusal {
    Refusal::new("The query contains an @ variable; use :name parameters instead.")
}

/// The refusal of something that could be read in two ways.
fn ambiguous(raw: &str) -> Refusal {
    let start: String = raw.chars().take(40).collect();
    Refusal::new(format!(
        "The query contains text that the database may read in more than one way, near: {start} (write a quote \
         within a string as '', and avoid a backslash before a quote)."
    ))
}

/// Whether the engine takes this for the same blank or comment, and does not act on it.
fn check_blank(raw: &str, blank: &Whitespace, dialect: Dialect) -> Result<(), Refusal> {
    match blank {
        Whitespace::MultiLineComment(comment) => {
            let executed = dialect == Dialect::MySql && (comment.starts_with("M!") || comment.starts_with("m!"));
            if executed || comment.starts_with(['!', '+']) {
                return Err(Refusal::new(
                    "The query contains a comment that the database acts on (/*! ... */ or /*+ ... */); write it \
                     without.",
                ));
            }
            Ok(())
        }
        // Only a blank after the dashes makes them a comment in MySQL; the tokenizer takes more characters for one.
        Whitespace::SingleLineComment { prefix, comment } => {
            let unclear = dialect == Dialect::MySql && prefix == "--" && !comment.chars().take(1).all(is_blank);
            if unclear { Err(ambiguous(raw)) } else { Ok(()) }
        }
        Whitespace::Space | Whitespace::Tab | Whitespace::Newline if raw.chars().all(is_blank) => Ok(()),
        Whitespace::Space | Whitespace::Tab | Whitespace::Newline => Err(ambiguous(raw)),
    }
}

/// Whether a string ends where the engine ends it. Settings of the session decide whether a backslash escapes in
/// PostgreSQL, so there it must end at the same place either way.
fn check_string(raw: &str, quote: char, dialect: Dialect) -> Result<(), Refusal> {
    let agrees = match dialect {
        Dialect::Postgres => closes_at_end(raw, quote, false) && closes_at_end(raw, quote, true),
        // Sessions are set up so that a backslash escapes; but what is in double quotes may be a name, where none does.
        Dialect::MySql => closes_at_end(raw, quote, true) && (quote == '\'' || closes_at_end(raw, quote, false)),
        Dialect::Sqlite => closes_at_end(raw, quote, false),
    };
    if agrees { Ok(()) } else { Err(ambiguous(raw)) }
}

/// Whether the quote that opens `raw` is closed by its last character and no earlier.
fn closes_at_end(raw: &str, quote: char, backslash: bool) -> bool {
    let mut characters = raw.chars().peekable();
    if characters.next() != Some(quote) {
        return false;
    }
    while let Some(character) = characters.next() {
        if backslash && character == '\\' {
            characters.next();
        } else if character == quote && characters.next_if_eq(&quote).is_none() {
            return characters.peek().is_none();
        }
    }
    false
}

/// Whether a dollar-quoted string has a tag PostgreSQL takes too, and ends at the first repetition of it.
fn is_dollar_quoted(raw: &str) -> bool {
    let Some((tag, rest)) = raw.strip_prefix('$').and_then(|rest| rest.split_once('$')) else { return false };
    let named = tag.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    let closing = format!("${tag}$");
    named
        && !tag.starts_with(|first: char| first.is_ascii_digit())
        && rest.find(&closing).is_some_and(|found| found + closing.len() == rest.len())
}

/// Whether a literal such as `x'1f'`, `0x1f` or `b'01'` holds digits of that base only.
fn is_digits(raw: &str, radix: u32) -> bool {
    let digits = raw.get(2..).unwrap_or_default();
    let digits = digits.strip_suffix('\'').unwrap_or(digits);
    digits.chars().all(|character| character.is_digit(radix) || character == '_')
}

/// Refuses comments that the tokenizer did not see: PostgreSQL ends an operator before `--` and `/*`, and MySQL takes
/// `--` without a blank for two minus signs.
fn refuse_hidden_comments(sql: &str, lexemes: &[Lexeme]) -> Result<(), Refusal> {
    let visible: String = lexemes
        .iter()
        .map(|lexeme| (lexeme, raw(sql, lexeme)))
        .map(|(lexeme, raw)| if is_operator(&lexeme.token.token, raw) { raw } else { " " })
        .collect();
    if visible.contains("--") || visible.contains("/*") {
        return Err(Refusal::new(
            "The query contains -- or /* that may or may not begin a comment; put blanks around operators and after --.",
        ));
    }
    Ok(())
}

/// Whether this token is made of operator characters or brackets, and is no comment, string or name.
fn is_operator(token: &Token, raw: &str) -> bool {
    !matches!(token, Token::Whitespace(_) | Token::Word(_))
        && !raw.starts_with(['\'', '"', '$'])
        && raw.chars().all(|character| character.is_ascii_punctuation())
}

/// Refuses tokens that lack a blank between them, where an engine may split them otherwise: a number followed by a
/// word, and the `U&"..."` of PostgreSQL, which spells a name in code points.
fn refuse_run_together(lexemes: &[Lexeme], dialect: Dialect) -> Result<(), Refusal> {
    let tokens: Vec<&Token> = lexemes.iter().map(|lexeme| &lexeme.token.token).collect();
    for pair in tokens.windows(2) {
        if let [Token::Number(..) | Token::HexStringLiteral(_), Token::Word(Word { value, quote_style: None, .. })] =
            pair
        {
            return Err(Refusal::new(format!("Put a blank between the number and {value}.")));
        }
    }
    let spelled = tokens.windows(3).any(|three| {
        matches!(three, [prefix, Token::Ampersand, Token::Word(name)]
            if is_unquoted(prefix, "u") && name.quote_style.is_some())
    });
    if spelled && dialect == Dialect::Postgres {
        return Err(Refusal::new("Names in U&\"...\" form are not allowed; write them plainly."));
    }
    Ok(())
}

/// What one pair of brackets holds so far.
#[derive(Default)]
struct BracketLevel {
    /// Tokens since the last comma: each may put the ones before it one level deeper.
    chained: usize,
    /// Set operations: they chain across commas.
    sets: usize,
    /// The deepest brackets since the last comma.
    inner: usize,
    /// The deepest element before the last comma.
    deepest: usize,
}

impl BracketLevel {
    /// Ends the element at hand and tells the depth of everything in these brackets.
    fn close(&mut self) -> usize {
        self.deepest = self.deepest.max(self.chained + self.inner);
        (self.chained, self.inner) = (0, 0);
        self.deepest + self.sets
    }
}

/// Refuses a query whose tree might be too deep. What separate elements of a list hold does not add up.
fn refuse_deep(lexemes: &[Lexeme]) -> Result<(), Refusal> {
    let mut outer: Vec<BracketLevel> = Vec::new();
    let mut level = BracketLevel::default();
    let mut joins = 0;
    for lexeme in lexemes.iter().filter(|lexeme| lexeme.is_significant()) {
        level.chained += 1;
        match &lexeme.token.token {
            Token::LParen | Token::LBracket => outer.push(std::mem::take(&mut level)),
            Token::RParen | Token::RBracket => {
                let depth = level.close();
                level = outer.pop().unwrap_or_default();
                level.inner = level.inner.max(depth);
            }
            Token::Comma => {
                level.close();
            }
            Token::Word(word) if is_set_operation(word.keyword) => level.sets += 1,
            Token::Word(word) if matches!(word.keyword, Keyword::JOIN | Keyword::STRAIGHT_JOIN) => joins += 1,
            _ => {}
        }
    }
    let depth = outer.into_iter().fold(level.close(), |inner, mut level| inner.max(level.close()));
    if depth > MAX_CHAIN_DEPTH || joins > MAX_JOINS {
        return Err(Refusal::new("The query chains too many operators or joins; use IN lists, or split it."));
    }
    Ok(())
}

/// Whether this keyword joins two queries.
fn is_set_operation(keyword: Keyword) -> bool {
    matches!(keyword, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS)
}
