use super::gap::Gap;
use super::intent::Intent;
use super::plan::Plan;
use super::request::{ChatOptions, UserRequest};
use super::router::RoutingDecision;
use super::routing::{RoutedTarget, Routing};
use super::selection::functions::{ChosenFunction, OfferedFunctions};
use super::selection::{Selection, agents, callables, datasources, targets, tools};
use super::stages::stages;
use super::task::{Action, AgentChoice, QueryTask, Task, TaskKind, ToolRun};
use crate::datasources::Source;
use crate::grounding::{Candidate, ResourceKind};
use crate::kernel::Error;
use crate::settings::Settings;
use crate::tools::{Tool, ToolFunction};

fn is_named(action: Action, options: &ChatOptions) -> bool {
    match action {
        Action::ExternalAgent => options.agent.is_some(),
        Action::DataQuery => options.datasource.is_some(),
        Action::ToolExecution => options.tool.is_some() || options.tools.is_some(),
        Action::LlmCall => false,
    }
}

/// A plan in the making.
pub(super) struct Draft<'a> {
    route: &'a RoutingDecision,
    request: &'a UserRequest,
    settings: &'a Settings,
    pub(super) steps: Vec<Task>,
    /// Ids of the stage that was added last.
    last_stage: Vec<String>,
    pub(super) answer: TaskKind,
    pub(super) gaps: Vec<Gap>,
    pub(super) offered: Vec<Tool>,
    /// What has to be used though no step does: what the model is to call, or what cannot be had.
    other_targets: Vec<RoutedTarget>,
}

impl<'a> Draft<'a> {
    /// A plan without steps.
    pub(super) fn new(
        route: &'a RoutingDecision,
        request: &'a UserRequest,
        settings: &'a Settings,
    ) -> Result<Self, Error> {
        let intent = route.classification.intent;
        let (mut offered, denied) = tools::offered(&request.options, intent, settings)?;
        if request.options.tools.is_none() {
            offered.retain(|tool| !route.findings.is_denied(ResourceKind::Tool, tool.name.as_str()));
        }
        let mut gaps: Vec<_> = denied.into_iter().map(|why| Gap::new(why, true)).collect();
        let mut answer = TaskKind::LlmCall;
        if intent == Intent::CodeGeneration {
            match tools::code(&request.options, settings) {
                Some(Selection::Use(tool)) => answer = TaskKind::Program(tool),
                Some(Selection::Unavailable(why)) => gaps.push(Gap::new(format!("the code is not run: {why}"), true)),
                None => {}
            }
        }
        let (steps, last_stage, other_targets) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { route, request, settings, steps, last_stage, answer, gaps, offered, other_targets })
    }

    /// Adds the stages of the intent for which nothing was chosen, and the sources that were.
    pub(super) fn add_stages(&mut self) -> Result<(), Error> {
        let intent = self.route.classification.intent;
        for action in stages(intent, &self.request.options) {
            if intent == Intent::ChurnAnalytics || !self.has_chosen(action) {
                self.add_stage(action)?;
            }
        }
        if intent != Intent::ChurnAnalytics {
            let sources = self.route.chosen.iter().filter_map(|found| targets::source(found, self.settings));
            for source in sources.take(self.settings.orchestration.grounding_top_k) {
                self.push(self.query(source), Vec::new());
            }
        }
        Ok(())
    }

    /// Whether something was chosen that does an action. Where a tool is asked for, the model calls it.
    fn has_chosen(&self, action: Action) -> bool {
        let kind = match action {
            Action::DataQuery => ResourceKind::DataSource,
            Action::ExternalAgent => ResourceKind::Agent,
            Action::ToolExecution if self.route.classification.intent == Intent::WebSearch => {
                return self.route.chosen.iter().any(|found| targets::is_search_tool(found, self.settings));
            }
            Action::ToolExecution | Action::LlmCall => return false,
        };
        self.route.chosen.iter().any(|found| found.kind == kind)
    }

    /// Adds who does an action, several if they do it side by side; each builds on the stage before.
    fn add_stage(&mut self, action: Action) -> Result<(), Error> {
        let kinds = match self.kinds(action)? {
            Selection::Use(kinds) => kinds,
            Selection::Unavailable(why) => {
                let is_missed = self.add_unavailable(action, &why);
                self.gaps.push(Gap::new(why, is_missed));
                return Ok(());
            }
        };
        let depends_on = std::mem::take(&mut self.last_stage);
        for kind in kinds {
            let id = self.push(kind, depends_on.clone());
            self.last_stage.push(id);
        }
        Ok(())
    }

    /// Notes what cannot be had although it has to be used: what the request names, or the data or the agent that it asks for.
    /// Whether there is such a thing.
    fn add_unavailable(&mut self, action: Action, why: &str) -> bool {
        let (intent, options) = (self.route.classification.intent, &self.request.options);
        let asked = |wanted: Intent, label: &str| (intent == wanted).then(|| label.to_owned());
        let (kind, name) = match action {
            Action::DataQuery => (
                ResourceKind::DataSource,
                options.datasource.clone().or_else(|| asked(Intent::DataQuery, "data source")),
            ),
            Action::ExternalAgent => {
                (ResourceKind::Agent, options.agent.clone().or_else(|| asked(Intent::ExternalAgent, "agent")))
            }
            Action::ToolExecution => (ResourceKind::Tool, options.tool.clone()),
            Action::LlmCall => return false,
        };
        let (reason, score) = (why.to_owned(), 1.0);
        let is_missed = name.is_some() || is_named(action, options);
        let is_absent = !is_named(action, options);
        self.other_targets.extend(name.map(|name| RoutedTarget { kind, name, score, reason, is_absent }));
        is_missed
    }

    /// Who does an action.
    fn kinds(&self, action: Action) -> Result<Selection<Vec<TaskKind>>, Error> {
        let (intent, settings, options) = (self.route.classification.intent, self.settings, &self.request.options);
        let findings = &self.route.findings;
        let run = |run: Selection<_>| run.map(|run| vec![TaskKind::ToolRun(run)]);
        Ok(match action {
            Action::LlmCall => Selection::Use(Vec::new()),
            Action::ExternalAgent => {
                agents::choose(options, intent, settings, findings)?.map(|choice| vec![TaskKind::ExternalAgent(choice)])
            }
            Action::DataQuery => datasources::choose(options, intent, settings, findings)?
                .map(|sources| sources.into_iter().map(|source| self.query(source)).collect()),
            Action::ToolExecution => match tools::direct(options, settings)? {
                Some(direct) => run(direct),
                None if intent == Intent::WebSearch => run(tools::search(options, settings, findings)),
                None if self.offered.is_empty() => Selection::Unavailable(tools::why_none(options, settings)),
                // The model chooses while it answers.
                None => Selection::Use(Vec::new()),
            },
        })
    }

    fn query(&self, source: Source) -> TaskKind {
        let mut verified = self.route.findings.verified.iter();
        let verified = verified.find(|found| found.datasource == source.name.as_str()).cloned();
        TaskKind::DataQuery(QueryTask { source, verified })
    }

    /// The tools that were chosen, each once. Where a tool is asked for, the model calls it while it answers; and one search is
    /// enough, with the tool that is for it.
    pub(super) fn chosen_tools(&mut self) -> Vec<(&'a Candidate, Tool)> {
        let (route, settings) = (self.route, self.settings);
        let mut chosen = Vec::new();
        for found in &route.chosen {
            let Some(tool) = targets::tool(found, settings) else { continue };
            if route.classification.intent == Intent::ToolExecution && route.is_by_rules() {
                self.other_targets.push(target(found));
            } else if tools::is_search(&tool) && !found.is_named {
                if !self.has_search()
                    && let Selection::Use(run) = tools::search(&self.request.options, settings, &route.findings)
                {
                    self.push(TaskKind::ToolRun(run), Vec::new());
                }
            } else {
                chosen.push((found, tool));
            }
        }
        chosen
    }

    fn has_search(&self) -> bool {
        self.steps.iter().any(|task| matches!(&task.kind, TaskKind::ToolRun(run) if tools::is_search(&run.tool)))
    }

    /// Adds the call of a function that was chosen. If it is not known which one fits, the model chooses while it answers.
    pub(super) fn add_function(&mut self, found: &Candidate, function: ChosenFunction) {
        match function {
            ChosenFunction::Run(tool) => {
                let (name, arguments) = (tool.name.to_string(), serde_json::Map::new());
                self.push(TaskKind::ToolRun(ToolRun { tool, name, arguments }), Vec::new());
            }
            ChosenFunction::Call(function) => drop(self.push(TaskKind::ToolCall(function), Vec::new())),
            ChosenFunction::Open => self.other_targets.push(target(found)),
            ChosenFunction::Unavailable(why) => {
                self.other_targets.push(target(found));
                self.gaps.push(Gap::new(why, true));
            }
        }
    }

    /// Adds the agents that were chosen: beside everything else, unless they are to work on what it finds.
    pub(super) fn add_chosen_agents(&mut self) {
        let (route, settings) = (self.route, self.settings);
        let has_stage = route.classification.intent == Intent::ChurnAnalytics;
        for found in route.chosen.iter().filter(|found| !has_stage || found.is_named) {
            let Some(agent) = targets::agent(found, settings) else { continue };
            let is_step = |task: &Task| matches!(&task.kind, TaskKind::ExternalAgent(AgentChoice::One(one)) if one.name == agent.name);
            if !self.steps.iter().any(is_step) {
                let before =
                    self.steps.iter().filter(|_| found.builds_on_earlier).map(|task| task.id.clone()).collect();
                self.push(TaskKind::ExternalAgent(AgentChoice::One(agent)), before);
            }
        }
    }

    /// Adds a step. What the plan runs is not offered once more.
    fn push(&mut self, kind: TaskKind, depends_on: Vec<String>) -> String {
        if let TaskKind::ToolRun(run) = &kind {
            self.offered.retain(|tool| tool.name != run.tool.name);
        }
        let id = self.next_id();
        self.steps.push(Task { id: id.clone(), kind, depends_on });
        id
    }

    fn next_id(&self) -> String {
        format!("task_{}", self.steps.len() + 1)
    }

    /// The plan with these functions. What they lack is a gap if the request wants it, and a notice if not.
    pub(super) fn into_plan(self, functions: OfferedFunctions) -> Plan {
        let OfferedFunctions { all: mut tools, missing, left_out } = functions;
        let (is_open, names_tools) = (!self.other_targets.is_empty(), self.request.options.tools.is_some());
        let wants_tool = !self.offered.is_empty()
            && (self.route.classification.intent == Intent::ToolExecution && self.route.is_by_rules() || is_open);
        let is_called = |function: &ToolFunction| {
            self.steps
                .iter()
                .any(|task| matches!(&task.kind, TaskKind::ToolCall(called) if called.name == function.name))
        };
        tools.retain(|function| !is_called(function));
        let routing = self.routing();
        let offer = callables::offered(tools, self.route, self.request, self.settings, &self.steps);
        let depends_on = self.steps.iter().map(|task| task.id.clone()).collect();
        let answer = Task { id: self.next_id(), kind: self.answer, depends_on };
        let mut gaps = self.gaps;
        let is_wanted = wants_tool || names_tools;
        let gap = |why| if is_wanted { Gap::new(why, names_tools) } else { Gap::notice(why) };
        gaps.extend(missing.into_iter().map(gap));
        gaps.extend(left_out.into_iter().chain(offer.left_out).map(Gap::notice));
        let functions = offer.callables;
        Plan { steps: self.steps, answer, gaps, functions, wants_tool, names_tools, routing }
    }

    /// What has to be used, by whom it was chosen and why.
    fn routing(&self) -> Routing {
        let RoutingDecision { classification, by, reason, chosen, .. } = self.route;
        let step = |task: &Task| {
            let (kind, name) = targets::of_task(&task.kind)?;
            let known = chosen.iter().find(|found| found.kind == kind && found.name == name);
            let (score, reason) = (classification.confidence, reason.clone());
            let unknown = || RoutedTarget { kind, name, score, reason, is_absent: false };
            Some(known.map_or_else(unknown, target))
        };
        let targets = self.steps.iter().filter_map(step).chain(self.other_targets.iter().cloned()).collect();
        Routing { by: *by, confidence: classification.confidence, reason: reason.clone(), targets }
    }
}

fn target(found: &Candidate) -> RoutedTarget {
    let Candidate { kind, name, score, reason, .. } = found.clone();
    RoutedTarget { kind, name, score, reason, is_absent: false }
}
