use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::node::NodeId;
use crate::agents::AgentEntry;
use crate::datasources::Source;
use crate::kernel::fit_chars;
use crate::settings::{LlmSection, Settings};
use crate::tools::Tool;

/// How long a failure counts: what was down may be back, and a look at the graph asks nobody.
const MAX_FAILURE_AGE: Duration = Duration::from_secs(600);
/// Longest reason that is kept, in characters.
const MAX_REASON_CHARS: usize = 200;

/// The nodes whose last test failed: of what is configured, so there are at most as many. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct FailedTests {
    failures: Arc<Mutex<HashMap<NodeId, TestFailure>>>,
}

#[derive(Debug)]
struct TestFailure {
    subject: TestSubject,
    at: Instant,
    reason: String,
}

/// What a node stands for, as it is configured: a change of that makes another one.
#[derive(Debug)]
enum TestSubject {
    Llm(Arc<LlmSection>),
    Agent(AgentEntry),
    DataSource(Source),
    Tool(Tool),
}

impl FailedTests {
    /// Keeps how a test of a node of these settings went; one that passed clears an earlier failure.
    pub(super) fn record(&self, settings: &Settings, node: &NodeId, found: &Result<String, String>) {
        let mut failures = self.failures.lock();
        failures.retain(|node, failure| failure.counts(node, settings));
        match (found, TestSubject::of(node, settings)) {
            (Err(reason), Some(subject)) => {
                let reason = fit_chars(reason, MAX_REASON_CHARS);
                failures.insert(node.clone(), TestFailure { subject, at: Instant::now(), reason });
            }
            _ => drop(failures.remove(node)),
        }
    }

    /// The nodes that have failed as they are configured now, each with the reason.
    pub(super) fn reasons(&self, settings: &Settings) -> HashMap<NodeId, String> {
        let failures = self.failures.lock();
        let current = failures.iter().filter(|(node, failure)| failure.counts(node, settings));
        current.map(|(node, failure)| (node.clone(), failure.reason.clone())).collect()
    }
}

impl TestFailure {
    fn counts(&self, node: &NodeId, settings: &Settings) -> bool {
        let is_unchanged = || TestSubject::of(node, settings).is_some_and(|now| now.is_same(&self.subject));
        self.at.elapsed() < MAX_FAILURE_AGE && is_unchanged()
    }
}

impl TestSubject {
    /// That of a node; `None` for those that are always there, or whose state is known otherwise.
    fn of(node: &NodeId, settings: &Settings) -> Option<Self> {
        match node {
            NodeId::Llm => Some(Self::Llm(settings.llm.clone())),
            NodeId::Agent(name) => settings.agents.get(name).cloned().map(Self::Agent),
            NodeId::DataSource(name) => settings.datasources.get(name).cloned().map(Self::DataSource),
            NodeId::Tool(name) => settings.tools.get(name).cloned().map(Self::Tool),
            NodeId::Start
            | NodeId::IntentRouter
            | NodeId::Planner
            | NodeId::Conversations
            | NodeId::Cache
            | NodeId::Audit
            | NodeId::End => None,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Llm(one), Self::Llm(other)) => Arc::ptr_eq(one, other),
            (Self::Agent(one), Self::Agent(other)) => Arc::ptr_eq(one, other),
            (Self::DataSource(one), Self::DataSource(other)) => Arc::ptr_eq(one, other),
            (Self::Tool(one), Self::Tool(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, load};

    fn settings() -> Settings {
        let agents = r#"{"helper": {"url": "http://127.0.0.1:9"}}"#;
        load(Environment::from_pairs([("EXTERNAL_AGENTS", agents)])).unwrap().settings
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_counts_until_a_test_passes_the_configuration_changes_or_time_is_up() {
        let (tests, settings, helper) = (FailedTests::default(), settings(), NodeId::Agent("helper".to_owned()));
        let fail = || tests.record(&settings, &helper, &Err("refused the connection".to_owned()));
        fail();
        let expected = HashMap::from([(helper.clone(), "refused the connection".to_owned())]);
        assert_eq!(tests.reasons(&settings), expected);
        assert_eq!(tests.reasons(&self::settings()), HashMap::new(), "another agent of that name");

        tests.record(&settings, &helper, &Ok("It is well".to_owned()));
        assert_eq!(tests.reasons(&settings), HashMap::new());

        fail();
        tokio::time::advance(MAX_FAILURE_AGE).await;
        assert_eq!(tests.reasons(&settings), HashMap::new());
    }

    #[test]
    fn what_is_configured_no_more_or_known_otherwise_is_not_kept() {
        let (tests, settings) = (FailedTests::default(), settings());
        let away = Err("away".to_owned());
        for node in [NodeId::Audit, NodeId::Planner, NodeId::Tool("none".to_owned())] {
            tests.record(&settings, &node, &away);
        }
        assert_eq!(tests.failures.lock().len(), 0);
        tests.record(&settings, &NodeId::Agent("helper".to_owned()), &away);
        // After a restart of the settings, only the new one is left.
        tests.record(&self::settings(), &NodeId::Llm, &away);
        let left: Vec<_> = tests.failures.lock().keys().cloned().collect();
        assert_eq!(left, [NodeId::Llm]);
    }
}
