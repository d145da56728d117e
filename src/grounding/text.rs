//! Words of texts and names: cut, folded and stemmed.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, OnceLock};

use parking_lot::RwLock;
use rust_stemmers::{Algorithm, Stemmer};

/// Words of which stems are kept, in each language, and their length at most, in bytes.
const MAX_KNOWN_WORDS: usize = 10_000;
const MAX_KNOWN_BYTES: usize = 32;

/// A language whose words are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextLanguage {
    English,
    German,
    Spanish,
    French,
}

impl TextLanguage {
    pub(super) const ALL: [Self; 4] = [Self::English, Self::German, Self::Spanish, Self::French];

    /// The language of this ISO 639 code.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "en" => Self::English,
            "de" => Self::German,
            "es" => Self::Spanish,
            "fr" => Self::French,
            _ => return None,
        })
    }

    /// The stem of a word in small letters, folded. Those of the commonest words are kept.
    pub(super) fn stem(self, word: &str) -> String {
        static KNOWN: LazyLock<[RwLock<HashMap<String, String>>; 4]> = LazyLock::new(Default::default);
        let Some(known) = KNOWN.get(self as usize).filter(|_| word.len() <= MAX_KNOWN_BYTES) else {
            return self.computed_stem(word);
        };
        if let Some(stem) = known.read().get(word) {
            return stem.clone();
        }
        let stem = self.computed_stem(word);
        let mut known = known.write();
        if known.len() < MAX_KNOWN_WORDS {
            known.insert(word.to_owned(), stem.clone());
        }
        stem
    }

    fn computed_stem(self, word: &str) -> String {
        static STEMMERS: LazyLock<[Stemmer; 4]> = LazyLock::new(|| {
            [Algorithm::English, Algorithm::German, Algorithm::Spanish, Algorithm::French].map(Stemmer::create)
        });
        let [english, german, spanish, french] = &*STEMMERS;
        let stemmer = match self {
            Self::English => english,
            Self::German => german,
            Self::Spanish => spanish,
            Self::French => french,
        };
        fold(&stemmer.stem(word))
    }
}

/// A list of words, written with spaces between them.
pub(super) struct WordList {
    text: &'static str,
    words: OnceLock<HashSet<&'static str>>,
}

impl WordList {
    pub(super) const fn new(text: &'static str) -> Self {
        Self { text, words: OnceLock::new() }
    }

    /// Whether a word is in the list.
    pub(super) fn has(&self, word: &str) -> bool {
        self.words.get_or_init(|| self.text.split(' ').collect()).contains(word)
    }
}

/// What long words of one origin share: `interact`, `interactions`, `interacciones`.
pub(super) fn kin(folded: &str) -> Option<String> {
    /// Letters of a word's beginning that others of its origin have as well.
    const SHARED: usize = 7;
    let beginning = folded.get(..SHARED).filter(|_| folded.len() > SHARED)?;
    beginning.chars().all(char::is_alphabetic).then(|| format!("{beginning}~"))
}

/// Longest word, in bytes: what is longer is no word.
const MAX_WORD_BYTES: usize = 64;

/// A word of a text, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// In small letters.
    pub(super) lower: String,
    /// Without diacritics too.
    pub(super) folded: String,
    /// First and last byte in the text.
    pub(super) span: (usize, usize),
    /// Whether it begins with a capital letter.
    pub(super) is_capital: bool,
}

/// The words of a text, at most so many.
pub(super) fn tokens(text: &str, most: usize) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if is_letter(c) {
            start.get_or_insert(at);
        } else if let Some(from) = start.take()
            && let Some(word) = text.get(from..at).filter(|word| word.len() <= MAX_WORD_BYTES)
        {
            tokens.push(token(word, (from, at)));
            if tokens.len() == most {
                break;
            }
        }
    }
    tokens
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || ('\u{300}'..='\u{36f}').contains(&c)
}

fn token(word: &str, span: (usize, usize)) -> Token {
    let lower = word.to_lowercase();
    let folded = fold(&lower);
    Token { lower, folded, span, is_capital: word.chars().next().is_some_and(char::is_uppercase) }
}

/// The words of a name: cut at punctuation, capitals and digits. One of several words has itself, written as one, as well.
pub(super) fn name_tokens(name: &str) -> Vec<Token> {
    let mut parts = Vec::new();
    for word in tokens(name, 12) {
        let whole = name.get(word.span.0..word.span.1).unwrap_or_default();
        let cut = split_case(whole);
        if cut.len() > 1 {
            parts.extend(cut.iter().map(|part| token(part, word.span)));
        }
        parts.push(word);
    }
    parts
}

/// `dueDate` is `due`, `Date`; `HTTPServer2` is `HTTP`, `Server`, `2`.
fn split_case(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut parts: Vec<String> = Vec::new();
    for (at, c) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| letters.get(before));
        let after = letters.get(at + 1);
        let begins = before.is_none_or(|before| {
            (c.is_uppercase() && before.is_lowercase())
                || (c.is_uppercase() && before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
                || c.is_ascii_digit() != before.is_ascii_digit()
        });
        match parts.last_mut() {
            Some(part) if !begins => part.push(*c),
            _ => parts.push(c.to_string()),
        }
    }
    parts
}

/// In small letters without diacritics.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        fold_into(&mut folded, c);
    }
    folded
}

fn fold_into(folded: &mut String, c: char) {
    match c {
        'a'..='z' | '0'..='9' | ' ' => folded.push(c),
        '\u{300}'..='\u{36f}' => {}
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => folded.push('a'),
        'ç' | 'ć' | 'č' => folded.push('c'),
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => folded.push('e'),
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' => folded.push('i'),
        'ñ' | 'ń' | 'ň' => folded.push('n'),
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => folded.push('o'),
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' => folded.push('u'),
        'ý' | 'ÿ' => folded.push('y'),
        'ś' | 'š' => folded.push('s'),
        'ź' | 'ż' | 'ž' => folded.push('z'),
        'ł' => folded.push('l'),
        'ß' => folded.push_str("ss"),
        'œ' => folded.push_str("oe"),
        'æ' => folded.push_str("ae"),
        '’' | '‘' | '´' => folded.push('\''),
        c => folded.push(c),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(tokens: Vec<Token>) -> Vec<String> {
        tokens.into_iter().map(|token| token.folded).collect()
    }

    #[test]
    fn words_are_cut_and_folded() {
        assert_eq!(
            words(tokens("¿Cuántas facturas? L'été, ÜBERFÄLLIG!", 9)),
            ["cuantas", "facturas", "l", "ete", "uberfallig"]
        );
        assert_eq!(words(tokens("u\u{308}ber", 9)), ["uber"], "marks of their own");
        assert_eq!(tokens("a b c", 2).len(), 2);
    }

    #[test]
    fn names_are_cut_at_case_and_digits() {
        assert_eq!(words(name_tokens("stock_levels")), ["stock", "levels"]);
        assert_eq!(words(name_tokens("dueDate")), ["due", "date", "duedate"]);
        assert_eq!(words(name_tokens("HTTPServer2")), ["http", "server", "2", "httpserver2"]);
    }

    #[test]
    fn inflections_have_one_stem() {
        let pairs = [
            (TextLanguage::English, "invoices", "invoice"),
            (TextLanguage::German, "rechnungen", "rechnung"),
            (TextLanguage::Spanish, "facturas", "factura"),
            (TextLanguage::French, "livrées", "livrée"),
        ];
        for (language, one, other) in pairs {
            assert_eq!(language.stem(one), language.stem(other));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_cut(text in ".{0,60}") {
            for token in tokens(&text, 20).into_iter().chain(name_tokens(&text)) {
                for language in TextLanguage::ALL {
                    language.stem(&token.lower);
                }
                prop_assert!(text.get(token.span.0..token.span.1).is_some());
            }
        }
    }
}
