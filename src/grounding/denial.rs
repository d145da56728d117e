//! Words by which a prompt rules a resource out: `don't ask the hr source`, `without erp`, `frag zain nicht`.

use super::kind_words::is_kind_word;
use super::lexicon::WordRole;
use super::prompt::Prompt;
use super::text::WordList;

/// Words before a name that leave it out, while the sentence goes on.
static WITHOUT: WordList = WordList::new(
    "without except excluding exclude avoid skip ignore ohne ausser ignoriere vermeide sin salvo excepto evita ignora \
     sans sauf excepte evite evitez ignorez",
);
/// Denials, written without their apostrophe.
static NO: WordList = WordList::new("dont cant cannot shouldnt mustnt");
/// Verbs that only call somebody where they are denied.
static TOUCH: WordList =
    WordList::new("touch access involve contact include check search look go read open bother question");
/// What may stand between those and a name.
static BUT: WordList = WordList::new("but aber pero mais");
static PLACES: WordList = WordList::new("in into at from inside");
/// What joins names.
static JOINS: WordList =
    WordList::new("or nor and oder und noch o y ni u ou et the la el le les die der den das auch also neither");
/// Denials further back than this are of something else.
const DENIAL_WORDS: usize = 4;
/// Words between names that are joined.
const JOIN_WORDS: usize = 3;

/// What a denial leaves of its clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// It says nothing else: `don't ask hr`.
    Whole,
    /// It asks for something all the same: `how many orders, without erp?`.
    Aside,
}

/// Where a name stands in a prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamePlace {
    pub(super) at: usize,
    /// The first word after it and its kind.
    pub(super) after: usize,
    /// The last word before it, but for those that may stand between.
    pub(super) before: Option<usize>,
    /// Whether a verb calls it.
    pub(super) is_called: bool,
    /// Whether a word for its kind stands beside it.
    pub(super) has_kind: bool,
}

/// Whether a prompt rules out what is named here. `is_verb` tells whether a word is one that calls somebody.
pub(super) fn denial(prompt: &Prompt, place: &NamePlace, is_verb: impl Fn(usize) -> bool) -> Option<Denial> {
    let word = |at: usize| prompt.tokens.get(at).map_or("", |token| token.folded.as_str());
    let whole = |after: usize| if prompt.gap(after).starts_with(':') { Denial::Aside } else { Denial::Whole };
    if word(place.after) == "nicht" && word(place.after + 1) != "nur" && place.is_called {
        return Some(whole(place.after + 1));
    }
    let before = place.before.filter(|before| is_tight(prompt, *before, place.at))?;
    let is_without = |at: usize| WITHOUT.has(word(at));
    let is_no = |at: usize| is_without(at) || NO.has(word(at)) || prompt.has_role(at, WordRole::No);
    if is_no(before) {
        let verb = before.checked_sub(1).filter(|verb| is_verb(*verb) && is_tight(prompt, *verb, before));
        if !is_without(before) && (verb.is_some() || place.is_called) {
            return Some(whole(place.after));
        }
        let is_name = is_without(before) && !prompt.is_term(place.at);
        return (place.has_kind || is_name || is_apart(prompt, before, place.after)).then_some(Denial::Aside);
    }
    let is_place = |at: &usize| PLACES.has(word(*at));
    let verb = before.checked_sub(usize::from(is_place(&before)))?;
    if !is_verb(verb) && !TOUCH.has(word(verb)) {
        return None;
    }
    let near = (verb.saturating_sub(DENIAL_WORDS)..verb).rev().take_while(|at| is_tight(prompt, *at, verb));
    let no = near.into_iter().find(|at| is_no(*at))?;
    Some(if is_without(no) { Denial::Aside } else { whole(place.after) })
}

/// Whether a name that begins here is denied with one that ends there: `don't ask hr or erp`.
pub(super) fn is_joined(prompt: &Prompt, end: usize, at: usize) -> bool {
    let between = prompt.tokens.get(end..at).unwrap_or_default();
    let are_joins = between.iter().all(|token| JOINS.has(&token.folded) || is_kind_word(&token.folded));
    let has_no_end = (end..=at).all(|at| !prompt.gap(at).contains(['.', ':', ';', '!', '?', '\n']));
    (1..=JOIN_WORDS).contains(&between.len()) && are_joins && has_no_end
}

/// Whether no punctuation parts two words.
fn is_tight(prompt: &Prompt, from: usize, to: usize) -> bool {
    (from + 1..=to).all(|at| !prompt.gap(at).contains(['.', ',', ':', ';', '!', '?', '\n', '(']))
}

/// Whether words are set off from the rest: `.., without orders, ..`.
fn is_apart(prompt: &Prompt, from: usize, after: usize) -> bool {
    const PUNCTUATION: [char; 9] = ['.', ',', ':', ';', '!', '?', '\n', '(', ')'];
    let is_but = |at: usize| prompt.tokens.get(at).is_some_and(|token| BUT.has(&token.folded));
    let begins = from.checked_sub(1).is_none_or(is_but) || prompt.gap(from).contains(PUNCTUATION);
    begins && (after >= prompt.tokens.len() || prompt.gap(after).contains(PUNCTUATION))
}
