//! What one resource explains of a clause.

use super::lexicon::WordClass;
use super::prepared::Hit;
use super::prompt::{Clause, Word};

/// What a word of the prompt counts: one that many subjects share little, a name half, one that nobody knows less than one that is known,
/// a name that nobody
/// knows still less, since it is probably a value, and words beside one that nobody knows least, since they are part of it.
const SUBJECT: f32 = 1.0;
const NAME: f32 = 0.5;
const UNKNOWN: f32 = 0.45;
const MORE_UNKNOWN: f32 = 0.1;
const UNKNOWN_NAME: f32 = 0.25;
const GENERIC: f32 = 0.3;

/// What one resource explains of a clause.
#[derive(Clone, Debug)]
pub(super) struct Scored<'a> {
    pub(super) resource: usize,
    clause: &'a Clause,
    /// By word: the best hit, with its worth.
    best: Vec<Option<(f32, &'a Hit)>>,
}

impl<'a> Scored<'a> {
    /// Nothing yet.
    pub(super) fn new(resource: usize, clause: &'a Clause) -> Self {
        Self { resource, clause, best: vec![None; clause.words.len()] }
    }

    /// A word is known, by so much.
    pub(super) fn add(&mut self, word: usize, hit: &'a Hit, share: f32) {
        if let Some(best) = self.best.get_mut(word)
            && best.is_none_or(|(worth, _)| worth < hit.weight * share)
        {
            *best = Some((hit.weight * share, hit));
        }
    }

    /// The words with their hits.
    pub(super) fn hits(&self) -> impl Iterator<Item = (usize, &'a Word, f32, &'a Hit)> {
        let known = self.clause.words.iter().zip(&self.best).enumerate();
        known.filter_map(|(number, (word, hit))| hit.map(|(worth, hit)| (number, word, worth, hit)))
    }

    /// The words that it knows, as bits: all but times, measures and words that many subjects share.
    pub(super) fn known(&self) -> u64 {
        let subjects = self.hits().filter(|(_, word, ..)| word.class == WordClass::Subject);
        subjects.fold(0, |bits, (number, ..)| bits | 1 << number.min(63))
    }

    /// The words of which one alone says that the resource is meant.
    pub(super) fn subjects(&self) -> u64 {
        let subjects = self.hits().filter(|(_, word, _, hit)| word.class == WordClass::Subject && hit.is_subject);
        subjects.fold(0, |bits, (number, ..)| bits | 1 << number.min(63))
    }

    /// How much of the clause it explains, in words.
    pub(super) fn explained(&self) -> f32 {
        self.hits().map(|(_, word, worth, _)| worth * weight(word)).sum()
    }

    /// Which part of the clause it explains: 0 to 1.
    pub(super) fn score(&self) -> f32 {
        let (mut all, mut follows_unknown) = (0.0, false);
        for (word, hit) in self.clause.words.iter().zip(&self.best) {
            let is_unknown = hit.is_none() && word.class == WordClass::Subject;
            all += match hit {
                Some(_) => weight(word),
                None if is_unknown && follows_unknown => MORE_UNKNOWN,
                None => weight_of_unknown(word),
            };
            follows_unknown = is_unknown;
        }
        if all <= 0.0 { 0.0 } else { (self.explained() / all).min(1.0) }
    }
}

fn weight(word: &Word) -> f32 {
    match word.class {
        WordClass::Stop | WordClass::Time | WordClass::Measure => 0.0,
        WordClass::Generic => GENERIC,
        WordClass::Subject if word.is_name => NAME,
        WordClass::Subject => SUBJECT,
    }
}

fn weight_of_unknown(word: &Word) -> f32 {
    match word.class {
        WordClass::Subject if word.is_name => UNKNOWN_NAME,
        WordClass::Subject => UNKNOWN,
        _ => weight(word),
    }
}
