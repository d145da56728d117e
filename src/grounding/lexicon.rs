//! The lexicon: common terms in four languages as concepts (`lexicon.txt`), and the words that tell no subject (`words.txt`).

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::text::{TextLanguage, Token, fold, tokens};

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WordClass {
    /// Nothing of a subject.
    Stop,
    /// A time.
    Time,
    /// A measure: it asks for data.
    Measure,
    /// Something that many subjects share.
    Generic,
    /// A subject.
    Subject,
}

/// The number of a concept.
pub(super) type ConceptId = u16;

/// A concept of the lexicon.
#[derive(Debug)]
pub(super) struct Concept {
    /// As terms of an index call it: `#invoice`.
    pub(super) term: String,
    pub(super) class: WordClass,
    /// The concepts that it is close to.
    pub(super) related: Vec<ConceptId>,
}

/// What small words do in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum WordRole {
    /// Nothing.
    Stop,
    /// Near the beginning they ask for something.
    Ask,
    /// As the first word they ask for something.
    Auxiliary,
    /// They tell of the person who speaks.
    Oneself,
    /// They point to what is one's own, as a company.
    Ours,
    /// They begin a clause.
    Join,
    /// They deny.
    No,
}

/// The lexicon.
#[derive(Debug)]
pub(super) struct Lexicon {
    concepts: Vec<Concept>,
    /// By language, in their order.
    terms: [LanguageTerms; 4],
    /// How German stems of the lexicon begin, with [`BEGINNING`] letters or fewer.
    german: HashSet<String>,
    /// By word: in which languages it has which role.
    roles: HashMap<String, Vec<(TextLanguage, WordRole)>>,
}

/// The terms of a language.
#[derive(Debug, Default)]
struct LanguageTerms {
    /// By stems of a term, joined by spaces: its concepts.
    concepts: HashMap<String, Vec<ConceptId>>,
    /// The same for words as they stand in the lexicon, folded.
    lemmas: HashMap<String, Vec<ConceptId>>,
    /// The most words of a term that begins with this stem.
    longest: HashMap<String, usize>,
}

/// Letters of a word by which most are told not to begin with a stem of the lexicon.
const BEGINNING: usize = 3;

/// Concepts of a word or of a few words that stand together.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// How many words.
    pub(super) words: usize,
    pub(super) concepts: &'a [ConceptId],
}

static LEXICON: LazyLock<Lexicon> =
    LazyLock::new(|| Lexicon::read(include_str!("lexicon.txt"), include_str!("words.txt")));

/// The one lexicon.
pub(super) fn lexicon() -> &'static Lexicon {
    &LEXICON
}

impl Lexicon {
    fn read(lexicon: &str, words: &str) -> Self {
        let mut read =
            Self { concepts: Vec::new(), terms: Default::default(), german: HashSet::new(), roles: HashMap::new() };
        words.lines().for_each(|line| read.read_roles(line));
        let lines: Vec<_> = lexicon.lines().filter_map(ConceptLine::read).collect();
        for line in &lines {
            read.add_concept(line);
        }
        for (at, line) in lines.iter().enumerate() {
            let ids = |name: &str| lines.iter().position(|other| other.name == name).map(|id| id as ConceptId);
            let related = line.related.split_whitespace().filter_map(ids).collect();
            if let Some(concept) = read.concepts.get_mut(at) {
                concept.related = related;
            }
        }
        let beginning = |stem: &String| stem.chars().take(BEGINNING).collect();
        read.german = read.terms(TextLanguage::German).concepts.keys().map(beginning).collect();
        read
    }

    fn read_roles(&mut self, line: &str) {
        let Some((head, words)) = line.split_once(':') else { return };
        let Some((language, role)) = head.split_once(' ') else { return };
        let role = match role {
            "stop" => WordRole::Stop,
            "ask" => WordRole::Ask,
            "aux" => WordRole::Auxiliary,
            "self" => WordRole::Oneself,
            "join" => WordRole::Join,
            "ours" => WordRole::Ours,
            "no" => WordRole::No,
            _ => return,
        };
        let Some(language) = TextLanguage::of_code(language) else { return };
        for word in words.split(',') {
            self.roles.entry(fold(word.trim())).or_default().push((language, role));
        }
    }

    fn add_concept(&mut self, line: &ConceptLine<'_>) {
        let id = self.concepts.len() as ConceptId;
        let term = format!("#{}", line.name);
        self.concepts.push(Concept { term, class: line.class, related: Vec::new() });
        for (language, terms) in TextLanguage::ALL.into_iter().zip(line.terms.split('|')) {
            for term in terms.split(',').map(str::trim).filter(|term| !term.is_empty()) {
                let spellings = HashSet::from([term.to_lowercase(), fold(term), umlauts_spelled_out(term)]);
                for spelling in spellings {
                    self.add_term(language, &spelling, id);
                }
            }
        }
    }

    fn add_term(&mut self, language: TextLanguage, term: &str, id: ConceptId) {
        let stems: Vec<_> = tokens(term, 8).iter().map(|token| language.stem(&token.lower)).collect();
        let Some(first) = stems.first() else { return };
        let Some(terms) = self.terms.get_mut(language as usize) else { return };
        let longest = terms.longest.entry(first.clone()).or_default();
        *longest = stems.len().max(*longest);
        let of_stems = terms.concepts.entry(stems.join(" ")).or_default();
        let of_word = terms.lemmas.entry(fold(term)).or_default();
        for concepts in [of_stems, of_word] {
            if !concepts.contains(&id) {
                concepts.push(id);
            }
        }
    }

    /// A concept by its number.
    pub(super) fn concept(&self, id: ConceptId) -> Option<&Concept> {
        self.concepts.get(usize::from(id))
    }

    /// The concepts that a text's next words stand for in a language, as many words as possible. `stems` are these words' stems,
    /// `folded` is the first word: if it stands in the lexicon as it is, others of its stem are not meant.
    pub(super) fn find(&self, language: TextLanguage, folded: &str, stems: &[&str]) -> Option<Found<'_>> {
        let (terms, first) = (self.terms(language), *stems.first()?);
        let longest = terms.longest.get(first)?;
        (1..=stems.len().min(*longest)).rev().find_map(|words| {
            let concepts = match words {
                1 => terms.lemmas.get(folded).or_else(|| terms.concepts.get(first)),
                _ => terms.concepts.get(&stems.get(..words)?.join(" ")),
            }?;
            Some(Found { words, concepts })
        })
    }

    /// Whether a word stands in the lexicon as it is.
    pub(super) fn is_lemma(&self, language: TextLanguage, folded: &str) -> bool {
        self.terms(language).lemmas.contains_key(folded)
    }

    /// The concepts of the two parts of a compound: `Durchschnittsgehalt`.
    pub(super) fn find_compound(&self, folded: &str) -> Vec<ConceptId> {
        const LINKS: [&str; 5] = ["", "s", "n", "en", "es"];
        let language = TextLanguage::German;
        let concepts = |part: &str| {
            // A stem is how its word begins.
            let begins = (1..=BEGINNING).filter_map(|length| part.get(..length));
            let may_be = begins.into_iter().any(|beginning| self.german.contains(beginning));
            may_be.then(|| self.terms(language).concepts.get(&language.stem(part)).map(Vec::as_slice))?
        };
        if !folded.is_ascii() || folded.len() < 8 {
            return Vec::new();
        }
        for at in 3..folded.len().saturating_sub(3) {
            let (left, right) = folded.split_at(at);
            let Some(head) = concepts(right) else { continue };
            let parts = LINKS.iter().filter_map(|link| left.strip_suffix(link)).filter(|left| left.len() >= 3);
            if let Some(before) = parts.filter_map(concepts).next() {
                return before.iter().chain(head).copied().collect();
            }
        }
        Vec::new()
    }

    fn terms(&self, language: TextLanguage) -> &LanguageTerms {
        let [english, german, spanish, french] = &self.terms;
        match language {
            TextLanguage::English => english,
            TextLanguage::German => german,
            TextLanguage::Spanish => spanish,
            TextLanguage::French => french,
        }
    }

    /// What a word does in the sentences of a language.
    pub(super) fn roles<'a>(&'a self, token: &Token) -> &'a [(TextLanguage, WordRole)] {
        self.roles.get(&token.folded).map_or(&[], Vec::as_slice)
    }
}

/// `ueberfaellig` for `überfällig`.
fn umlauts_spelled_out(term: &str) -> String {
    fold(&term.to_lowercase().replace('ä', "ae").replace('ö', "oe").replace('ü', "ue"))
}

/// A line of `lexicon.txt`.
struct ConceptLine<'a> {
    class: WordClass,
    name: &'a str,
    terms: &'a str,
    related: &'a str,
}

impl<'a> ConceptLine<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (head, body) = line.split_once(" = ")?;
        let (class, name) = match head.split_once(' ') {
            None => (WordClass::Subject, head),
            Some((".", name)) => (WordClass::Generic, name),
            Some(("~", name)) => (WordClass::Measure, name),
            Some(("@", name)) => (WordClass::Time, name),
            Some(_) => return None,
        };
        let (terms, related) = body.split_once(" > ").unwrap_or((body, ""));
        Some(Self { class, name, terms, related })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concepts(text: &str, language: TextLanguage) -> Vec<String> {
        let stems: Vec<_> = tokens(text, 9).iter().map(|token| language.stem(&token.lower)).collect();
        let stems: Vec<_> = stems.iter().map(String::as_str).collect();
        let found = lexicon().find(language, &fold(text), &stems);
        let ids = found.map(|found| found.concepts.to_vec()).unwrap_or_default();
        ids.iter().filter_map(|id| lexicon().concept(*id)).map(|concept| concept.term.clone()).collect()
    }

    #[test]
    fn every_line_is_read_and_has_all_languages() {
        let lines = include_str!("lexicon.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut names = HashSet::new();
        for line in lines {
            let read = ConceptLine::read(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(read.terms.split('|').count(), 4, "{line}");
            assert!(names.insert(read.name), "twice: {line}");
        }
        for line in include_str!("lexicon.txt").lines().filter_map(ConceptLine::read) {
            for related in line.related.split_whitespace() {
                assert!(names.contains(related), "{} is close to {related}, which is none", line.name);
            }
        }
        assert!(names.len() > 200);
    }

    #[test]
    fn terms_of_four_languages_are_one_concept() {
        let terms = [
            (TextLanguage::English, "Invoices"),
            (TextLanguage::English, "bill"),
            (TextLanguage::German, "Rechnungen"),
            (TextLanguage::Spanish, "facturas"),
            (TextLanguage::French, "factures"),
        ];
        for (language, term) in terms {
            assert!(concepts(term, language).contains(&"#invoice".to_owned()), "{term}");
        }
        assert_eq!(concepts("überfällige", TextLanguage::German), ["#overdue"]);
        assert_eq!(concepts("ueberfaellig", TextLanguage::German), ["#overdue"]);
        assert_eq!(concepts("sick leave in May", TextLanguage::English), ["#sick"]);
    }

    #[test]
    fn compounds_are_taken_apart() {
        let parts = |word| {
            let ids = lexicon().find_compound(word);
            ids.iter().filter_map(|id| lexicon().concept(*id)).map(|concept| concept.term.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(parts("durchschnittsgehalt"), ["#average", "#salary"]);
        assert_eq!(parts("lieferantenrechnungen"), ["#supplier", "#invoice"]);
        assert!(parts("understanding").is_empty());
    }
}
