//! Whether a prompt asks a verified question in other words: nothing may be in one that the other lacks, but for words that say
//! nothing, and for values that a parameter of the question takes.

use std::collections::BTreeSet;

use super::lexicon::WordRole;
use super::marks::{mark_of, number_of, signs_of};
use super::prompt::{Prompt, Word};
use super::text::{TextLanguage, WordList, fold, tokens};
use super::vocabulary::Detail;

/// Concepts of which a question may have one more or less.
static FILLERS: WordList = WordList::new("#data_word #search #description #amount #money #person");
/// Concepts of words that are close for routing, but ask for different things: these are the same only if they are spelled so.
static COARSE: WordList = WordList::new(
    "#active #bonus #book_item #country #device #early #hour #loan #material #money_unit #month_name #most #least \
    #music #profit #property #repository #review #server #shipment #size #tenant #transaction #vehicle #weather #weekday",
);
/// Times that may be the value of a parameter.
static MOMENTS: WordList = WordList::new("#today #yesterday #tomorrow #month_name #weekday");

/// What a word is in a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartKind {
    /// A subject, measure or the like.
    Needed,
    /// It says nothing.
    Filler,
    /// No known word: a subject, or the value of a parameter.
    Unknown,
    /// A number, name, time or quoted text.
    Value,
}

/// A word, or a few that are one term.
#[derive(Clone, Debug)]
struct Part {
    written: Vec<String>,
    terms: BTreeSet<String>,
    /// Whether it says all of its terms: `Lieferantenrechnungen`.
    is_compound: bool,
    kind: PartKind,
    /// Where it stands among the tokens.
    at: usize,
}

/// A parameter of a verified question.
#[derive(Clone, Debug)]
struct Slot {
    name: BTreeSet<String>,
    default: BTreeSet<String>,
}

/// What a question is made of.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    parts: Vec<Part>,
    /// Words that turn a question into another, as `above` or `per`, by what they say.
    marks: Vec<String>,
    /// What it denies.
    denied: BTreeSet<BTreeSet<String>>,
    slots: Vec<Slot>,
}

/// How a prompt asks a verified question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likeness {
    /// 0 to 1.
    pub(super) similarity: f64,
    /// Values that it gives to parameters.
    pub(super) given: usize,
}

impl Asked {
    /// What a prompt is made of.
    pub(super) fn of(prompt: &Prompt) -> Self {
        let mut parts = parts_of(prompt);
        let mut marks = signs_of(&prompt.text);
        marks.extend(parts.iter().filter_map(Part::divided_by).map(|_| "per".to_owned()));
        parts = parts.into_iter().flat_map(Part::undivided).collect();
        let place = |at: usize| parts.iter().find(|part| part.covers(at)).map(|part| part.written.len());
        let places: Vec<_> = (0..prompt.tokens.len()).map(place).collect();
        // What stands in a term of several words says what the term does.
        let single = || {
            let numbered = prompt.tokens.iter().zip(&places).enumerate();
            numbered.filter(|(_, (_, place))| place.is_none_or(|words| words < 2))
        };
        marks.extend(single().filter_map(|(_, (token, _))| mark_of(&token.folded)).map(str::to_owned));
        let denied = single().filter(|(at, _)| prompt.has_role(*at, WordRole::No));
        let denied = denied.map(|(at, _)| denied_at(&parts, at)).collect();
        let numbers = single().filter(|(_, (_, place))| place.is_none());
        parts.extend(numbers.filter_map(|(at, (token, _))| Some(Part::number(number_of(&token.folded)?, at))));
        parts.retain(|part| part.written.len() > 1 || part.written.iter().all(|word| mark_of(word).is_none()));
        parts.sort_by_key(|part| part.at);
        marks.sort();
        marks.dedup();
        Self { parts, marks, denied, slots: Vec::new() }
    }

    /// What a verified question with these parameters is made of; a parameter's value is its default.
    pub(super) fn of_question(question: &str, parameters: &[Detail]) -> Self {
        let words = |text: &str| tokens(text, 20).into_iter().map(|token| token.folded).collect::<BTreeSet<_>>();
        let slot = |parameter: &Detail| Slot {
            name: words(&parameter.name.replace('_', " ")),
            default: parameter.values.iter().flat_map(|value| words(value)).collect(),
        };
        Self { slots: parameters.iter().map(slot).collect(), ..Self::of(&Prompt::read(question)) }
    }

    /// The words of each part, as an index knows them.
    pub(super) fn terms(&self) -> impl Iterator<Item = &BTreeSet<String>> {
        self.parts.iter().map(|part| &part.terms)
    }

    /// Of a verified question, the words that each prompt that asks it must have.
    pub(super) fn needed(&self) -> impl Iterator<Item = &BTreeSet<String>> {
        let is_needed = |part: &&Part| {
            matches!(part.kind, PartKind::Needed | PartKind::Unknown) && !self.is_named(part) && !self.is_default(part)
        };
        self.parts.iter().filter(is_needed).map(|part| &part.terms)
    }

    /// How it asks a verified question, if it does.
    pub(super) fn likeness(&self, question: &Self) -> Option<Likeness> {
        if self.marks != question.marks || !agree(&self.denied, &question.denied) || question.needed().next().is_none()
        {
            return None;
        }
        let of_question = |part: &Part| question.kind_of(part);
        let (known, missing): (Vec<_>, Vec<_>) = question.parts.iter().partition(|part| part.is_in(&self.parts));
        let extra: Vec<_> = self.parts.iter().filter(|part| !part.is_in(&question.parts)).collect();
        // What stands for a parameter may be its name, its default, or any value if none is known.
        let values: Vec<_> = missing.iter().copied().filter(|part| of_question(part) == PartKind::Value).collect();
        let is_free = question.slots.iter().filter(|slot| slot.default.is_empty()).count();
        let unexplained: Vec<_> = values.iter().copied().filter(|part| !question.is_default(part)).collect();
        let is_replaceable = |part: &&Part| of_question(part) != PartKind::Unknown && !part.is_plain(question);
        if !missing.iter().all(is_replaceable) || runs(&unexplained) > is_free {
            return None;
        }
        let given: Vec<_> =
            extra.iter().copied().filter(|part| part.kind != PartKind::Filler && !question.is_named(part)).collect();
        let taken: Vec<_> = known.into_iter().filter(|part| of_question(part) == PartKind::Value).collect();
        let open = question.slots.len().saturating_sub(runs(&taken));
        let is_given = given.iter().all(|part| matches!(part.kind, PartKind::Value | PartKind::Unknown));
        if !is_given || runs(&given) > open || (!values.is_empty() && given.is_empty()) {
            return None;
        }
        let fillers = |parts: &[&Part]| parts.iter().filter(|part| part.kind == PartKind::Filler).count();
        let similarity = 1.0 - 0.02 * (fillers(&missing) + fillers(&extra)).min(5) as f64;
        Some(Likeness { similarity, given: runs(&given) })
    }

    /// What a part of a verified question is, with its parameters in mind.
    fn kind_of(&self, part: &Part) -> PartKind {
        if self.is_default(part) { PartKind::Value } else { part.kind }
    }

    /// Whether it stands in the name of a parameter.
    fn is_named(&self, part: &Part) -> bool {
        self.slots.iter().any(|slot| part.written.iter().all(|word| slot.name.contains(word)))
    }

    /// Whether it stands in the default of a parameter.
    fn is_default(&self, part: &Part) -> bool {
        self.slots.iter().any(|slot| part.written.iter().all(|word| slot.default.contains(word)))
    }
}

/// The words of a prompt, and where they stand.
fn parts_of(prompt: &Prompt) -> Vec<Part> {
    let quoted = quoted(&prompt.text);
    let mut parts = Vec::new();
    for clause in &prompt.clauses {
        let mut at = clause.tokens.0;
        for word in &clause.words {
            let first = tokens(&word.written, 1).pop().map(|token| token.folded).unwrap_or_default();
            let mut rest = prompt.tokens.iter().enumerate().skip(at);
            at = rest.find(|(_, token)| token.folded == first).map_or(at, |(at, _)| at);
            let part = Part::of(word, at, &quoted);
            at += part.written.len();
            parts.push(part);
        }
    }
    parts
}

impl Part {
    fn of(word: &Word, at: usize, quoted: &BTreeSet<String>) -> Self {
        let written: Vec<_> = tokens(&word.written, 9).into_iter().map(|token| token.folded).collect();
        let folded = fold(&word.written);
        let mut terms: BTreeSet<String> = word.terms.iter().cloned().collect();
        let has = |list: &WordList| word.terms.iter().any(|term| list.has(term));
        let is_known = word.terms.iter().any(|term| term.starts_with('#'));
        let is_number = written.iter().all(|word| word.chars().all(|c| c.is_numeric()));
        let is_quoted = written.iter().all(|word| quoted.contains(word));
        let kind = match () {
            () if is_number || word.is_name || is_quoted || has(&MOMENTS) => PartKind::Value,
            () if has(&FILLERS) => PartKind::Filler,
            () if !is_known => PartKind::Unknown,
            () => PartKind::Needed,
        };
        let is_compound = is_known && written.len() == 1 && !word.terms.contains(&folded);
        if has(&COARSE) && !is_compound {
            let stems = TextLanguage::ALL.map(|language| language.stem(&word.written.to_lowercase()));
            terms = stems.into_iter().chain([folded]).collect();
        }
        Self { written, terms, is_compound, kind, at }
    }

    fn number(number: &str, at: usize) -> Self {
        let terms = BTreeSet::from([number.to_owned()]);
        Self { written: vec![number.to_owned()], terms, is_compound: false, kind: PartKind::Value, at }
    }

    /// What a term of several words divides by: `by month`.
    fn divided_by(&self) -> Option<&str> {
        self.written.last().filter(|_| self.written.len() > 1 && self.terms.contains("#per")).map(String::as_str)
    }

    /// What it divides by instead of a term that says that it does.
    fn undivided(self) -> Vec<Self> {
        let Some(by) = self.divided_by() else { return vec![self] };
        let at = self.at + self.written.len() - 1;
        let words = Prompt::read(by).clauses.into_iter().flat_map(|clause| clause.words);
        words.map(|word| Self::of(&word, at, &BTreeSet::new())).collect()
    }

    fn covers(&self, at: usize) -> bool {
        (self.at..self.at + self.written.len()).contains(&at)
    }

    /// Whether others say the same.
    fn is_in(&self, others: &[Self]) -> bool {
        match self.is_compound {
            true => self.terms.iter().all(|term| others.iter().any(|other| other.terms.contains(term))),
            false => others.iter().any(|other| !self.terms.is_disjoint(&other.terms)),
        }
    }

    /// Whether it is a word of a question that a prompt that asks it can't lack.
    fn is_plain(&self, question: &Asked) -> bool {
        question.kind_of(self) == PartKind::Needed && !question.is_named(self)
    }
}

/// How many values parts are: those next to each other are one, but for words that may be none.
fn runs(parts: &[&Part]) -> usize {
    let is_one = |before: &Part, next: &Part| {
        next.at == before.at + before.written.len() && before.kind == next.kind && next.kind == PartKind::Value
    };
    let joined = parts.windows(2).filter(|pair| matches!(pair, [before, next] if is_one(before, next))).count();
    parts.len() - joined
}

/// What a word that denies stands before, or else after.
fn denied_at(parts: &[Part], at: usize) -> BTreeSet<String> {
    let next = parts.iter().filter(|part| part.at > at).min_by_key(|part| part.at);
    let found = next.or_else(|| parts.iter().filter(|part| part.at < at).max_by_key(|part| part.at));
    found.map(|part| part.terms.clone()).unwrap_or_default()
}

fn agree(denied: &BTreeSet<BTreeSet<String>>, other: &BTreeSet<BTreeSet<String>>) -> bool {
    let is_in = |one: &BTreeSet<String>, all: &BTreeSet<BTreeSet<String>>| {
        all.iter().any(|known| known == one || !known.is_disjoint(one))
    };
    denied.iter().all(|one| is_in(one, other)) && other.iter().all(|one| is_in(one, denied))
}

/// The words of quoted texts.
fn quoted(text: &str) -> BTreeSet<String> {
    let parts = text.split(['"', '“', '”', '„', '«', '»']).skip(1).step_by(2);
    parts.flat_map(|part| tokens(part, 20)).map(|token| token.folded).collect()
}
