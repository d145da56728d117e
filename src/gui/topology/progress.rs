use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::graph::TopologyGraph;
use super::node::NodeId;
use crate::kernel::{Clock, fit_chars};
use crate::settings::{Catalog, ToolSettings};
use crate::storage::{Execution, ExecutionStatus, Step, StepStatus};
use crate::tools::resolve_name;

/// Longest line of the log, in characters.
const MAX_LINE_CHARS: usize = 500;
/// Steps that the log tells, the newest.
const MAX_LOGGED_STEPS: usize = 200;
/// Where a running execution stands before and after its plan is made, of 1 in all; its tasks share the rest.
const BEGUN: f64 = 0.1;
const PLANNED: f64 = 0.2;
const ALL_TASKS_DONE: f64 = 0.9;

/// How far an execution is, in the page's words.
#[derive(Clone, Debug)]
pub(in crate::gui) struct RunProgress {
    pub(in crate::gui) execution_id: String,
    /// `running`, `completed`, `failed` or `stopped`: the page waits for one of the last three.
    pub(in crate::gui) status: &'static str,
    /// A node of the graph.
    pub(in crate::gui) current_node: NodeId,
    /// 0 to 1.
    pub(in crate::gui) progress: f64,
    pub(in crate::gui) start_time: String,
    pub(in crate::gui) end_time: Option<String>,
    pub(in crate::gui) error: Option<String>,
    pub(in crate::gui) answer: Option<String>,
    pub(in crate::gui) logs: Vec<RunLogLine>,
}

/// A line about an execution.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::gui) struct RunLogLine {
    pub(in crate::gui) timestamp: String,
    pub(in crate::gui) level: &'static str,
    pub(in crate::gui) message: String,
    /// A node of the graph.
    pub(in crate::gui) node: NodeId,
}

/// The page's word for how an execution is.
pub(super) fn run_status(status: ExecutionStatus) -> &'static str {
    match status {
        ExecutionStatus::Running => "running",
        ExecutionStatus::Completed => "completed",
        ExecutionStatus::Failed | ExecutionStatus::Interrupted => "failed",
        ExecutionStatus::Cancelled => "stopped",
    }
}

/// A record, and the graph on which it is shown.
pub(super) struct RunRecord<'a> {
    pub(super) execution: &'a Execution,
    /// In the order in which they ended.
    pub(super) steps: &'a [Step],
    pub(super) graph: &'a TopologyGraph,
    pub(super) tools: &'a Catalog<ToolSettings>,
    pub(super) now_ms: i64,
}

impl RunRecord<'_> {
    /// How far the execution is.
    pub(super) fn progress(&self) -> RunProgress {
        let execution = self.execution;
        RunProgress {
            execution_id: execution.id.clone(),
            status: run_status(execution.status),
            current_node: self.current_node(),
            progress: self.done(),
            start_time: Clock::rfc3339(execution.started_ms),
            end_time: execution.finished_ms.map(Clock::rfc3339),
            error: execution.error.clone(),
            answer: execution.answer.clone(),
            logs: self.logs(),
        }
    }

    fn current_node(&self) -> NodeId {
        match self.execution.status {
            ExecutionStatus::Completed => NodeId::End,
            ExecutionStatus::Running => self.next_node(),
            ExecutionStatus::Failed | ExecutionStatus::Cancelled | ExecutionStatus::Interrupted => {
                let broken = |step: &&Step| matches!(step.status, StepStatus::Failed | StepStatus::Interrupted);
                let failed = self.steps.iter().rev().find(broken);
                failed.map_or_else(|| self.next_node(), |step| self.node_of_step(step))
            }
        }
    }

    /// Where an execution is that goes on: at the first of its tasks that has not ended and waits for nothing.
    fn next_node(&self) -> NodeId {
        let Some(plan) = &self.execution.plan else { return NodeId::IntentRouter };
        let ended = |id: &str| self.steps.iter().any(|step| step.id == id);
        let waits = |task: &&Value| {
            let before = task.get("depends_on").and_then(Value::as_array).into_iter().flatten();
            before.filter_map(Value::as_str).any(|id| !ended(id))
        };
        let open = tasks(plan).filter(|task| !text(task, "id").is_some_and(ended));
        let next = open.into_iter().find(|task| !waits(task));
        next.map_or(NodeId::Conversations, |task| self.node_of(text(task, "action"), text(task, "target")))
    }

    /// How much of the execution is done, from 0 to 1.
    fn done(&self) -> f64 {
        let Some(plan) = &self.execution.plan else { return if self.execution.is_running() { BEGUN } else { 1.0 } };
        if !self.execution.is_running() {
            return 1.0;
        }
        let ids: Vec<_> = tasks(plan).filter_map(|task| text(task, "id")).collect();
        let ended = ids.iter().filter(|id| self.steps.iter().any(|step| step.id == **id)).count();
        PLANNED + (ALL_TASKS_DONE - PLANNED) * ended as f64 / ids.len().max(1) as f64
    }

    fn node_of_step(&self, step: &Step) -> NodeId {
        self.node_of(Some(&step.action), step.target.as_deref())
    }

    /// The node that does such work; the planner's if it is not shown.
    fn node_of(&self, action: Option<&str>, target: Option<&str>) -> NodeId {
        let named = || target.map(str::to_owned).unwrap_or_default();
        let node = match action {
            Some("llm_call") => NodeId::Llm,
            Some("external_agent") => NodeId::Agent(named()),
            Some("data_query") => NodeId::DataSource(named()),
            Some("tool_execution") => {
                let tool = target.and_then(|target| resolve_name(self.tools.iter(), target));
                NodeId::Tool(tool.map_or_else(named, |(tool, _)| tool.name.to_string()))
            }
            _ => NodeId::Planner,
        };
        if self.graph.has(&node) { node } else { NodeId::Planner }
    }

    fn logs(&self) -> Vec<RunLogLine> {
        let Execution { prompt, intent, plan, started_ms, status, error, .. } = self.execution;
        let mut logs = vec![line(*started_ms, "info", format!("Started: {prompt}"), NodeId::Start)];
        if let Some((intent, confidence)) = intent {
            let message = format!("Intent: {intent} ({confidence:.2})");
            logs.push(line(*started_ms, "info", message, NodeId::IntentRouter));
        }
        if let Some(plan) = plan {
            let planned = tasks(plan).map(|task| {
                let target = text(task, "target").map(|target| format!(" '{target}'")).unwrap_or_default();
                format!("{} {}{target}", text(task, "id").unwrap_or_default(), text(task, "action").unwrap_or_default())
            });
            let message = format!("Plan: {}", planned.collect::<Vec<_>>().join(", "));
            logs.push(line(*started_ms, "info", message, NodeId::Planner));
        }
        let skipped = self.steps.len().saturating_sub(MAX_LOGGED_STEPS);
        let steps = self.steps.iter().zip(self.ends()).skip(skipped);
        logs.extend(steps.map(|(step, ended_ms)| self.line_of_step(step, ended_ms)));
        if let Some(finished_ms) = self.execution.finished_ms {
            let (level, message) = match (status, error) {
                (ExecutionStatus::Completed, None) => ("info", "Completed".to_owned()),
                (ExecutionStatus::Completed, Some(error)) => ("warning", format!("Completed, but: {error}")),
                (ExecutionStatus::Cancelled, _) => ("warning", "Stopped".to_owned()),
                (_, error) => ("error", error.clone().unwrap_or_else(|| "Failed".to_owned())),
            };
            logs.push(line(finished_ms, level, message, self.current_node()));
        }
        logs
    }

    fn line_of_step(&self, step: &Step, ended_ms: i64) -> RunLogLine {
        let level = match step.status {
            StepStatus::Completed => "info",
            StepStatus::Skipped => "warning",
            StepStatus::Failed | StepStatus::Interrupted => "error",
        };
        let target = step.target.as_ref().map(|target| format!(" '{target}'")).unwrap_or_default();
        let why = step.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let (id, action, status) = (&step.id, &step.action, step.status.as_str());
        let message = format!("{id} {action}{target} {status} after {} ms{why}", step.duration_ms);
        line(ended_ms, level, message, self.node_of_step(step))
    }

    /// When each step ended, worked out from how long each took and what it waited for.
    fn ends(&self) -> Vec<i64> {
        let plan = self.execution.plan.as_ref();
        let latest = self.execution.finished_ms.unwrap_or(self.now_ms).max(self.execution.started_ms);
        let mut ends: HashMap<&str, i64> = HashMap::new();
        let mut last = self.execution.started_ms;
        let mut all = Vec::with_capacity(self.steps.len());
        for step in self.steps {
            let task = plan.into_iter().flat_map(tasks).find(|task| text(task, "id") == Some(&step.id));
            let before = task.and_then(|task| task.get("depends_on")?.as_array()).into_iter().flatten();
            let began = before.filter_map(|id| ends.get(id.as_str()?).copied()).max();
            let began = began.unwrap_or(self.execution.started_ms);
            // They are told in the order in which they ended.
            last = began.saturating_add(step.duration_ms).clamp(last, latest.max(last));
            ends.insert(&step.id, last);
            all.push(last);
        }
        all
    }
}

fn line(at_ms: i64, level: &'static str, message: String, node: NodeId) -> RunLogLine {
    RunLogLine { timestamp: Clock::rfc3339(at_ms), level, message: fit_chars(&message, MAX_LINE_CHARS), node }
}

/// The tasks of a recorded plan.
fn tasks(plan: &Value) -> impl Iterator<Item = &Value> {
    plan.as_array().into_iter().flatten()
}

fn text<'a>(task: &'a Value, member: &str) -> Option<&'a str> {
    task.get(member)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::graph::KnownHealth;
    use super::*;
    use crate::settings::{Environment, load};

    fn step(id: &str, action: &str, target: &str, status: StepStatus, duration_ms: i64) -> Step {
        let error = (status == StepStatus::Failed).then(|| "broken".to_owned());
        let (id, action, target) = (id.to_owned(), action.to_owned(), Some(target.to_owned()));
        Step { id, action, target, status, error, query: None, output: None, duration_ms }
    }

    fn progress(execution: &Execution, steps: &[Step]) -> RunProgress {
        let sources = r#"{"crm": {"type": "api", "url": "http://127.0.0.1:9"}}"#;
        let tools = r#"{"files": {"type": "mcp", "config": {"url": "http://127.0.0.1:9"}}}"#;
        let settings = load(Environment::from_pairs([("DATASOURCES", sources), ("TOOLS", tools)])).unwrap().settings;
        let graph = TopologyGraph::of(&settings, &KnownHealth::default());
        RunRecord { execution, steps, graph: &graph, tools: &settings.tools, now_ms: 10_000 }.progress()
    }

    /// Where it is and how far, in percent.
    fn place(execution: &Execution, steps: &[Step]) -> (String, i64) {
        let progress = progress(execution, steps);
        (progress.current_node.to_string(), (progress.progress * 100.0).round() as i64)
    }

    fn planned() -> Execution {
        let plan = json!([
            {"id": "task_1", "action": "data_query", "depends_on": [], "target": "crm"},
            {"id": "task_2", "action": "llm_call", "depends_on": ["task_1"]}
        ]);
        Execution {
            id: "x".to_owned(),
            prompt: "How many?".to_owned(),
            intent: Some(("data_query".to_owned(), 0.85)),
            plan: Some(plan),
            started_ms: 1000,
            ..Execution::default()
        }
    }

    #[test]
    fn an_execution_goes_through_the_graph_from_its_record() {
        use StepStatus::{Completed, Failed};
        let (at, query) =
            (|node: &str, percent| (node.to_owned(), percent), step("task_1", "data_query", "crm", Completed, 40));
        assert_eq!(place(&Execution::default(), &[]), at("intent_router", 10));
        assert_eq!(place(&planned(), &[]), at("datasource:crm", 20));
        assert_eq!(place(&planned(), std::slice::from_ref(&query)), at("llm_agent", 55));
        let answer = step("task_2", "llm_call", "m", Completed, 500);
        assert_eq!(place(&planned(), &[query.clone(), answer.clone()]), at("memory_store", 90));
        let ended = |status| Execution { status, finished_ms: Some(2000), ..planned() };
        assert_eq!(place(&ended(ExecutionStatus::Completed), &[query.clone(), answer]), at("end", 100));
        let failed = [query, step("task_2", "llm_call", "m", Failed, 5)];
        assert_eq!(place(&ended(ExecutionStatus::Failed), &failed), at("llm_agent", 100));
        assert_eq!(place(&ended(ExecutionStatus::Cancelled), &[]), at("datasource:crm", 100));
        let gone = [step("task_1", "data_query", "no longer there", Failed, 5)];
        assert_eq!(place(&ended(ExecutionStatus::Failed), &gone), at("planner", 100));
    }

    #[test]
    fn the_log_tells_each_step_in_order_with_its_node() {
        let steps = [
            step("task_1", "data_query", "crm", StepStatus::Completed, 40),
            step("task_2.1", "tool_execution", "files__read", StepStatus::Failed, 7),
            step("task_2", "llm_call", "m", StepStatus::Completed, 500),
        ];
        let ended = Execution { status: ExecutionStatus::Completed, finished_ms: Some(1900), ..planned() };
        let logs = progress(&ended, &steps).logs;
        let lines: Vec<_> =
            logs.iter().map(|line| (line.level, line.node.to_string(), line.message.as_str())).collect();
        let expected = [
            ("info", "start", "Started: How many?"),
            ("info", "intent_router", "Intent: data_query (0.85)"),
            ("info", "planner", "Plan: task_1 data_query 'crm', task_2 llm_call"),
            ("info", "datasource:crm", "task_1 data_query 'crm' completed after 40 ms"),
            ("error", "tool:files", "task_2.1 tool_execution 'files__read' failed after 7 ms: broken"),
            ("info", "llm_agent", "task_2 llm_call 'm' completed after 500 ms"),
            ("info", "end", "Completed"),
        ];
        assert_eq!(lines, expected.map(|(level, node, message)| (level, node.to_owned(), message)));
        let times: Vec<_> = logs.iter().map(|line| Clock::parse(&line.timestamp).unwrap()).collect();
        assert_eq!(times, [1000, 1000, 1000, 1040, 1040, 1540, 1900]);
    }

    #[test]
    fn the_page_waits_for_words_that_it_knows() {
        let words = ExecutionStatus::ALL.map(|(status, _)| run_status(status));
        assert_eq!(words, ["running", "completed", "failed", "stopped", "failed"]);
    }
}
