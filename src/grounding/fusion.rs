//! Adds what embeddings say to what words say.

use super::embedding::Similarity;
use super::findings::{Candidate, Clarity, Findings, VerifiedMatch};
use super::vocabulary::ItemKind;

/// From here on, two questions ask the same.
const SAME_QUESTION: f64 = 0.85;
/// From here on the closest resource is clear if it is that much closer than the next.
const LEADING: f64 = 0.5;
/// How much closer the closest resource is than the next, to be clear without any word in common.
const CLEAR_MARGIN: f64 = 0.1;
/// Resources that embeddings add.
const MAX_ADDED: usize = 8;
/// Items that are named of a resource.
const MAX_ITEMS: usize = 5;

/// The findings with the similarities, the closest first, of texts of resources.
pub(super) fn fuse(mut findings: Findings, similar: impl Iterator<Item = Similarity>) -> Findings {
    let similar: Vec<_> = similar.take_while(|one| Clarity::of_similarity(one.cosine).is_some()).collect();
    let mut resources: Vec<Vec<&Similarity>> = Vec::new();
    for one in &similar {
        let is_same = |first: &&Similarity| first.kind == one.kind && first.name == one.name;
        match resources.iter_mut().find(|group| group.first().is_some_and(is_same)) {
            Some(group) => group.push(one),
            None => resources.push(vec![one]),
        }
    }
    let cosine_at = |at: usize| resources.get(at).and_then(|group| group.first()).map_or(0.0, |one| one.cosine);
    let is_ahead = cosine_at(0) - cosine_at(1) >= CLEAR_MARGIN;
    for (at, group) in resources.iter().take(MAX_ADDED).enumerate() {
        if let Some(candidate) = candidate(&findings, group, at == 0 && is_ahead) {
            findings.add(candidate);
        }
    }
    similar.iter().filter(|one| one.cosine >= SAME_QUESTION).for_each(|one| add_verified(&mut findings, one));
    findings.sort();
    findings
}

/// A resource as texts of it make it, which begin with the closest, beside what its words do.
fn candidate(findings: &Findings, group: &[&Similarity], is_ahead: bool) -> Option<Candidate> {
    let closest = group.first()?;
    let by_words = findings.candidates.iter().find(|one| one.kind == closest.kind && one.name == closest.name);
    let items = group.iter().filter_map(|one| one.item.as_ref()).filter(|(kind, _)| *kind != ItemKind::Question);
    let items: Vec<_> = items.map(|(_, name)| name.clone()).take(MAX_ITEMS).collect();
    let what = closest.item.as_ref().map_or(String::new(), |(_, name)| format!(" ({name})"));
    let reason = format!("close in meaning{what}");
    let is_clear = is_ahead || by_words.is_some_and(|one| !one.items.is_empty());
    let clarity = match Clarity::of_similarity(closest.cosine).filter(|_| is_clear) {
        _ if is_ahead && closest.cosine >= LEADING => Clarity::Clear,
        clarity => clarity.unwrap_or(Clarity::Possible),
    };
    let function = closest.item.as_ref().filter(|(kind, _)| *kind == ItemKind::Function).map(|(_, name)| name.clone());
    Some(match by_words {
        Some(known) => Candidate {
            // Each takes away from the doubt that the other leaves.
            score: 1.0 - (1.0 - known.score) * (1.0 - closest.cosine / 2.0),
            clarity: known.clarity.max(clarity),
            reason: format!("{}, {reason}", known.reason),
            function: known.function.clone().or(function),
            items,
            ..known.clone()
        },
        None => Candidate {
            kind: closest.kind,
            name: closest.name.clone(),
            function,
            score: closest.cosine,
            clarity,
            is_named: false,
            reason,
            items,
            clause: 0,
            builds_on_earlier: false,
        },
    })
}

/// Embeddings of a question and its opposite are close: only what the words found as well is the same question.
fn add_verified(findings: &mut Findings, close: &Similarity) {
    let Some((ItemKind::Question, id)) = &close.item else { return };
    let is_same = |one: &&mut VerifiedMatch| one.datasource == close.name && one.id == *id;
    if let Some(found) = findings.verified.iter_mut().find(is_same) {
        found.similarity = found.similarity.max(close.cosine);
    }
    findings.verified.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grounding::{Need, ResourceKind};

    fn similarity(name: &str, item: Option<(ItemKind, &str)>, cosine: f64) -> Similarity {
        let item = item.map(|(kind, name)| (kind, name.to_owned()));
        Similarity { kind: ResourceKind::DataSource, name: name.to_owned(), item, cosine }
    }

    fn found(findings: &Findings) -> Vec<(&str, Clarity)> {
        findings.candidates.iter().map(|one| (one.name.as_str(), one.clarity)).collect()
    }

    /// Findings of a prompt that asks for something.
    fn asked() -> Findings {
        Findings { need: Need::Something, ..Findings::default() }
    }

    #[test]
    fn what_is_close_alone_is_clear_and_what_is_not_is_possible() {
        let table = |name| Some((ItemKind::Table, name));
        let alone =
            [similarity("erp", table("invoices"), 0.7), similarity("crm", None, 0.5), similarity("x", None, 0.2)];
        let findings = fuse(asked(), alone.clone().into_iter());
        assert_eq!(found(&findings), [("erp", Clarity::Clear), ("crm", Clarity::Possible)]);
        assert_eq!(findings.candidates[0].items, ["invoices"]);
        let perhaps = fuse(Findings { need: Need::Perhaps, ..Findings::default() }, alone.into_iter());
        assert_eq!(found(&perhaps)[0], ("erp", Clarity::Possible), "what is clear must be needed");
        let beside = [similarity("erp", table("invoices"), 0.7), similarity("crm", None, 0.65)];
        let findings = fuse(asked(), beside.into_iter());
        assert_eq!(found(&findings), [("erp", Clarity::Possible), ("crm", Clarity::Possible)]);
        assert!(found(&fuse(asked(), [similarity("erp", None, 0.29)].into_iter())).is_empty());
    }

    #[test]
    fn words_and_meaning_support_each_other() {
        let by_words = fuse(asked(), [similarity("crm", Some((ItemKind::Table, "deals")), 0.45)].into_iter());
        let before = by_words.candidates[0].score;
        let both = fuse(by_words, [similarity("erp", None, 0.5), similarity("crm", None, 0.45)].into_iter());
        assert_eq!(found(&both), [("crm", Clarity::Possible), ("erp", Clarity::Possible)]);
        assert!(both.candidates[0].score > before && both.candidates[0].score < 1.0);
    }

    #[test]
    fn what_is_close_in_meaning_alone_is_no_verified_question() {
        let question = |id| similarity("erp", Some((ItemKind::Question, id)), 0.99);
        let by_words =
            |id: &str| VerifiedMatch { datasource: "erp".to_owned(), id: id.to_owned(), similarity: 0.9, given: 0 };
        let words = Findings { verified: vec![by_words("unpaid"), by_words("overdue")], ..Findings::default() };
        let verified = fuse(words, [question("paid"), question("overdue")].into_iter()).verified;
        let ids: Vec<_> = verified.iter().map(|found| found.id.as_str()).collect();
        assert_eq!(ids, ["overdue", "unpaid"], "the closest first, and nothing that the words do not say");
    }
}
