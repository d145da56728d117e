use super::component::ComponentTest;
use super::failed_tests::FailedTests;
use super::graph::TopologyGraph;
use super::node::NodeId;
use super::progress::{RunProgress, RunRecord, run_status};
use super::runs::BackgroundRuns;
use super::services::TopologyServices;
use crate::kernel::{Caller, Clock, Error, ErrorKind, UserId, quoted};
use crate::settings::Settings;
use crate::storage::{Execution, ExecutionStatus, Step};

/// The conversation that the page's executions have in common, whoever starts them.
const USER: &str = "topology";

/// The topology page: the graph, executions that it starts and follows, tests of nodes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TopologyService {
    services: TopologyServices,
    clock: Clock,
    runs: BackgroundRuns,
    failed_tests: FailedTests,
}

impl TopologyService {
    /// A service on these.
    pub fn new(services: TopologyServices, clock: Clock) -> Self {
        Self { services, clock, runs: BackgroundRuns::new(), failed_tests: FailedTests::default() }
    }

    /// What is configured, as a graph.
    pub(in crate::gui) fn graph(&self) -> TopologyGraph {
        self.graph_of(&self.services.settings())
    }

    /// Starts an execution of this prompt, and gives its id.
    pub(in crate::gui) async fn execute(&self, prompt: String, caller: Caller) -> Result<String, Error> {
        let place = self.runs.place()?;
        let user = UserId::parse(USER).unwrap_or_else(|_| UserId::anonymous());
        let started = self.services.chat.start(prompt, user, caller).await?;
        let id = started.execution_id.clone();
        self.runs.run(place, started);
        Ok(id)
    }

    /// How far an execution is, whoever started it.
    pub(in crate::gui) async fn progress(&self, id: &str) -> Result<RunProgress, Error> {
        let (execution, steps) = self.record(id).await?;
        let settings = self.services.settings();
        let (graph, tools) = (self.graph_of(&settings), &settings.tools);
        let (execution, steps, now_ms) = (&execution, steps.as_slice(), self.clock.now_ms());
        Ok(RunRecord { execution, steps, graph: &graph, tools, now_ms }.progress())
    }

    /// Stops an execution that this page has started; gives what its status is then. One that has ended stays as it is.
    pub(in crate::gui) async fn stop(&self, id: &str) -> Result<&'static str, Error> {
        if self.runs.stop(id) {
            return Ok(run_status(ExecutionStatus::Cancelled));
        }
        let (execution, _) = self.record(id).await?;
        if execution.is_running() {
            let text =
                format!("Execution '{id}' was not started on this page; it ends with the client that started it");
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        Ok(run_status(execution.status))
    }

    /// Tests a node, with this prompt if it takes one.
    pub(in crate::gui) async fn test(
        &self,
        id: &str,
        prompt: Option<String>,
        caller: &Caller,
    ) -> Result<ComponentTest, Error> {
        let node = NodeId::parse(id).ok_or_else(|| Error::not_found(format!("Component {} not found", quoted(id))))?;
        let settings = self.services.settings();
        // A prompt of the caller's own may be what the model failed at.
        let is_telling = node != NodeId::Llm || prompt.is_none();
        let test = self.services.test(&settings, node, prompt, caller).await?;
        if is_telling {
            self.failed_tests.record(&settings, &test.component_id, &test.found);
        }
        Ok(test)
    }

    /// Done when no execution runs any more; none should be started meanwhile.
    pub async fn finished(&self) {
        self.runs.finished().await;
    }

    /// Stops what still runs; it is recorded as cancelled.
    pub async fn close(&self) {
        self.runs.close().await;
    }

    fn graph_of(&self, settings: &Settings) -> TopologyGraph {
        self.services.graph(settings, self.failed_tests.reasons(settings))
    }

    async fn record(&self, id: &str) -> Result<(Execution, Vec<Step>), Error> {
        let found = self.services.stores.executions.get(id).await?;
        found.ok_or_else(|| Error::not_found(format!("Execution {} not found", quoted(id))))
    }
}
