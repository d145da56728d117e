//! What is told of a resource that may serve: how sure it is, why, and which of its items are meant.

use std::collections::HashMap;

use super::clause::Scored;
use super::prepared::Prepared;
use super::{Candidate, Clarity, Item, ItemKind, ResourceKind, Vocabulary};

/// The score of one that is called by its name.
const NAMED: f64 = 0.98;
/// The score of one of which nobody knows yet what it holds.
const UNKNOWN: f64 = 0.2;
/// From here on a prompt asks the same as a verified question.
const CLEARLY_ALIKE: f64 = 0.85;
/// Items and words that are told.
const MAX_ITEMS: usize = 5;
const MAX_WORDS: usize = 4;

impl Candidate {
    /// A resource that explains a clause.
    pub(super) fn of(prepared: &Prepared, scored: &Scored<'_>, score: f32, clarity: Clarity) -> Self {
        let vocabulary = &prepared.vocabulary;
        let items = items(vocabulary, scored);
        let reason = reason(scored, items.first().copied());
        let items: Vec<_> = items.into_iter().map(|item| item.name.clone()).collect();
        let function = function(vocabulary, &items);
        Self { clarity, function, items, reason, score: rounded(score), ..Self::bare(vocabulary) }
    }

    /// A resource that is called by its name.
    pub(super) fn named(prepared: &Prepared, scored: Option<&Scored<'_>>) -> Self {
        let found = match scored {
            Some(scored) => Self::of(prepared, scored, 0.0, Clarity::Clear),
            None => Self { function: function(&prepared.vocabulary, &[]), ..Self::bare(&prepared.vocabulary) },
        };
        let reason = "the prompt calls it by its name".to_owned();
        Self { score: NAMED, clarity: Clarity::Clear, is_named: true, reason, ..found }
    }

    /// A source with a verified question that the prompt asks in other words.
    pub(super) fn verified(vocabulary: &Vocabulary, similarity: f64) -> Self {
        let reason = "a verified question asks the same".to_owned();
        let clarity = if similarity >= CLEARLY_ALIKE { Clarity::Clear } else { Clarity::Possible };
        Self { score: similarity, clarity, reason, ..Self::bare(vocabulary) }
    }

    /// A source of which nobody knows yet what it holds.
    pub(super) fn unknown(vocabulary: &Vocabulary) -> Self {
        let reason = "what it holds is not known yet".to_owned();
        Self { score: UNKNOWN, reason, ..Self::bare(vocabulary) }
    }

    fn bare(vocabulary: &Vocabulary) -> Self {
        let (kind, name) = (vocabulary.kind, vocabulary.name.clone());
        let (reason, clarity) = (String::new(), Clarity::Possible);
        let (is_named, builds_on_earlier, clause) = (false, false, 0);
        let (function, items) = (None, Vec::new());
        Self { kind, name, function, score: 0.0, clarity, is_named, reason, items, clause, builds_on_earlier }
    }
}

/// A score as it is told.
fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1000.0).round() / 1000.0
}

/// The items that the words are found in, those with most of them first.
fn items<'a>(vocabulary: &'a Vocabulary, scored: &Scored<'_>) -> Vec<&'a Item> {
    let mut worth: HashMap<u32, f32> = HashMap::new();
    for (_, _, share, hit) in scored.hits() {
        for (rank, place) in hit.places.iter().enumerate() {
            *worth.entry(*place).or_default() += share / (1.0 + rank as f32);
        }
    }
    let mut places: Vec<_> = worth.into_iter().collect();
    places.sort_by(|(one, worth), (other, more)| more.total_cmp(worth).then(one.cmp(other)));
    let item = |(place, _): (u32, f32)| vocabulary.items.get(usize::try_from(place).ok()?);
    places.into_iter().filter_map(item).take(MAX_ITEMS).collect()
}

/// The function of a tool that is meant.
fn function(vocabulary: &Vocabulary, items: &[String]) -> Option<String> {
    let mut functions = vocabulary.items.iter().filter(|item| item.kind == ItemKind::Function);
    match (vocabulary.kind, functions.next(), functions.next()) {
        (ResourceKind::Tool, Some(only), None) => Some(only.name.clone()),
        (ResourceKind::Tool, Some(_), Some(_)) => {
            let is_function = |name: &&String| {
                vocabulary.items.iter().any(|item| item.kind == ItemKind::Function && item.name == **name)
            };
            items.iter().find(is_function).cloned()
        }
        _ => None,
    }
}

/// `'invoices' and 'overdue' (table invoices)`.
fn reason(scored: &Scored<'_>, item: Option<&Item>) -> String {
    let words: Vec<_> = scored.hits().map(|(_, word, ..)| format!("'{}'", word.written)).take(MAX_WORDS).collect();
    let words = match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    };
    let kind = item.map(|item| match item.kind {
        ItemKind::Table => format!("table {}", item.name),
        ItemKind::Function => format!("function {}", item.name),
        ItemKind::Skill => format!("skill {}", item.name),
        ItemKind::Question => "a verified question".to_owned(),
    });
    format!("{words} ({})", kind.unwrap_or_else(|| "name and description".to_owned()))
}
