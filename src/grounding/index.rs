use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::acts::Act;
use super::clause::Scored;
use super::cover::cover;
use super::lexicon::WordClass;
use super::mention::{Mention, NameTable, mentions};
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
    postings: HashMap<Arc<str>, Vec<Posting>>,
    names: NameTable,
    /// By term: the verified questions that only a prompt asks that has it, as resource and number of the question.
    questions: HashMap<String, Vec<(usize, usize)>>,
    /// The data sources of which nobody knows yet what they hold.
    unknown: Vec<usize>,
}

/// A resource that has a term.
#[derive(Clone, Debug)]
struct Posting {
    resource: usize,
    hit: Arc<Hit>,
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
        let mut postings: HashMap<Arc<str>, Vec<Posting>> = HashMap::new();
        for (resource, prepared) in resources.iter().enumerate() {
            for (term, hit) in &prepared.terms {
                postings.entry(term.clone()).or_default().push(Posting { resource, hit: hit.clone() });
            }
        }
        let (names, questions) = (NameTable::of(&resources), questions_by_term(&resources));
        let unknown = resources.iter().enumerate().filter(|(_, prepared)| is_unknown(prepared)).map(|(at, _)| at);
        let unknown = unknown.collect();
        Self { resources, postings, names, questions, unknown }
    }

    /// The resources that a prompt is about, by its words alone.
    pub fn find(&self, prompt: &str) -> Findings {
        let prompt = Prompt::read(prompt);
        let mentions = mentions(&prompt, &self.resources, &self.names);
        let mut candidates = Vec::new();
        let mut need = Need::Nothing;
        for (number, clause) in prompt.clauses.iter().enumerate() {
            let found = self.candidates(clause, &prompt, &mentions);
            need = need.max(need_of(clause));
            candidates.extend(found.into_iter().map(|candidate| Candidate { clause: number, ..candidate }));
        }
        let denied = self.denied(&mentions);
        let mut findings = Findings { need, denied, ..Findings::default() };
        let verified = self.verified(&prompt, &findings);
        candidates.extend(verified.iter().filter_map(|(resource, found)| {
            let prepared = self.resources.get(*resource)?;
            Some(Candidate::verified(&prepared.vocabulary, found.similarity))
        }));
        findings.verified = verified.into_iter().map(|(_, found)| found).collect();
        candidates.into_iter().for_each(|candidate| findings.add(candidate));
        if prompt.clauses.iter().any(|clause| clause.act == Act::Plain && (clause.is_figure || clause.is_ours)) {
            findings.add_possible(self.unknown_sources());
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

    /// The sources of which nobody knows yet what they hold.
    fn unknown_sources(&self) -> impl Iterator<Item = Candidate> {
        let unknown = self.unknown.iter().filter_map(|resource| self.resources.get(*resource));
        unknown.map(|prepared| Candidate::unknown(&prepared.vocabulary))
    }

    /// The verified questions that a prompt asks in other words, best first, each with the number of its source.
    fn verified(&self, prompt: &Prompt, findings: &Findings) -> Vec<(usize, VerifiedMatch)> {
        if self.questions.is_empty() {
            return Vec::new();
        }
        let asked = Asked::of(prompt);
        let found = |(resource, number): (usize, usize)| {
            let prepared = self.resources.get(resource)?;
            let question = prepared.questions.get(number)?;
            let likeness = asked.likeness(&question.asked)?;
            let (datasource, id) = (prepared.vocabulary.name.clone(), question.id.clone());
            let (similarity, given) = (likeness.similarity, likeness.given);
            Some((resource, VerifiedMatch { datasource, id, similarity, given }))
        };
        let mut matches: Vec<_> = self.known_questions(&asked).into_iter().filter_map(found).collect();
        matches.retain(|(_, found)| !findings.is_denied(ResourceKind::DataSource, &found.datasource));
        matches.sort_by(|(_, one), (_, other)| other.similarity.total_cmp(&one.similarity));
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

    /// What each resource that knows a word of a clause explains of it, in their order.
    fn score<'a>(&'a self, clause: &'a Clause) -> Vec<Scored<'a>> {
        let words = clause.words.iter().enumerate();
        let mut hits: Vec<_> = words.flat_map(|(number, word)| self.hits(word).map(move |hit| (number, hit))).collect();
        // Of hits that are worth the same the first one counts, so their order stays.
        hits.sort_by_key(|(_, (posting, _))| posting.resource);
        let of_resource = |hits: &[(usize, (&'a Posting, f32))]| {
            let mut scored = Scored::new(hits.first().map_or(0, |(_, (posting, _))| posting.resource), clause);
            hits.iter().for_each(|(number, (posting, share))| scored.add(*number, &posting.hit, *share));
            scored
        };
        hits.chunk_by(|(_, (one, _)), (_, (other, _))| one.resource == other.resource).map(of_resource).collect()
    }

    /// The resources that know a word, and how well: a word that is only close to one of theirs counts less.
    fn hits<'a>(&'a self, word: &'a Word) -> impl Iterator<Item = (&'a Posting, f32)> {
        /// What a word is worth that is only close to one that is known.
        const CLOSE: f32 = 0.7;
        let of = |term: &String| self.postings.get(term.as_str()).map_or(&[][..], Vec::as_slice);
        let exact = word.terms.iter().flat_map(of).map(|posting| (posting, 1.0));
        let close = word.related.iter().flat_map(of).map(|posting| (posting, CLOSE));
        exact.chain(close)
    }
}

/// Whether this is a data source of which nobody knows yet what it holds.
fn is_unknown(prepared: &Prepared) -> bool {
    prepared.vocabulary.kind == ResourceKind::DataSource && !prepared.vocabulary.is_complete
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

#[cfg(test)]
mod tests;
