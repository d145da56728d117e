//! A vocabulary, prepared for scoring: its terms with what a hit of each is worth.

use std::collections::HashMap;
use std::sync::Arc;

use super::kind_words::is_kind_word;
use super::lexicon::{WordClass, WordRole, lexicon};
use super::similarity::Asked;
use super::text::{TextLanguage, Token, kin, name_tokens, tokens};
use super::{Item, ItemKind, Vocabulary};

/// Words of a name.
const MAX_NAME_WORDS: usize = 12;
/// Words of one text that are taken up.
const MAX_TEXT_WORDS: usize = 60;
/// Items that are told of as the place where a word was found.
const MAX_PLACES: usize = 4;

/// What a hit of a term in a field is worth, best first: a name says more than what is said about it, and a table more than one of
/// its columns.
const NAME: f32 = 1.0;
const DESCRIPTION: f32 = 0.95;
const ITEM_NAME: f32 = 0.95;
const ITEM_ABOUT: f32 = 0.85;
const DETAIL_NAME: f32 = 0.65;
const DETAIL_ABOUT: f32 = 0.6;
const VALUE: f32 = 0.6;

/// What a hit of one term is worth.
#[derive(Clone, Debug, Default)]
pub(super) struct Hit {
    /// 0 to 1.
    pub(super) weight: f32,
    /// Whether it alone says what the resource is about.
    pub(super) is_subject: bool,
    /// Whether the term is one of the resource's name.
    pub(super) is_name: bool,
    /// Numbers of the items where it stands, best first.
    pub(super) places: Vec<u32>,
}

/// A verified question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) id: String,
    pub(super) asked: Asked,
}

/// A vocabulary with its terms.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) vocabulary: Arc<Vocabulary>,
    /// Shared with the index, which is made anew more often.
    pub(super) terms: HashMap<Arc<str>, Arc<Hit>>,
    pub(super) questions: Vec<Question>,
    /// The words of its name but those for its kind, with a blank between them; may be empty.
    pub(super) name: Arc<str>,
}

/// The terms and questions of a vocabulary, as they are collected.
#[derive(Default)]
struct Terms {
    terms: HashMap<String, Hit>,
    questions: Vec<Question>,
}

impl Prepared {
    /// Prepares a vocabulary.
    pub(super) fn of(vocabulary: Arc<Vocabulary>) -> Self {
        let words = tokens(&vocabulary.name, MAX_NAME_WORDS).into_iter().map(|token| token.folded);
        let name = words.filter(|word| !is_kind_word(word)).collect::<Vec<_>>().join(" ").into();
        let mut found = Terms::default();
        found.add(&name_tokens(&vocabulary.name), NAME, None);
        if let Some(about) = &vocabulary.description {
            found.add(&tokens(about, MAX_TEXT_WORDS), DESCRIPTION, None);
        }
        for (number, item) in vocabulary.items.iter().enumerate() {
            found.add_item(&vocabulary, item, u32::try_from(number).unwrap_or(u32::MAX));
        }
        let terms = found.terms.into_iter().map(|(term, hit)| (term.into(), Arc::new(hit))).collect();
        Self { vocabulary, terms, questions: found.questions, name }
    }
}

impl Terms {
    fn add_item(&mut self, vocabulary: &Vocabulary, item: &Item, number: u32) {
        let about = tokens(item.about.as_deref().unwrap_or_default(), MAX_TEXT_WORDS);
        if item.kind == ItemKind::Question {
            self.add(&about, DETAIL_ABOUT, None);
            let asked = Asked::of_question(item.about.as_deref().unwrap_or_default(), &item.details);
            return self.questions.push(Question { id: item.name.clone(), asked });
        }
        let name = item_name(vocabulary, item).to_owned();
        self.add(&name_tokens(&name), ITEM_NAME, Some(number));
        // What a tool of one function says of itself is its description, or else what all of its type say.
        let is_own = item.kind != ItemKind::Function || name != item.name;
        self.add(&about, if is_own { ITEM_ABOUT } else { DETAIL_ABOUT }, Some(number));
        if item.kind == ItemKind::Function {
            return;
        }
        for detail in &item.details {
            self.add(&name_tokens(&detail.name), DETAIL_NAME, Some(number));
            self.add(&tokens(detail.about.as_deref().unwrap_or_default(), MAX_TEXT_WORDS), DETAIL_ABOUT, Some(number));
            for value in &detail.values {
                self.add(&tokens(value, 8), VALUE, Some(number));
            }
        }
    }

    fn add(&mut self, words: &[Token], weight: f32, place: Option<u32>) {
        for (term, class) in terms_of(words) {
            let hit = self.terms.entry(term).or_default();
            let is_better = weight > hit.weight;
            hit.weight = hit.weight.max(weight);
            hit.is_subject |= class == WordClass::Subject && weight >= ITEM_ABOUT;
            hit.is_name |= weight >= NAME;
            let Some(place) = place.filter(|place| !hit.places.contains(place)) else { continue };
            match is_better {
                true => hit.places.insert(0, place),
                false => hit.places.push(place),
            }
            hit.places.truncate(MAX_PLACES);
        }
    }
}

/// The name of an item; a function of a server without the server's.
fn item_name<'a>(vocabulary: &Vocabulary, item: &'a Item) -> &'a str {
    let own = item.name.strip_prefix(vocabulary.name.as_str()).and_then(|rest| rest.strip_prefix("__"));
    own.unwrap_or(&item.name)
}

/// The terms of words: of each the concepts and stems, and the concepts of several that stand together.
fn terms_of(words: &[Token]) -> Vec<(String, WordClass)> {
    let stems =
        TextLanguage::ALL.map(|language| words.iter().map(|word| language.stem(&word.lower)).collect::<Vec<_>>());
    let mut terms = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let is_stop = lexicon().roles(word).iter().any(|(_, role)| *role == WordRole::Stop);
        let (mut class, mut is_known) = (WordClass::Subject, false);
        for (language, stems) in TextLanguage::ALL.into_iter().zip(&stems) {
            let next: Vec<_> = stems.iter().skip(at).take(5).map(String::as_str).collect();
            // A stem may be that of another word in another language.
            let is_likely = !is_known || lexicon().is_lemma(language, &word.folded);
            let single = next
                .get(..1)
                .and_then(|one| lexicon().find(language, &word.folded, one))
                .filter(|_| !is_stop && is_likely);
            is_known |= single.is_some();
            let phrase = lexicon().find(language, &word.folded, &next).filter(|found| found.words > 1);
            for id in phrase.iter().chain(&single).flat_map(|found| found.concepts) {
                let Some(concept) = lexicon().concept(*id) else { continue };
                terms.push((concept.term.clone(), concept.class));
                class = class.min(concept.class);
            }
        }
        if is_stop || word.folded.len() < 2 {
            continue;
        }
        for id in lexicon().find_compound(&word.folded) {
            terms.extend(lexicon().concept(id).map(|concept| (concept.term.clone(), concept.class)));
        }
        terms.extend(kin(&word.folded).filter(|_| !is_known).map(|kin| (kin, class)));
        terms.push((word.folded.clone(), class));
        terms.extend(stems.iter().filter_map(|stems| stems.get(at)).map(|stem| (stem.clone(), class)));
    }
    terms
}
