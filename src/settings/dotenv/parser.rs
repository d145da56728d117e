/// One statement of a `.env` file.
#[derive(Debug, PartialEq)]
pub(super) enum Statement {
    /// A variable and its value as it is written, without quotes and escapes; no value if there is no `=`.
    Assignment(String, Option<String>),
    /// Something else; where reading stopped. The rest of that line is skipped.
    Invalid {
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
    },
}

/// The statements of a text whose lines end in `\n`, by the grammar of python-dotenv.
pub(super) struct Statements<'a> {
    text: &'a str,
    /// What is still to be read.
    rest: &'a str,
    /// The line that it begins in.
    line: usize,
}

impl<'a> Statements<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, rest: text, line: 1 }
    }

    /// A variable; `Some(None)` for a comment, `None` for what is neither. Reads as far as it understands.
    fn statement(&mut self) -> Option<Option<Statement>> {
        self.skip_export();
        let name = if self.rest.starts_with('#') { None } else { Some(self.name()?.to_owned()) };
        self.take_while(is_blank);
        let value = if self.rest.starts_with('=') { Some(self.value()?) } else { None };
        if self.rest.trim_start_matches(is_blank).starts_with('#') {
            self.take_while(|c| c != '\n');
        }
        self.take_while(is_blank);
        if !self.rest.is_empty() && self.take("\n").is_none() {
            return None;
        }
        Some(name.map(|name| Statement::Assignment(name, value)))
    }

    fn skip_export(&mut self) {
        let after = self.rest.strip_prefix("export");
        if after.is_some_and(|after| after.starts_with(is_blank)) {
            self.take("export");
            self.take_while(is_blank);
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let name = match self.rest.strip_prefix('\'') {
            Some(quoted) => {
                let (name, _) = quoted.split_once('\'')?;
                self.advance(name.len() + 2);
                name
            }
            None => self.take_while(|c| !matches!(c, '=' | '#') && !is_space(c)),
        };
        Some(name).filter(|name| !name.is_empty())
    }

    /// The value after the `=` that comes next.
    fn value(&mut self) -> Option<String> {
        self.take("=");
        let blanks = self.take_while(is_blank);
        match self.rest.chars().next() {
            Some('#') if !blanks.is_empty() => Some(String::new()),
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => {
                let line = self.take_while(|c| c != '\n');
                Some(without_comment(line).trim_end_matches(is_space).to_owned())
            }
        }
    }

    /// A value that goes on, over several lines even, until its quote comes again without a backslash before it.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let quoted = self.rest.strip_prefix(quote)?;
        let mut is_escaped = false;
        let (end, _) = quoted.char_indices().find(|(_, c)| {
            let ends = *c == quote && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            ends
        })?;
        let (value, _) = quoted.split_at(end);
        self.advance(end + 2);
        Some(unescaped(value, quote))
    }

    fn take(&mut self, prefix: &str) -> Option<&'a str> {
        self.rest.starts_with(prefix).then(|| self.advance(prefix.len()))
    }

    fn take_while(&mut self, holds: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !holds(c)).unwrap_or(self.rest.len());
        self.advance(end)
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    /// Where the rest begins.
    fn place(&self) -> Statement {
        let (read, _) = self.text.split_at(self.text.len() - self.rest.len());
        let of_line = read.rsplit_once('\n').map_or(read, |(_, of_line)| of_line);
        Statement::Invalid { line: self.line, column: of_line.chars().count() + 1 }
    }
}

impl Iterator for Statements<'_> {
    type Item = Statement;

    fn next(&mut self) -> Option<Statement> {
        loop {
            self.take_while(is_space);
            if self.rest.is_empty() {
                return None;
            }
            match self.statement() {
                Some(Some(statement)) => return Some(statement),
                Some(None) => {}
                None => {
                    let place = self.place();
                    self.take_while(|c| c != '\n');
                    return Some(place);
                }
            }
        }
    }
}

/// What Python takes for white space: Unicode's, and four control characters besides.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// White space within a line.
fn is_blank(c: char) -> bool {
    is_space(c) && c != '\n'
}

/// A line up to its comment: a `#` after white space.
fn without_comment(line: &str) -> &str {
    let mut before = line.match_indices('#').map(|(at, _)| line.split_at(at).0);
    before.find(|before| before.ends_with(is_space)).unwrap_or(line)
}

fn unescaped(value: &str, quote: char) -> String {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek().and_then(|next| escape(*next, quote)).filter(|_| c == '\\') {
            Some(meant) => {
                text.push(meant);
                chars.next();
            }
            None => text.push(c),
        }
    }
    text
}

/// What this character stands for behind a backslash.
fn escape(c: char, quote: char) -> Option<char> {
    Some(match c {
        '\\' | '\'' => c,
        _ if quote == '\'' => return None,
        '"' => c,
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        _ => return None,
    })
}
