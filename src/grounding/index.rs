use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::acts::Act;
use super::clause::Scored;
use super::cover::cover;
use super::lexicon::WordClass;
use super::mention::{Mention, mentions};
use super::prepared::{Hit, Prepared};
use super::prompt::{Clause, Prompt, Word};
use super::similarity::Asked;
use super::{Candidate, Findings, Need, ResourceKind, VerifiedMatch, Vocabulary};

/// Verified questions that are told.
const MAX_VERIFIED: usize = 3;

/// The vocabularies of all enabled resources, prepared for scoring. Immutable.
#[derive(Clone, Debug, Default)]
pub struct Index {
    pub(super) resources: Vec<Arc<Prepared>>,
    /// By term: the resources that have it.
    postings: HashMap<String, Vec<(usize, Hit)>>,
    /// By term: the verified questions that only a prompt asks that has it, as resource and number of the question.
    questions: HashMap<String, Vec<(usize, usize)>>,
}

impl Index {
    /// An index of these.
    pub fn build(vocabularies: Vec<Arc<Vocabulary>>) -> Self {
        Self::default().rebuild(vocabularies)
    }

    /// An index of these, which takes over what this one has prepared of the same.
    pub fn rebuild(&self, vocabularies: Vec<Arc<Vocabulary>>) -> Self {
        let known: HashMap<_, _> =
            self.resources.iter().map(|prepared| (Arc::as_ptr(&prepared.vocabulary), prepared)).collect();
        let prepare = |vocabulary: Arc<Vocabulary>| match known.get(&Arc::as_ptr(&vocabulary)) {
            Some(prepared) => (*prepared).clone(),
            None => Arc::new(Prepared::of(vocabulary)),
        };
        let resources: Vec<_> = vocabularies.into_iter().map(prepare).collect();
        let mut postings: HashMap<String, Vec<(usize, Hit)>> = HashMap::new();
        for (number, prepared) in resources.iter().enumerate() {
            for (term, hit) in &prepared.terms {
                postings.entry(term.clone()).or_default().push((number, hit.clone()));
            }
        }
        let questions = questions_by_term(&resources);
        Self { resources, postings, questions }
    }

    /// The resources that a prompt is about, by its words alone.
    pub fn find(&self, prompt: &str) -> Findings {
        let prompt = Prompt::read(prompt);
        let mentions = mentions(&prompt, &self.resources);
        let mut candidates = Vec::new();
        let mut need = Need::Nothing;
        for (number, clause) in prompt.clauses.iter().enumerate() {
            let found = self.candidates(clause, &prompt, &mentions);
            need = need.max(need_of(clause));
            candidates.extend(found.into_iter().map(|candidate| Candidate { clause: number, ..candidate }));
        }
        let denied = self.denied(&mentions);
        let mut findings = Findings { need, denied, ..Findings::default() };
        findings.verified = self.verified(&prompt, &findings);
        candidates.extend(self.verified_sources(&findings.verified));
        candidates.into_iter().for_each(|candidate| findings.add(candidate));
        if prompt.clauses.iter().any(|clause| clause.act == Act::Plain && (clause.is_figure || clause.is_ours)) {
            self.unknown_sources().for_each(|candidate| findings.add(candidate));
        }
        findings.sort();
        findings
    }

    /// The resources that a prompt rules out, wherever it does.
    fn denied(&self, mentions: &[Mention]) -> Vec<(ResourceKind, String)> {
        let denied = mentions.iter().filter(|mention| mention.is_denied());
        let vocabularies = denied.filter_map(|mention| self.resources.get(mention.resource));
        vocabularies.map(|prepared| (prepared.vocabulary.kind, prepared.vocabulary.name.clone())).collect()
    }

    /// The sources of verified questions that a prompt asks in other words.
    fn verified_sources(&self, verified: &[VerifiedMatch]) -> Vec<Candidate> {
        let of = |found: &VerifiedMatch| {
            let is_same =
                |known: &&Arc<Vocabulary>| known.kind == ResourceKind::DataSource && known.name == found.datasource;
            let vocabulary = self.resources.iter().map(|prepared| &prepared.vocabulary).find(is_same)?;
            Some(Candidate::verified(vocabulary, found.similarity))
        };
        verified.iter().filter_map(of).collect()
    }

    /// The sources of which nobody knows yet what they hold.
    fn unknown_sources(&self) -> impl Iterator<Item = Candidate> {
        let vocabularies = self.resources.iter().map(|prepared| &prepared.vocabulary);
        let unknown = vocabularies.filter(|known| known.kind == ResourceKind::DataSource && !known.is_complete);
        unknown.map(|vocabulary| Candidate::unknown(vocabulary))
    }

    /// The verified questions that a prompt asks in other words, best first.
    fn verified(&self, prompt: &Prompt, findings: &Findings) -> Vec<VerifiedMatch> {
        if self.questions.is_empty() {
            return Vec::new();
        }
        let asked = Asked::of(prompt);
        let found = |(resource, number): (usize, usize)| {
            let prepared = self.resources.get(resource)?;
            let question = prepared.questions.get(number)?;
            let likeness = asked.likeness(&question.asked)?;
            let (datasource, id) = (prepared.vocabulary.name.clone(), question.id.clone());
            Some(VerifiedMatch { datasource, id, similarity: likeness.similarity, given: likeness.given })
        };
        let mut matches: Vec<_> = self.known_questions(&asked).into_iter().filter_map(found).collect();
        matches.retain(|found| !findings.is_denied(ResourceKind::DataSource, &found.datasource));
        matches.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
        matches.truncate(MAX_VERIFIED);
        matches
    }

    /// The verified questions that have a word in common with a prompt which it must have to ask them.
    pub(super) fn known_questions(&self, asked: &Asked) -> BTreeSet<(usize, usize)> {
        asked.terms().flatten().filter_map(|term| self.questions.get(term)).flatten().copied().collect()
    }

    /// The resources that a clause is about.
    fn candidates(&self, clause: &Clause, prompt: &Prompt, mentions: &[Mention]) -> Vec<Candidate> {
        let mut named: Vec<_> = mentions.iter().filter(|mention| mention.governs(clause)).collect();
        if named.iter().any(|mention| mention.is_whole_denial()) {
            return Vec::new();
        }
        let is_denied =
            |resource: usize| mentions.iter().any(|mention| mention.is_denied() && mention.resource == resource);
        named.retain(|mention| !is_denied(mention.resource));
        let mut scored = self.score(clause);
        scored.retain(|scored| !is_denied(scored.resource));
        if !named.is_empty() {
            let named = named.iter().filter_map(|mention| {
                let prepared = self.resources.get(mention.resource)?;
                let scored = scored.iter().find(|scored| scored.resource == mention.resource);
                Some(Candidate { builds_on_earlier: prompt.points_back(clause), ..Candidate::named(prepared, scored) })
            });
            return named.collect();
        }
        let mut found = cover(clause, &self.resources, scored);
        found.iter_mut().for_each(|candidate| candidate.builds_on_earlier = prompt.points_back(clause));
        found
    }

    /// What each resource explains of a clause.
    fn score<'a>(&'a self, clause: &'a Clause) -> Vec<Scored<'a>> {
        let mut scored: Vec<Option<Scored<'a>>> = Vec::new();
        scored.resize_with(self.resources.len(), || None);
        for (number, word) in clause.words.iter().enumerate() {
            for (resource, hit, share) in self.hits(word) {
                if let Some(slot) = scored.get_mut(resource) {
                    slot.get_or_insert_with(|| Scored::new(resource, clause)).add(number, hit, share);
                }
            }
        }
        scored.into_iter().flatten().collect()
    }

    /// The resources that know a word, and how well: a word that is only close to one of theirs counts less.
    fn hits<'a>(&'a self, word: &'a Word) -> impl Iterator<Item = (usize, &'a Hit, f32)> {
        /// What a word is worth that is only close to one that is known.
        const CLOSE: f32 = 0.7;
        let of = |term: &String| self.postings.get(term).map_or(&[][..], Vec::as_slice);
        let exact = word.terms.iter().flat_map(of).map(|(resource, hit)| (*resource, hit, 1.0));
        let close = word.related.iter().flat_map(of).map(|(resource, hit)| (*resource, hit, CLOSE));
        exact.chain(close)
    }
}

/// The verified questions by the terms of one word that each prompt that asks them must have: the one that the fewest questions have.
fn questions_by_term(resources: &[Arc<Prepared>]) -> HashMap<String, Vec<(usize, usize)>> {
    let all = || {
        let numbered = resources.iter().enumerate();
        numbered.flat_map(|(at, prepared)| prepared.questions.iter().enumerate().map(move |(no, it)| ((at, no), it)))
    };
    let mut counts: HashMap<&String, usize> = HashMap::new();
    all().flat_map(|(_, question)| question.asked.needed().flatten()).for_each(|term| {
        *counts.entry(term).or_default() += 1;
    });
    let mut by_term: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
    for (place, question) in all() {
        let count = |word: &&BTreeSet<String>| word.iter().filter_map(|term| counts.get(term)).max().copied();
        for term in question.asked.needed().min_by_key(count).into_iter().flatten() {
            by_term.entry(term.clone()).or_default().push(place);
        }
    }
    by_term
}

/// Whether a clause needs something that is configured.
fn need_of(clause: &Clause) -> Need {
    match clause.act {
        Act::Text | Act::Knowledge | Act::Opinion | Act::Explanation => Need::Nothing,
        Act::Letter | Act::Advice => Need::Perhaps,
        Act::Plain if clause.words.iter().all(|word| word.class == WordClass::Stop) => Need::Unsaid,
        Act::Plain if !clause.asks => Need::Perhaps,
        Act::Plain | Act::WebSearch => Need::Something,
    }
}
