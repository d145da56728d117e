use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::{EvaluationCase, Target};
use crate::chat::routing::Routing;

/// What one prompt came to.
#[derive(Clone, Debug)]
pub(in crate::chat) struct CaseResult {
    pub(in crate::chat) prompt: String,
    pub(in crate::chat) expected: Vec<Target>,
    /// What the plan uses, and what the model asked for besides.
    pub(in crate::chat) reached: Vec<Target>,
    pub(in crate::chat) routing: Routing,
    /// Whether a data source gave the expected rows, if rows were expected.
    pub(in crate::chat) rows_match: Option<bool>,
    /// Why the prompt could not be planned, or the model not be asked.
    pub(in crate::chat) error: Option<String>,
}

impl CaseResult {
    /// What was expected and not reached.
    pub(in crate::chat) fn missed(&self) -> Vec<&Target> {
        self.expected.iter().filter(|target| !self.reached.contains(target)).collect()
    }

    /// What was reached and not expected.
    pub(in crate::chat) fn unexpected(&self) -> Vec<&Target> {
        self.reached.iter().filter(|target| !self.expected.contains(target)).collect()
    }

    /// Whether it is all as expected.
    pub(in crate::chat) fn passed(&self) -> bool {
        let is_reached = self.missed().is_empty() && self.unexpected().is_empty();
        is_reached && self.rows_match != Some(false) && self.error.is_none()
    }

    /// A result for a case that nothing was done for yet.
    pub(super) fn of(case: &EvaluationCase) -> Self {
        Self {
            prompt: case.prompt.clone(),
            expected: case.expected.clone(),
            reached: Vec::new(),
            routing: Routing::default(),
            rows_match: case.rows.as_ref().map(|_| false),
            error: None,
        }
    }
}

/// A prompt that reaches something else than the last time.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chat) struct Difference {
    pub(in crate::chat) prompt: String,
    pub(in crate::chat) before: Vec<String>,
    pub(in crate::chat) now: Vec<String>,
    /// Whether it is as expected now.
    pub(in crate::chat) passed: bool,
}

/// What an evaluation came to.
#[derive(Clone, Debug)]
pub(in crate::chat) struct Evaluation {
    pub(in crate::chat) results: Vec<CaseResult>,
    /// Against the last evaluation; prompts that it did not have are none.
    pub(in crate::chat) differences: Vec<Difference>,
    /// When the last evaluation was, in milliseconds since 1970; `None` if there was none.
    pub(in crate::chat) previous_ms: Option<i64>,
}

/// Prompts that are remembered from one evaluation to the next.
const MAX_RECORDED: usize = 5000;

/// What is kept of an evaluation for the next one.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct EvaluationRecord {
    at_ms: i64,
    /// Targets by prompt.
    reached: BTreeMap<String, Vec<String>>,
}

impl EvaluationRecord {
    /// The record with these results, those of other prompts kept as far as there is room. What could not be tried says nothing.
    pub(super) fn with(self, results: &[CaseResult], at_ms: i64) -> Self {
        let tried = results.iter().filter(|result| result.error.is_none());
        let mut reached: BTreeMap<_, _> = tried.map(|result| (result.prompt.clone(), names(&result.reached))).collect();
        for (prompt, before) in self.reached {
            if reached.len() < MAX_RECORDED {
                reached.entry(prompt).or_insert(before);
            }
        }
        Self { at_ms, reached }
    }
}

impl Evaluation {
    /// These results, compared with the last time.
    pub(super) fn new(results: Vec<CaseResult>, previous: Option<EvaluationRecord>) -> Self {
        let previous_ms = previous.as_ref().map(|record| record.at_ms);
        let before = previous.map(|record| record.reached).unwrap_or_default();
        let difference = |result: &CaseResult| {
            let (before, now) = (before.get(&result.prompt)?.clone(), names(&result.reached));
            let (prompt, passed) = (result.prompt.clone(), result.passed());
            (before != now).then_some(Difference { prompt, before, now, passed })
        };
        let differences = results.iter().filter_map(difference).collect();
        Self { results, differences, previous_ms }
    }

    /// Cases that are as expected.
    pub(in crate::chat) fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.passed()).count()
    }

    /// The share of what was reached that was expected; `None` if nothing was reached.
    pub(in crate::chat) fn precision(&self) -> Option<f64> {
        let unexpected: usize = self.results.iter().map(|result| result.unexpected().len()).sum();
        let reached: usize = self.results.iter().map(|result| result.reached.len()).sum();
        (reached > 0).then(|| (reached - unexpected) as f64 / reached as f64)
    }

    /// The share of what was expected that was reached; `None` if nothing was expected.
    pub(in crate::chat) fn recall(&self) -> Option<f64> {
        let missed: usize = self.results.iter().map(|result| result.missed().len()).sum();
        let expected: usize = self.results.iter().map(|result| result.expected.len()).sum();
        (expected > 0).then(|| (expected - missed) as f64 / expected as f64)
    }
}

/// The targets in words, in order.
pub(in crate::chat) fn names<'a>(targets: impl IntoIterator<Item = &'a Target>) -> Vec<String> {
    let mut names: Vec<_> = targets.into_iter().map(Target::to_string).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(prompt: &str, expected: &[&str], reached: &[&str]) -> CaseResult {
        let targets = |texts: &[&str]| texts.iter().map(|text| Target::parse(text).unwrap()).collect();
        let (prompt, routing) = (prompt.to_owned(), Routing::default());
        CaseResult {
            prompt,
            expected: targets(expected),
            reached: targets(reached),
            routing,
            rows_match: None,
            error: None,
        }
    }

    #[test]
    fn hits_misses_and_what_nobody_wanted_are_counted_by_target() {
        let results = vec![
            result("a", &["datasource:x", "tool:y"], &["datasource:x"]),
            result("b", &[], &["agent:z"]),
            result("c", &["agent:z"], &["agent:z"]),
            result("d", &[], &[]),
        ];
        let evaluation = Evaluation::new(results, None);
        assert_eq!((evaluation.passed(), evaluation.previous_ms), (2, None));
        assert_eq!((evaluation.precision(), evaluation.recall()), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
        let nothing = Evaluation::new(vec![result("d", &[], &[])], None);
        assert_eq!((nothing.precision(), nothing.recall()), (None, None));
    }

    #[test]
    fn what_changed_since_the_last_time_is_told() {
        let before = [result("a", &["tool:y"], &["tool:y"]), result("b", &[], &["tool:y"]), result("c", &[], &[])];
        let record = serde_json::to_string(&EvaluationRecord::default().with(&before, 7)).unwrap();
        let now =
            vec![result("a", &["tool:y"], &[]), result("b", &[], &[]), result("c", &[], &[]), result("d", &[], &[])];
        let evaluation = Evaluation::new(now, serde_json::from_str(&record).ok());
        let told: Vec<_> =
            evaluation.differences.iter().map(|change| (change.prompt.as_str(), change.passed)).collect();
        assert_eq!((told, evaluation.previous_ms), (vec![("a", false), ("b", true)], Some(7)));
    }
}
