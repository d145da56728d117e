//! Which resources serve a clause: those that together explain its words.

use std::cmp::Ordering;
use std::sync::Arc;

use super::acts::Act;
use super::clause::Scored;
use super::prepared::Prepared;
use super::prompt::Clause;
use super::{Candidate, Clarity, ResourceKind};

/// From here on a resource that knows a clause's subject has to serve it: not much less than half of what the
/// words say.
const CLEAR: f32 = 0.42;
/// For one that adds words to what another explains: a source beside a source, anything beside something else.
const CLEAR_BESIDE_SOURCE: f32 = 0.3;
const CLEAR_BESIDE: f32 = 0.65;
/// For an agent, of whose topics the prompt names one.
const CLEAR_TOPIC: f32 = 0.55;
/// From here on a resource is worth offering to a model.
const POSSIBLE: f32 = 0.2;
/// What is this close to the best is as good.
const AS_GOOD: f32 = 0.9;
/// The score of a tool that searches the web, if that is what is wanted.
const SEARCH: f32 = 0.9;
/// What an agent's words count beside those of a source.
const AGENT: f32 = 0.75;
/// As many may be as good as the best; of more, one has to be chosen.
const MAX_EQUALS: usize = 3;
/// Candidates of a clause that are kept.
const MAX_CANDIDATES: usize = 16;

/// The candidates for a clause, best first.
pub(super) fn cover(clause: &Clause, resources: &[Arc<Prepared>], scored: Vec<Scored<'_>>) -> Vec<Candidate> {
    if clause.act.needs_nothing() {
        return Vec::new();
    }
    let judge = |scored| Judged::of(scored, clause, resources);
    let mut judged: Vec<_> = scored.into_iter().filter_map(judge).filter(|judged| judged.score >= POSSIBLE).collect();
    judged.sort_by(Judged::compare);
    judged.truncate(MAX_CANDIDATES);
    let clear = clear_ones(&judged);
    let with_clarity = judged.iter().enumerate().map(|(at, judged)| {
        let clarity = if clear.contains(&at) { Clarity::Clear } else { Clarity::Possible };
        Candidate::of(judged.prepared, &judged.scored, judged.score, clarity)
    });
    with_clarity.collect()
}

/// A resource, as far as it might serve a clause.
struct Judged<'a> {
    prepared: &'a Prepared,
    scored: Scored<'a>,
    score: f32,
    explained: f32,
    act: Act,
    known: u64,
    subjects: u64,
    /// Whether it may serve without anybody being asked.
    may_be_clear: bool,
}

impl<'a> Judged<'a> {
    fn of(scored: Scored<'a>, clause: &Clause, resources: &'a [Arc<Prepared>]) -> Option<Self> {
        let prepared = resources.get(scored.resource)?;
        let (score, explained) = (scored.score(), scored.explained());
        let (known, subjects) = (scored.known(), scored.subjects());
        let is_search = clause.act == Act::WebSearch && searches_the_web(prepared);
        let score = if is_search { score.max(SEARCH) } else { score };
        let is_data = prepared.vocabulary.kind == ResourceKind::DataSource;
        let knows_subject = subjects != 0 || is_search || (is_data && is_enough(clause, known));
        let may_be_clear = knows_subject && suits(prepared.vocabulary.kind, clause, known, score, prepared);
        Some(Self { prepared, scored, score, explained, act: clause.act, known, subjects, may_be_clear })
    }

    /// How much it explains; an agent has to explain more than a source, which is asked for less.
    fn rank(&self) -> f32 {
        let is_agent = self.prepared.vocabulary.kind == ResourceKind::Agent;
        if is_agent && self.act == Act::Plain { self.explained * AGENT } else { self.explained }
    }

    /// The one that explains more comes first; of two that explain the same, a source, then a tool, then an agent.
    fn compare(one: &Self, other: &Self) -> Ordering {
        let kind = |judged: &Self| match judged.prepared.vocabulary.kind {
            ResourceKind::DataSource => 0,
            ResourceKind::Tool => 1,
            ResourceKind::Agent => 2,
        };
        let by_clarity = other.may_be_clear.cmp(&one.may_be_clear);
        let by_words = || other.rank().total_cmp(&one.rank());
        by_clarity.then_with(by_words).then_with(|| kind(one).cmp(&kind(other)))
    }
}

/// Whether a resource of a kind suits what a clause does.
fn suits(kind: ResourceKind, clause: &Clause, known: u64, score: f32, prepared: &Prepared) -> bool {
    match (kind, clause.act) {
        (_, Act::Text | Act::Knowledge | Act::Opinion | Act::Explanation) => false,
        (ResourceKind::Tool, Act::WebSearch) => searches_the_web(prepared),
        (_, Act::WebSearch) => false,
        // An agent is described in a few words, of which one says little.
        (ResourceKind::Agent, Act::Plain) => clause.asks && (known.count_ones() >= 2 || score >= CLEAR_TOPIC),
        (ResourceKind::Agent, Act::Letter | Act::Advice) => known.count_ones() >= 2 || score >= CLEAR,
        (ResourceKind::DataSource, Act::Plain) | (ResourceKind::Tool, Act::Plain) => clause.asks,
        (_, Act::Letter | Act::Advice) => false,
    }
}

/// Whether what is known of columns and values alone says that a source is meant: two words, or one of which a figure or something
/// about somebody is wanted.
fn is_enough(clause: &Clause, known: u64) -> bool {
    let has_name = clause.words.iter().any(|word| word.is_name);
    known.count_ones() >= 2 || (known != 0 && (clause.is_figure || clause.is_ours || has_name))
}

fn searches_the_web(prepared: &Prepared) -> bool {
    prepared.terms.contains_key("#web")
}

/// The numbers of those that have to serve: the best one, and whatever adds subjects to it.
fn clear_ones(judged: &[Judged<'_>]) -> Vec<usize> {
    let Some(best) = judged.first().filter(|best| best.may_be_clear && best.score >= CLEAR) else { return Vec::new() };
    let kind = |judged: &Judged<'_>| judged.prepared.vocabulary.kind;
    let is_equal = |other: &Judged<'_>| {
        kind(other) == kind(best) && other.known == best.known && other.explained >= AS_GOOD * best.explained
    };
    let equals: Vec<_> = judged.iter().enumerate().filter(|(_, other)| is_equal(other)).map(|(at, _)| at).collect();
    if equals.len() > MAX_EQUALS {
        return Vec::new();
    }
    let mut clear = equals;
    // A source may know a word in passing that is another source's subject.
    let (mut known, mut subjects) = (best.known, best.subjects);
    // An agent whose topic is only touched is not asked beside them.
    let is_beside = |other: &Judged<'_>| kind(other) != ResourceKind::Agent || other.act != Act::Plain;
    for (at, other) in judged.iter().enumerate().filter(|(_, other)| is_beside(other)) {
        let beside = kind(other) == ResourceKind::DataSource && kind(best) == ResourceKind::DataSource;
        let (enough, covered) = if beside { (CLEAR_BESIDE_SOURCE, subjects) } else { (CLEAR_BESIDE, known) };
        if other.may_be_clear && other.score >= enough && other.subjects & !covered != 0 && !clear.contains(&at) {
            known |= other.known;
            subjects |= other.subjects;
            clear.push(at);
        }
    }
    clear
}
