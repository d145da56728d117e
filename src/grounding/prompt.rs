//! A prompt, cut into clauses of words with what they say.

use std::cmp::Reverse;

use super::acts::Act;
use super::lexicon::{ConceptId, Lexicon, WordClass, WordRole, lexicon};
use super::text::{TextLanguage, Token, WordList, fold, kin, tokens};

/// Characters of a prompt that are looked at: what is wanted stands at its beginning.
const MAX_CHARS: usize = 4000;
/// Words of a prompt that are looked at.
const MAX_WORDS: usize = 160;
/// Words of one clause that are scored.
pub(super) const MAX_CLAUSE_WORDS: usize = 64;
/// Words of a clause that is taken for a wish although it has no verb that says so: `Open invoices of Alpha`.
const MAX_PHRASE_WORDS: usize = 9;

/// First words of a clause of which one may ask: `I'd like to see ..`.
const ASKING_WORDS: usize = 6;

/// A word, or a few that are one term.
#[derive(Clone, Debug)]
pub(super) struct Word {
    /// As it is written.
    pub(super) written: String,
    pub(super) class: WordClass,
    /// What an index may know it as.
    pub(super) terms: Vec<String>,
    /// Terms that are close to it.
    pub(super) related: Vec<String>,
    /// Whether it is written like a name, and no known word.
    pub(super) is_name: bool,
}

/// In which languages a word has which role.
type WordRoles = &'static [(TextLanguage, WordRole)];

/// A part of a prompt that asks for one thing.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) words: Vec<Word>,
    /// Where it stands among the tokens of the prompt.
    pub(super) tokens: (usize, usize),
    pub(super) act: Act,
    /// Whether it asks for something.
    pub(super) asks: bool,
    /// Whether it asks for a measure or a list.
    pub(super) is_figure: bool,
    /// Whether it begins by asking on its own.
    pub(super) is_imperative: bool,
    /// Whether it speaks of one's own: `our customers`.
    pub(super) is_ours: bool,
    /// Whether it begins with `and`, `then` or the like.
    pub(super) is_joined: bool,
    /// Whether it is the beginning of a sentence.
    pub(super) is_sentence: bool,
}

/// A prompt.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    pub(super) tokens: Vec<Token>,
    /// By token: what it does in sentences.
    roles: Vec<WordRoles>,
    pub(super) text: String,
    pub(super) clauses: Vec<Clause>,
    pub(super) languages: Vec<TextLanguage>,
}

impl Prompt {
    /// Reads a prompt.
    pub(super) fn read(prompt: &str) -> Self {
        let text: String = prompt.chars().take(MAX_CHARS).collect();
        let tokens = tokens(&text, MAX_WORDS);
        let roles: Vec<_> = tokens.iter().map(|token| lexicon().roles(token)).collect();
        let languages = languages_of(&roles);
        let mut read = Self { tokens, roles, text, clauses: Vec::new(), languages };
        let mut start = 0;
        for at in 1..=read.tokens.len() {
            if at == read.tokens.len() || read.begins_clause(at) {
                let clause = read.clause(start, at);
                read.clauses.push(clause);
                start = at;
            }
        }
        read.inherit();
        read
    }

    /// The text between a word and the one before it.
    pub(super) fn gap(&self, before: usize) -> &str {
        let from = before.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.1);
        let to = self.tokens.get(before).map_or(self.text.len(), |token| token.span.0);
        self.text.get(from..to).unwrap_or_default()
    }

    /// Whether a word has a role in the prompt's languages.
    pub(super) fn has_role(&self, at: usize, role: WordRole) -> bool {
        let roles = self.roles.get(at).copied().unwrap_or_default();
        roles.iter().any(|(language, known)| *known == role && self.languages.contains(language))
    }

    /// Whether a word is a term of business.
    pub(super) fn is_term(&self, at: usize) -> bool {
        let Some(token) = self.tokens.get(at) else { return false };
        let knows = |language: TextLanguage| {
            lexicon().find(language, &token.folded, &[language.stem(&token.lower).as_str()]).is_some()
        };
        TextLanguage::ALL.into_iter().any(knows)
    }

    /// Whether a clause points to what was asked for before it: `.. for each of them`.
    pub(super) fn points_back(&self, clause: &Clause) -> bool {
        static BACK: WordList = WordList::new(
            "it them each those these they result results accordingly ihnen jede jeden jedem jeder damit daraus davon dafur \
     cada ellos ellas esos estas chacun chacune chaque eux leur",
        );
        let tokens = self.tokens.get(clause.tokens.0..clause.tokens.1).unwrap_or_default();
        clause.tokens.0 > 0 && tokens.iter().any(|token| BACK.has(&token.folded))
    }

    /// Whether something else is wanted from here on: `.. and show me the weather`.
    pub(super) fn turns_to_us(&self, at: usize) -> bool {
        static WISHES: WordList = WordList::new(
            "show list give tell find count search then afterwards zeig zeige liste gib nenne such suche dann danach muestra \
     muestrame dame dime busca lista luego despues montre donne dis cherche puis ensuite",
        );
        let is_wish = |at: usize| self.tokens.get(at).is_some_and(|token| WISHES.has(&token.folded));
        is_wish(at) || (self.has_role(at, WordRole::Join) && is_wish(at + 1))
    }

    /// Whether a word does something in a sentence, and says nothing of a subject.
    fn is_small(&self, at: usize) -> bool {
        use WordRole::{Auxiliary, Join, No, Oneself, Ours, Stop};
        const SMALL: [WordRole; 6] = [Stop, Auxiliary, Oneself, Ours, No, Join];
        let roles = self.roles.get(at).copied().unwrap_or_default();
        roles.iter().any(|(language, known)| SMALL.contains(known) && self.languages.contains(language))
    }

    fn ends_sentence(&self, before: usize) -> bool {
        let gap = self.gap(before);
        gap.contains(['?', '!', ';', '\n']) || gap.contains(". ")
    }

    fn begins_clause(&self, at: usize) -> bool {
        static CALLS: WordList =
            WordList::new("ask tell use have let frag frage nutze lass pregunta pide usa dile demande utilise dis");
        let calls = self.tokens.get(at).is_some_and(|token| CALLS.has(&token.folded));
        let asks = calls
            || self.has_role(at, WordRole::Ask)
            || self.has_role(at, WordRole::Auxiliary)
            || self.is_greeting(at - 1);
        self.ends_sentence(at) || self.has_role(at, WordRole::Join) || (self.gap(at).contains(',') && asks)
    }

    /// Whether somebody can be addressed here: at the beginning of a sentence, or after a greeting.
    pub(super) fn begins_address(&self, at: usize) -> bool {
        at == 0 || self.ends_sentence(at) || self.is_greeting(at - 1)
    }

    fn is_greeting(&self, at: usize) -> bool {
        static GREETINGS: WordList =
            WordList::new("hi hello hey hallo moin hola bonjour salut morning morgen tag dias");
        self.tokens.get(at).is_some_and(|token| GREETINGS.has(&token.folded))
    }

    fn clause(&self, from: usize, to: usize) -> Clause {
        let starts = |at: usize| self.tokens.get(at).map_or(self.text.len(), |token| token.span.0);
        let begin = if from == 0 { 0 } else { starts(from) };
        let folded = fold(self.text.get(begin..starts(to)).unwrap_or_default());
        let words = self.words(from, to);
        let first = (from..to).find(|at| !self.has_role(*at, WordRole::Join) && !self.is_greeting(*at)).unwrap_or(from);
        let asks_at = |at: usize| at < to && self.has_role(at, WordRole::Ask);
        let is_imperative = asks_at(first) || self.has_role(first, WordRole::Auxiliary);
        let is_figure = words.iter().any(|word| word.class == WordClass::Measure);
        let is_question = self.gap(to).contains('?');
        let is_own = (from..to).any(|at| self.has_role(at, WordRole::Oneself));
        let is_told = (first + 1..to).any(|at| self.has_role(at, WordRole::Auxiliary));
        let is_phrase = to - from <= MAX_PHRASE_WORDS && !is_own && !is_told;
        let asks = is_imperative || is_figure || is_question || is_phrase || (first..first + ASKING_WORDS).any(asks_at);
        let is_sentence = from == 0 || self.ends_sentence(from);
        let is_ours = (from..to).any(|at| self.has_role(at, WordRole::Ours));
        let act = match Act::of(&folded) {
            // What is one's own has to be looked up.
            Act::Explanation if is_ours => Act::Plain,
            Act::Plain if self.asks_for_meaning(first, to) => Act::Explanation,
            act => act,
        };
        let is_joined = self.has_role(from, WordRole::Join);
        Clause { words, tokens: (from, to), act, asks, is_figure, is_imperative, is_ours, is_joined, is_sentence }
    }

    /// Whether it asks what a term means: `What is inventory turnover?`; not `What is overdue?` nor `What is in stock?`.
    fn asks_for_meaning(&self, from: usize, to: usize) -> bool {
        static STATES: WordList = WordList::new("overdue due unpaid outstanding missing late left available damaged");
        let word = |at: usize| self.tokens.get(at).map_or("", |token| token.folded.as_str());
        let is_term = |at: usize| {
            let is_plain = self.tokens.get(at).is_some_and(|token| !token.is_capital);
            is_plain && !self.has_role(at, WordRole::Stop) && !STATES.has(word(at)) && word(at).len() > 3
        };
        word(from) == "what"
            && matches!(word(from + 1), "is" | "are" | "s")
            && (1..=3).contains(&(to.saturating_sub(from + 2)))
            && (from + 2..to).all(is_term)
    }

    /// The words of a clause, terms of several words as one.
    fn words(&self, from: usize, to: usize) -> Vec<Word> {
        let tokens = self.tokens.get(from..to).unwrap_or_default();
        let stems: Vec<Vec<String>> = self
            .languages
            .iter()
            .map(|language| tokens.iter().map(|token| language.stem(&token.lower)).collect())
            .collect();
        let (mut words, mut at) = (Vec::new(), 0);
        while at < tokens.len() && words.len() < MAX_CLAUSE_WORDS {
            let Some(token) = tokens.get(at) else { break };
            let (taken, concepts) = self.concepts(&stems, at, &token.folded);
            let is_stop = taken <= 1 && self.is_small(from + at);
            if taken > 0 && !is_stop {
                words.push(self.known(from + at, taken, concepts));
            } else if !is_stop && !self.has_role(from + at, WordRole::Ask) {
                let stems = stems.iter().filter_map(|stems| stems.get(at).map(String::as_str));
                let may_be_name = at > 0 || token.is_capital && self.languages.len() > 1;
                let mut word = unknown(token, stems, may_be_name);
                if self.languages.first() == Some(&TextLanguage::German) {
                    word.related.extend(ends(&token.folded));
                }
                words.push(word);
            }
            at += taken.max(1);
        }
        words
    }

    /// How many words from here on are a term, and its concepts.
    fn concepts(&self, stems: &[Vec<String>], at: usize, folded: &str) -> (usize, Vec<ConceptId>) {
        let mut best = (0, Vec::new());
        for (language, stems) in self.languages.iter().zip(stems) {
            let next: Vec<_> = stems.iter().skip(at).take(5).map(String::as_str).collect();
            let Some(found) = lexicon().find(*language, folded, &next) else { continue };
            // What a word means in the prompt's own language goes before what it means in English.
            let is_guest = *language == TextLanguage::English && self.languages.first() != Some(language);
            if found.words > best.0 {
                best = (found.words, found.concepts.to_vec());
            } else if found.words == best.0 && !is_guest {
                best.1.extend(found.concepts);
            }
        }
        best
    }

    fn known(&self, at: usize, taken: usize, concepts: Vec<ConceptId>) -> Word {
        let span = |at: usize| self.tokens.get(at).map_or((0, 0), |token| token.span);
        let written = self.text.get(span(at).0..span(at + taken - 1).1).unwrap_or_default().to_owned();
        let mut word = known(lexicon(), written, &concepts);
        if let Some(token) = self.tokens.get(at).filter(|_| taken == 1) {
            // A resource may be called by the word itself.
            word.terms.push(token.folded.clone());
        }
        word
    }

    /// A clause that does not ask on its own goes on with what the one before it does.
    fn inherit(&mut self) {
        let (mut act, mut asks, mut is_text) = (Act::Plain, false, false);
        for clause in &mut self.clauses {
            let is_opinion = act == Act::Opinion && !clause.is_sentence;
            let goes_on =
                is_text || is_opinion || (!clause.is_imperative && !clause.is_sentence && clause.act == Act::Plain);
            if goes_on {
                clause.act = act;
                clause.asks |= asks && clause.is_joined;
            }
            let text = self.tokens.get(clause.tokens.0).and_then(|token| self.text.get(token.span.0..));
            is_text |= clause.act == Act::Text
                && text.is_some_and(|text| text.contains([':', '"', '“', '„', '«', '\n', '\'']));
            (act, asks) = (clause.act, clause.asks);
        }
    }
}

/// A word of the lexicon.
fn known(lexicon: &Lexicon, written: String, concepts: &[ConceptId]) -> Word {
    let of = |id: &ConceptId| lexicon.concept(*id);
    let class = concepts.iter().filter_map(of).map(|concept| concept.class).max().unwrap_or(WordClass::Stop);
    let terms = concepts.iter().filter_map(of).map(|concept| concept.term.clone()).collect();
    let related = concepts.iter().filter_map(of).flat_map(|concept| &concept.related).filter_map(of);
    let related = related.map(|concept| concept.term.clone()).collect();
    Word { written, class, terms, related, is_name: false }
}

/// A word that the lexicon does not know, unless it is made of two that it knows.
fn unknown<'a>(token: &Token, stems: impl Iterator<Item = &'a str>, may_be_name: bool) -> Word {
    let parts = lexicon().find_compound(&token.folded);
    if !parts.is_empty() {
        return known(lexicon(), token.lower.clone(), &parts);
    }
    let is_number = token.folded.chars().all(|c| c.is_ascii_digit());
    let class = if is_number || token.folded.len() < 2 { WordClass::Stop } else { WordClass::Subject };
    let mut terms: Vec<String> = vec![token.folded.clone()];
    for stem in stems {
        if !terms.iter().any(|known| known == stem) {
            terms.push(stem.to_owned());
        }
    }
    let is_name = token.is_capital && may_be_name;
    let related = kin(&token.folded).into_iter().collect();
    Word { written: token.lower.clone(), class, terms, related, is_name }
}

/// What a compound may begin or end with: `pollenflug` begins with `pollen`.
fn ends(folded: &str) -> Vec<String> {
    /// Letters of a part of a compound, at least.
    const PART: usize = 4;
    let cuts = PART..folded.len().saturating_sub(PART - 1);
    let parts = cuts.filter_map(|at| Some([folded.get(..at)?.to_owned(), folded.get(at..)?.to_owned()]));
    parts.flatten().collect()
}

/// The languages that a prompt may be in, the likeliest first: those whose small words it has, and English; all if it has none.
fn languages_of(roles: &[WordRoles]) -> Vec<TextLanguage> {
    let count = |language: TextLanguage| {
        roles.iter().filter(|of_word| of_word.iter().any(|(known, _)| *known == language)).count()
    };
    let counts = TextLanguage::ALL.map(|language| (language, count(language)));
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let is_likely = |(language, count): &(TextLanguage, usize)| {
        *language == TextLanguage::English || most == 0 || *count * 5 >= most * 4
    };
    let mut likely: Vec<_> = counts.into_iter().filter(is_likely).collect();
    likely.sort_by_key(|(_, count)| Reverse(*count));
    likely.into_iter().map(|(language, _)| language).collect()
}
