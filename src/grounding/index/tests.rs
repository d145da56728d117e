//! What the index looks up, beside what a look at every resource finds.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const WORDS: [&str; 16] = [
    "invoices",
    "orders",
    "crm",
    "billing",
    "Rechnungen",
    "customer",
    "agent",
    "source",
    "7",
    "region",
    "salaries",
    "the",
    "overdue",
    "web",
    "ask",
    "zain",
];

fn text(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(select(&WORDS[..]), 1..most).prop_map(|words| words.join(" "))
}

prop_compose! {
    fn resource()(kind in select(vec![ResourceKind::DataSource, ResourceKind::Agent, ResourceKind::Tool]), name in text(4),
        about in proptest::option::of(text(6)), is_complete in any::<bool>()) -> Arc<Vocabulary> {
        let (version, items) = (String::new(), Vec::new());
        Arc::new(Vocabulary { kind, name, version, description: about, items, is_complete })
    }
}

fn resources() -> impl Strategy<Value = Vec<Arc<Vocabulary>>> {
    proptest::collection::vec(resource(), 0..9)
}

type Hits = Vec<(usize, f32, *const Hit)>;

fn hits(scored: &Scored<'_>) -> (usize, Hits) {
    let hits = scored.hits().map(|(word, _, worth, hit)| (word, worth, std::ptr::from_ref(hit)));
    (scored.resource, hits.collect())
}

/// What a resource explains of a clause, word by word.
fn scan(number: usize, prepared: &Prepared, clause: &Clause) -> (usize, Hits) {
    let mut scored = Scored::new(number, clause);
    for (at, word) in clause.words.iter().enumerate() {
        let exact = word.terms.iter().map(|term| (term, 1.0));
        for (term, share) in exact.chain(word.related.iter().map(|term| (term, 0.7))) {
            prepared.terms.get(term.as_str()).into_iter().for_each(|hit| scored.add(at, hit, share));
        }
    }
    hits(&scored)
}

proptest! {
    #[test]
    fn it_finds_what_a_look_at_every_resource_finds(all in resources(), prompt in text(12)) {
        let index = Index::build(all);
        for clause in &Prompt::read(&prompt).clauses {
            let scanned = index.resources.iter().enumerate().map(|(number, prepared)| scan(number, prepared, clause));
            let scanned: Vec<_> = scanned.filter(|(_, hits)| !hits.is_empty()).collect();
            prop_assert_eq!(index.score(clause).iter().map(hits).collect::<Vec<_>>(), scanned);
        }
    }

    #[test]
    fn it_does_not_matter_what_was_there_before(before in resources(), kept in 0usize..9, more in resources(), prompt in text(12)) {
        let after: Vec<_> = before.iter().take(kept).cloned().chain(more).collect();
        let (rebuilt, built) = (Index::build(before).rebuild(after.clone()), Index::build(after));
        prop_assert_eq!(format!("{:?}", rebuilt.find(&prompt)), format!("{:?}", built.find(&prompt)));
    }
}
